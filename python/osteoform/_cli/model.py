"""`osteoform model build`, `osteoform model info` and `osteoform atlas build`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osteoform._cli.console import number, print_table, progress, split_names, write_json
from osteoform._cli.options import BoneName, BoneOption, JsonOption, SideName
from osteoform._errors import InputError
from osteoform._output import check_file, staged_file

if TYPE_CHECKING:
    from osteoform._shape_model import ShapeModel

ModelFileOption = Annotated[
    Path, typer.Option("--out", metavar="FILE", help="The model file to write (.npz).")
]


def build(
    bones: Annotated[
        Path,
        typer.Argument(
            metavar="BONES.npz",
            help="Bones in correspondence: vertices (S, N, 3) [mm, axes LPS], faces (M, 3).",
        ),
    ],
    bone: BoneOption,
    out: ModelFileOption,
    side: Annotated[
        SideName | None,
        typer.Option("--side", help="Side of these bones.  [default: as the file says]"),
    ] = None,
    leave_out: Annotated[
        str | None,
        typer.Option("--leave-out", metavar="INDICES", help="Bones not to use, from 0, by commas."),
    ] = None,
    num_pca: Annotated[
        int | None,
        typer.Option("--num-pca", min=0, help="Principal modes to keep.  [default: all]"),
    ] = None,
    num_kernel: Annotated[
        int, typer.Option("--num-kernel", min=0, help="Smooth local modes to add.")
    ] = 60,
    kernel_sd_mm: Annotated[
        float, typer.Option(help="Standard deviation of the local modes' displacement [mm].")
    ] = 1.2,
    kernel_length_mm: Annotated[
        float, typer.Option(help="Distance over which local displacements are alike [mm].")
    ] = 25.0,
    json: JsonOption = None,
) -> None:
    """Build a shape model from bones in correspondence: mean, principal and local modes.

    What such a model cannot express of an unseen bone is measured by leaving each bone out.
    """
    check_file(out)
    from osteoform.modeling.build import build_model
    from osteoform.modeling.correspondence import read_correspondence
    from osteoform.modeling.kernel_modes import KernelOptions

    vertices, faces = read_correspondence(bones, side=side.value if side else None)
    kernel = KernelOptions(sd_mm=kernel_sd_mm, length_mm=kernel_length_mm, num_modes=num_kernel)
    with progress("leaving each bone out", len(vertices)) as step:
        model = build_model(
            vertices,
            faces,
            bone.value,
            num_pca=num_pca,
            kernel=kernel if num_kernel else None,
            leave_out=_indices(leave_out),
            origin=_command(),
            progress=lambda _done, total: step(total=total),
        )
    with staged_file(out) as path:
        model.save(path)
    _show(model, str(out), json)


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

    _show(load_model(model, bone=bone.value if bone else None), model, json)


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
    _show(model, str(out), json)


def _indices(text: str | None) -> tuple[int, ...]:
    names = split_names(text) or ()
    if not all(name.isdecimal() for name in names):
        raise InputError(f"--leave-out must be indices separated by commas, found {text!r}")
    return tuple(int(name) for name in names)


def _command() -> str:
    """The command line without folders: what a reader needs to repeat it."""
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return shlex.join(["osteoform", *words])


def _show(model: ShapeModel, name: str, json: str | None) -> None:
    values = model_values(model)
    write_json(values, json)
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
