"""`osteoform model show`, `osteoform atlas show` and `osteoform atlas table`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osteoform._cli.console import print_table, progress, write_json
from osteoform._cli.options import BoneName, JsonOption, OutOption
from osteoform._errors import InputError
from osteoform._output import check_file, check_folder, staged_file, staged_folder

if TYPE_CHECKING:
    from osteoform.atlas._table import AtlasTable
    from osteoform.atlas.gap import MeanGap
    from osteoform.atlas.other_mean import OtherMean

WidthOption = Annotated[
    int | None,
    typer.Option(
        "--width",
        metavar="PX",
        min=200,
        help="Pictures no wider than this, in 256 colours.  [default: as drawn]",
    ),
]


def model_show(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A model file, a folder with BONE.npz, or a shipped name."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The picture (.png).")],
    bone: Annotated[BoneName | None, typer.Option("--bone", help="Which bone of a folder.")] = None,
    modes: Annotated[
        int, typer.Option("--modes", min=0, max=40, help="How many modes to draw.")
    ] = 4,
    width: WidthOption = None,
    json: JsonOption = None,
) -> None:
    """Draw a shape model: its mean from all sides, its first modes at 2 sd, its inadequacy.

    The colours of a mode say how far the surface moves along its normal [mm].
    """
    check_file(out)
    if out.suffix.lower() != ".png":
        raise InputError(f"--out must be a .png file, found {out}")
    from osteoform._cli.model import model_values
    from osteoform._models import load_model

    loaded = load_model(model, bone=bone.value if bone else None)
    with progress("drawing") as step:
        from osteoform.show import model_sheet, save_sheet

        picture = model_sheet(loaded, num_modes=modes, progress=step)
        with staged_file(out) as path:
            save_sheet(picture, path, width_px=width)
    write_json(model_values(loaded) | {"picture": str(out)}, json)
    print_table(str(out), ["", ""], [["model", model], ["bone", loaded.bone]], json_target=json)


def atlas_show(
    out: OutOption,
    bones: Annotated[
        list[BoneName] | None,
        typer.Argument(
            metavar="[BONE...]", help="Which bones.  [default: all, or those of --beside]"
        ),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            "--beside",
            metavar="FILE_OR_DIR",
            help="Another mean to measure against: a shape model, or an .npz of bones in "
            "correspondence named after its bone and side; may be repeated, or a folder of such.",
        ),
    ] = None,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild",
            help="Draw the bones of the tables as they are now, not as "
            "shipped; takes a minute each.",
        ),
    ] = False,
    width: WidthOption = None,
    json: JsonOption = None,
) -> None:
    """Draw the mean bones of the atlas, and measure them against other means [mm].

    With --beside both are laid on each other rigidly, the gap is coloured and told by region:
    its mean and 95th percentile, and its bias, positive where the atlas stands out. Of the LLP26
    collection, the people held out for testing are left out.
    """
    check_folder(out)
    if json not in (None, "-"):
        check_file(Path(json))
    from osteoform.atlas.build import FAMILIES

    named = [bone.value for bone in bones or []]
    unknown = [bone for bone in named if bone not in FAMILIES]
    if unknown:
        raise InputError(f"the atlas has {', '.join(FAMILIES)}, found {', '.join(unknown)}")
    others = _others(beside or [], named)
    wanted = named or [bone for bone in FAMILIES if bone in others or not beside]
    values: dict[str, Any] = {"bones": {}}
    with progress("drawing") as step, staged_folder(out) as folder:
        for bone in wanted:
            values["bones"][bone] = _draw_bone(
                bone, others.get(bone), folder, rebuild=rebuild, width=width, step=step
            )
    write_json(values, json)
    for bone, entry in values["bones"].items():
        _print_bone(out, bone, entry, json)


def _others(sources: list[Path], named: list[str]) -> dict[str, OtherMean]:
    """The other mean of each bone; every bone that is named must have one."""
    if not sources:
        return {}
    from osteoform.atlas.build import FAMILIES
    from osteoform.atlas.other_mean import other_files, read_other_mean

    only = named[0] if len(named) == 1 else None
    found: dict[str, OtherMean] = {}
    for path in other_files(sources):
        other = read_other_mean(path, bone=only)
        if named and other.bone not in named:
            continue
        if other.bone in found:
            raise InputError(f"--beside holds two means of the {other.bone}, needed one")
        found[other.bone] = other
    missing = [bone for bone in named or FAMILIES if bone not in found]
    if missing and (named or len(missing) == len(FAMILIES)):
        raise InputError(f"--beside holds no {', '.join(missing)}")
    return found


def _draw_bone(
    bone: str,
    other: OtherMean | None,
    folder: Path,
    *,
    rebuild: bool,
    width: int | None,
    step: Any,
) -> dict[str, Any]:
    from osteoform.atlas.build import family_of
    from osteoform.atlas.gap import atlas_mean, measure_gap
    from osteoform.atlas.page import picture_name
    from osteoform.show import atlas_sheet, gap_sheet, save_sheet

    atlas = atlas_mean(bone, rebuild=rebuild)
    name = picture_name(bone, beside=other is not None)
    if other is None:
        picture = atlas_sheet(bone, atlas, origin="Mean of the atlas", progress=step)
        entry: dict[str, Any] = {"picture": name}
    else:
        gap = measure_gap(family_of(bone), atlas, other.mesh)
        picture = gap_sheet(gap, name=other.name, origin=other.origin, progress=step)
        entry = {"picture": name, "beside": other.origin, "gap": gap_values(gap)}
    save_sheet(picture, folder / name, width_px=width)
    return entry


def gap_values(gap: MeanGap) -> dict[str, Any]:
    """A gap by region, as plain values for JSON."""
    from dataclasses import asdict

    rows = [asdict(region) for region in gap.regions]
    return {row.pop("region"): row for row in rows}


def _print_bone(out: Path, bone: str, entry: dict[str, Any], json: str | None) -> None:
    title = f"{bone}: {out / entry['picture']}"
    if "gap" not in entry:
        print_table(title, ["", ""], [["drawn", "alone"]], json_target=json)
        return
    rows = [
        [
            region,
            f"{100.0 * gap['area_share']:.0f}",
            f"{gap['mean_mm']:.2f}",
            f"{gap['p95_mm']:.2f}",
            f"{gap['bias_mm']:.2f}",
        ]
        for region, gap in entry["gap"].items()
    ]
    columns = ["region", "area [%]", "gap, mean [mm]", "95 %", "bias"]
    print_table(f"{title}, beside the {entry['beside']}", columns, rows, json_target=json)


def atlas_table(
    bone: Annotated[BoneName | None, typer.Argument(help="Which bone.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every bone of the atlas.")] = False,
    markdown: Annotated[
        bool,
        typer.Option("--markdown", help="As Markdown; with --all the page docs/atlas.md."),
    ] = False,
    json: JsonOption = None,
) -> None:
    """Print the parameters of a bone of the atlas: mean, spread, what they measure, sources."""
    if (bone is None) != every:
        raise InputError("needed one BONE or --all, see --help")
    if markdown and json is not None:
        raise InputError("--markdown and --json exclude each other")
    from osteoform.atlas.build import FAMILIES, family_of
    from osteoform.atlas.page import section, whole_page

    if markdown:
        sys.stdout.write(whole_page() if bone is None else section(bone.value))
        return
    tables = [family_of(name).table for name in (FAMILIES if bone is None else (bone.value,))]
    write_json({"bones": {table.bone: table_values(table) for table in tables}}, json)
    for table in tables:
        _print_parameters(table, json)


def table_values(table: AtlasTable) -> dict[str, Any]:
    """A table, as plain values for JSON; the mean form is in the table's own file."""
    from dataclasses import asdict

    return {
        "parameters": [asdict(parameter) for parameter in table.parameters],
        "inadequacy_mm": dict(table.inadequacy_mm),
    }


def _print_parameters(table: AtlasTable, json: str | None) -> None:
    from osteoform.atlas.page import COLUMNS, parameter_rows

    rows = parameter_rows(table)
    print_table(table.bone, COLUMNS, rows, json_target=json, whole_names=True)
