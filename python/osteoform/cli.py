"""The command line. Commands import what they need when they run, so `--help` is quick."""

from __future__ import annotations

import typer

from osteoform._cli.console import CommandGroup, stdout
from osteoform._cli.evaluate import evaluate
from osteoform._cli.fetch import fetch
from osteoform._cli.measure import measure
from osteoform._cli.model import atlas_build, info
from osteoform._cli.model_build import build
from osteoform._cli.model_files import export_model, import_model
from osteoform._cli.reconstruct import detect, reconstruct
from osteoform._cli.show import atlas_show, atlas_table, model_show
from osteoform._cli.simulate import demo, simulate
from osteoform._cli.train import train

app = typer.Typer(
    cls=CommandGroup,
    help="3D leg bones from one or two X-ray images. Lengths are in mm. Not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
model_app = typer.Typer(help="Make, fetch, inspect and draw shape models.", no_args_is_help=True)
atlas_app = typer.Typer(
    help="The parametric bones that ship: tables, pictures, models.", no_args_is_help=True
)

app.command()(demo)
app.command()(reconstruct)
app.command()(detect)
app.command()(simulate)
app.command()(evaluate)
app.add_typer(model_app, name="model")
model_app.command("build")(build)
model_app.command("info")(info)
model_app.command("measure")(measure)
model_app.command("show")(model_show)
model_app.command("fetch")(fetch)
model_app.command("import")(import_model)
model_app.command("export")(export_model)
app.command()(train)
app.add_typer(atlas_app, name="atlas")
atlas_app.command("build")(atlas_build)
atlas_app.command("table")(atlas_table)
atlas_app.command("show")(atlas_show)


def _print_version(wanted: bool) -> None:
    if wanted:
        from osteoform._core import __version__

        stdout.print(f"osteoform {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """3D leg bones from one or two X-ray images. Lengths are in mm. Not a medical device."""


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
