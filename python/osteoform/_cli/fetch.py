"""`osteoform model fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osteoform._cli.console import print_table, progress, write_json
from osteoform._cli.options import JsonOption
from osteoform._errors import InputError
from osteoform._output import check_file

if TYPE_CHECKING:
    from osteoform.modeling.fetch import PublishedModel


def fetch(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Which published model; see --list.")
    ] = None,
    show_list: Annotated[
        bool, typer.Option("--list", help="Say which models there are; download nothing.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Download a published shape model once, check its SHA-256, and say where it is.

    It is kept in the folder OSTEOFORM_CACHE, else in the user's cache folder, under its own
    licence. `osteoform model import` makes a model of ours from it.
    """
    if (name is None) != show_list:
        raise InputError("needed the NAME of a published model or --list, see --help")
    if json not in (None, "-"):
        check_file(Path(json))
    from osteoform.modeling.fetch import fetch_model, registry

    if name is None:
        _print_list(list(registry().values()), json)
        return
    with progress(f"fetching {name}"):
        found = fetch_model(name)
    values = model_values(found.model) | {
        "path": str(found.path.resolve()),
        "downloaded": found.downloaded,
    }
    write_json(values, json)
    model = found.model
    rows = [
        ["what", model.title],
        ["bones", f"{model.side} {', '.join(model.bones)}"],
        ["file", values["path"]],
        ["", "downloaded" if found.downloaded else "was there already"],
        ["SHA-256", f"{model.sha256} (checked)"],
        ["licence", f"{model.licence}, {model.licence_url}"],
        ["from", f"{model.authors}, {model.source}"],
        ["next", f"osteoform model import {values['path']} --help"],
    ]
    print_table(model.name, ["", "published model"], rows, json_target=json)


def model_values(model: PublishedModel) -> dict[str, Any]:
    """What the registry says of a model, as plain values for JSON."""
    from dataclasses import asdict

    return asdict(model)


def _print_list(models: list[PublishedModel], json: str | None) -> None:
    write_json({"models": [model_values(model) for model in models]}, json)
    rows = [
        [m.name, m.title, f"{m.side} {', '.join(m.bones)}", f"{m.num_bytes / 1e6:.1f}", m.licence]
        for m in models
    ]
    columns = ["name", "what", "bones", "MB", "licence"]
    print_table("published models", columns, rows, json_target=json)
