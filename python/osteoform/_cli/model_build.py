"""`osteoform model build`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osteoform._cli.console import number, print_table, progress, split_names, write_json
from osteoform._cli.model import ModelFileOption, model_values, print_model, show_model
from osteoform._cli.options import BoneOption, JsonOption, SideName
from osteoform._errors import InputError
from osteoform._output import check_file, staged_file
from osteoform._types import Side

if TYPE_CHECKING:
    from osteoform.modeling.from_meshes import BuiltModel
    from osteoform.modeling.kernel_modes import KernelOptions


def build(
    meshes: Annotated[
        list[Path],
        typer.Argument(
            metavar="MESHES...",
            help="Whole bones, one per file, of any topology, axes and side: PLY, STL, OBJ, legacy "
            "VTK; or one .npz of bones in correspondence (vertices (S, N, 3) [mm, axes LPS], "
            "faces (M, 3)).",
        ),
    ],
    bone: BoneOption,
    out: ModelFileOption,
    side: Annotated[
        SideName | None,
        typer.Option(
            "--side",
            help="Side of these bones.  [default: found for each mesh; as an .npz says]",
        ),
    ] = None,
    template: Annotated[
        Path | None,
        typer.Option(
            "--template",
            metavar="FILE",
            help="Model that raw meshes are brought into correspondence with.  "
            "[default: the shipped model]",
        ),
    ] = None,
    leave_out: Annotated[
        str | None,
        typer.Option("--leave-out", metavar="INDICES", help="Bones not to use, from 0, by commas."),
    ] = None,
    num_pca: Annotated[
        int | None,
        typer.Option("--num-pca", min=0, help="Learned modes to keep.  [default: all]"),
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
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="FILE.png", help="Draw the quality of a model of raw meshes."
        ),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Build a shape model from bones: mean, learned and local modes.

    Raw meshes are repaired, turned right-sided and brought into correspondence with a template;
    one is enough: where they are few, the template's learned modes help. What the model cannot
    express of an unseen bone is measured by leaving each bone out.
    """
    for target in (out, plot, None if json in (None, "-") else Path(str(json))):
        if target is not None:
            check_file(target)
    from osteoform.modeling.correspondence import is_collection
    from osteoform.modeling.kernel_modes import KernelOptions

    kernel = KernelOptions(sd_mm=kernel_sd_mm, length_mm=kernel_length_mm, num_modes=num_kernel)
    chosen = kernel if num_kernel else None
    said: Side | None = side.value if side else None
    dropped = _indices(leave_out)
    if len(meshes) == 1 and is_collection(meshes[0]):
        if template is not None or plot is not None:
            raise InputError("--template and --plot are for raw meshes, found an .npz of bones")
        _from_correspondence(meshes[0], bone.value, out, said, dropped, num_pca, chosen, json)
        return
    used = _without(meshes, dropped)
    built = _from_raw(used, bone.value, out, said, template, num_pca, chosen, plot)
    values = model_values(built.model) | built.values()
    write_json(values, json)
    print_model(values, str(out), json)
    _print_bones(built, json)
    _print_quality(built, json)


def _from_correspondence(
    path: Path,
    bone: str,
    out: Path,
    side: Side | None,
    leave_out: Sequence[int],
    num_pca: int | None,
    kernel: KernelOptions | None,
    json: str | None,
) -> None:
    from osteoform.modeling.build import build_model
    from osteoform.modeling.correspondence import read_correspondence

    vertices, faces = read_correspondence(path, side=side)
    with progress("leaving each bone out", len(vertices)) as step:
        model = build_model(
            vertices,
            faces,
            bone,
            num_pca=num_pca,
            kernel=kernel,
            leave_out=leave_out,
            origin=_command(),
            progress=lambda _done, total: step(total=total),
        )
    with staged_file(out) as staged:
        model.save(staged)
    show_model(model, str(out), json)


def _from_raw(
    paths: Sequence[Path],
    bone: str,
    out: Path,
    side: Side | None,
    template: Path | None,
    num_pca: int | None,
    kernel: KernelOptions | None,
    plot: Path | None,
) -> BuiltModel:
    import numpy as np

    from osteoform._models import load_model
    from osteoform.modeling.from_meshes import build_from_meshes
    from osteoform.modeling.repair import length_of, read_bone

    model = load_model(template, bone=bone)
    length_mm = length_of(model.mean.astype(np.float64))
    with progress("reading", 3 * len(paths)) as step:
        bones = []
        for path in paths:
            bones.append(read_bone(path, length_mm=length_mm))
            step(f"read {path.name}")
        built = build_from_meshes(
            model,
            bones,
            side=side,
            num_pca=num_pca,
            kernel=kernel,
            origin=_command(),
            progress=step,
        )
    with staged_file(out) as staged:
        built.model.save(staged)
    if plot is not None:
        from osteoform._plot import draw_quality

        with staged_file(plot) as staged:
            draw_quality(built, staged)
    return built


def _print_bones(built: BuiltModel, json: str | None) -> None:
    rows = [
        [
            entry["name"],
            _side(entry),
            number(entry["residual_rms_mm"]),
            number(entry["residual_max_mm"]),
            number(entry["left_out_rms_mm"]),
            "; ".join(entry["repairs"]) or "-",
        ]
        for entry in built.values()["registration"]
    ]
    columns = ["bone", "side", "residual RMS", "max [mm]", "left out RMS [mm]", "repaired"]
    print_table("registration", columns, rows, json_target=json)


def _side(entry: dict[str, Any]) -> str:
    if entry["side_said"]:
        return f"{entry['side']} (as said)"
    return str(entry["side"]) if entry["side_sure"] else f"{entry['side']} (unsure: see --side)"


def _print_quality(built: BuiltModel, json: str | None) -> None:
    quality = built.quality
    count = len(quality.compactness)
    general = quality.generalization_mm
    shown = sorted({0, *(k for k in (1, 2, 3, 5, 8, 12, 20, 30) if k < count), count})
    rows = [
        [
            str(k),
            number(100.0 * float(quality.compactness[k - 1]), 0) if k else "0",
            number(None if general is None else float(general[k])),
            number(float(quality.specificity_mm[k])),
        ]
        for k in shown
    ]
    columns = ["learned modes", "compactness [%]", "generalization [mm]", "specificity [mm]"]
    print_table("quality", columns, rows, json_target=json)


def _without(meshes: Sequence[Path], leave_out: Sequence[int]) -> list[Path]:
    wrong = [i for i in leave_out if i >= len(meshes)]
    if wrong:
        raise InputError(f"--leave-out must hold indices 0..{len(meshes) - 1}, found {wrong}")
    return [path for i, path in enumerate(meshes) if i not in leave_out]


def _indices(text: str | None) -> tuple[int, ...]:
    names = split_names(text) or ()
    if not all(name.isdecimal() for name in names):
        raise InputError(f"--leave-out must be indices separated by commas, found {text!r}")
    return tuple(int(name) for name in names)


def _command() -> str:
    """The command line without folders: what a reader needs to repeat it."""
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return shlex.join(["osteoform", *words])
