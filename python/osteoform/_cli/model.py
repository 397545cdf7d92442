"""`osteoform model info` and `osteoform atlas build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osteoform._cli.console import number, print_table, progress, write_json
from osteoform._cli.options import BoneName, JsonOption
from osteoform._output import check_file, staged_file

if TYPE_CHECKING:
    from osteoform._shape_model import ShapeModel

ModelFileOption = Annotated[
    Path, typer.Option("--out", metavar="FILE", help="The model file to write (.npz).")
]


def info(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A model file, a folder with BONE.npz, or a shipped name."
        ),
    ],
    bone: Annotated[BoneName | None, typer.Option("--bone", help="Which bone of a folder.")] = None,
    json: JsonOption = None,
) -> None:
    """Say what a shape model holds: size, modes, features, accuracy and origin."""
    from osteoform._models import load_model

    show_model(load_model(model, bone=bone.value if bone else None), model, json)


def atlas_build(
    bone: Annotated[BoneName, typer.Argument(help="Which bone.")],
    out: ModelFileOption,
    json: JsonOption = None,
) -> None:
    """Build a shipped model from its table of anatomical measurements; the same on every run."""
    check_file(out)
    from osteoform.atlas.build import build_atlas_bone

    with progress("drawing bones from the table", 1) as step, staged_file(out) as path:
        model = build_atlas_bone(bone.value, path, progress=lambda _done, total: step(total=total))
    show_model(model, str(out), json)


def show_model(model: ShapeModel, name: str, json: str | None) -> None:
    """Print what a model holds, or write it as JSON."""
    values = model_values(model)
    write_json(values, json)
    print_model(values, name, json)


def print_model(values: dict[str, Any], name: str, json: str | None) -> None:
    """Print the table of a model."""
    rows = [
        ["bone", values["bone"]],
        ["vertices, faces", f"{values['num_vertices']}, {values['num_faces']}"],
        ["modes", f"{values['num_modes']}: {values['num_pca']} learned, the rest local"],
        ["mean size x, y, z [mm]", " ".join(number(x, 1) for x in values["mean_size_mm"])],
        ["variation, RMS over the surface [mm]", number(values["variation_rms_mm"])],
        ["cannot express, RMS along the normal [mm]", number(values["inadequacy_rms_mm"])],
        ["feature points", str(len(values["points"]))],
        ["feature ellipsoids", ", ".join(values["ellipsoids"]) or "-"],
        ["axes", ", ".join(values["axes"]) or "-"],
        ["origin", values["origin"]],
    ]
    print_table(name, ["", "shape model"], rows, json_target=json)


def model_values(model: ShapeModel) -> dict[str, Any]:
    """What a model holds, as plain values for JSON."""
    import numpy as np

    squares = np.square(model.modes.astype(np.float64)).sum(axis=(0, 2))
    return {
        "bone": model.bone,
        "num_vertices": model.num_vertices,
        "num_faces": len(model.faces),
        "num_modes": model.num_modes,
        "num_pca": model.num_pca,
        "mean_size_mm": np.ptp(model.mean.astype(np.float64), axis=0).tolist(),
        "variation_rms_mm": float(np.sqrt(squares.mean())),
        "inadequacy_rms_mm": float(np.sqrt(np.mean(np.square(model.inadequacy_mm)))),
        "points": list(model.point_names),
        "ellipsoids": list(model.ellipsoid_names),
        "axes": [axis[0] for axis in model.axes],
        "origin": model.origin,
    }
