"""`osteoform model import` and `osteoform model export`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from osteoform._cli.console import print_table, progress, split_names, write_json
from osteoform._cli.model import ModelFileOption, info
from osteoform._cli.options import BoneName, BoneOption, JsonOption, SideName, SideOption
from osteoform._errors import InputError
from osteoform._output import check_file, check_folder, staged_file, staged_folder

if TYPE_CHECKING:
    from osteoform._shape_model import ShapeModel


def import_model(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="statismo or scalismo .h5 or .h5.json; LLP26 .pc; a folder of ShapeWorks "
            ".particles; or an .npz with modes (K, N, 3) [mm at one standard deviation], mean "
            "(N, 3) and faces (M, 3).",
        ),
    ],
    bone: BoneOption,
    side: SideOption,
    out: ModelFileOption,
    mesh: Annotated[
        Path | None,
        typer.Option(
            "--mesh",
            metavar="FILE",
            help="PLY or OBJ: the mean of an .npz; or the surface of one of the people, or of "
            "their mean, of particles.  [default: in the .npz; the template's surface]",
        ),
    ] = None,
    template: Annotated[
        Path | None,
        typer.Option(
            "--template",
            metavar="FILE",
            help="Model of the same bone whose axes are taken over, and whose surface where the "
            "file has points only.  [default: the shipped model]",
        ),
    ] = None,
    inadequacy_mm: Annotated[
        float | None,
        typer.Option(
            "--inadequacy-mm",
            min=0.0,
            help="Standard deviation of what the model cannot express, along the normal.  "
            "[default: the file's noise; with its people, measured by leaving each out]",
        ),
    ] = None,
    leave_out: Annotated[
        str | None,
        typer.Option(
            "--leave-out", metavar="INDICES", help="People not to use, from 0, by commas."
        ),
    ] = None,
    num_kernel: Annotated[
        int, typer.Option("--num-kernel", min=0, help="Smooth local modes to add.")
    ] = 0,
    json: JsonOption = None,
) -> None:
    """Turn a published shape model into one of ours: frame, side, surface and features.

    The bone may lie in any pose, in mm. A file that is damaged, holds code or does not fit is
    refused.
    """
    check_file(out)
    from osteoform._models import load_model
    from osteoform.io.meshes import read_mesh
    from osteoform.modeling.adopt import adopt
    from osteoform.modeling.formats.read import read_foreign
    from osteoform.modeling.kernel_modes import KernelOptions

    read = read_foreign(file, bone=bone.value, mesh=read_mesh(mesh) if mesh else None)
    like = load_model(template, bone=bone.value)
    left_out = _indices(leave_out)
    with progress("bringing the model into our frame") as step:
        adopted = adopt(
            read.content,
            side=side.value,
            template=like,
            inadequacy_mm=inadequacy_mm,
            leave_out=left_out,
            kernel=KernelOptions(num_modes=num_kernel) if num_kernel else None,
            progress=lambda done, total: step(f"leaving each out: {done} of {total}"),
        )
    command = _command(file, bone.value, side.value, left_out)
    surface = "the template's surface" if adopted.carried else "its own surface"
    found = f"{read.format}, {surface}, {adopted.placement_rms_mm:.1f} mm RMS from the template"
    with staged_file(out) as path:
        replace(adopted.model, origin=f"{command}: {found}").save(path)
    info(str(out), json=json)


def export_model(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A model file, a folder with BONE.npz, or a shipped name."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE_OR_DIR",
            help="FILE.h5: statismo 0.9, for scalismo too. FILE.npz: mean, modes, faces. A folder: "
            "the mean and its first modes as PLY.",
        ),
    ],
    bone: Annotated[BoneName | None, typer.Option("--bone", help="Which bone of a folder.")] = None,
    side: Annotated[
        SideName, typer.Option("--side", help="Side to write; models are kept right-sided.")
    ] = SideName.RIGHT,
    num_modes: Annotated[
        int, typer.Option("--num-modes", min=0, help="Of PLY: how many modes.")
    ] = 5,
    num_sd: Annotated[
        float, typer.Option("--num-sd", help="Of PLY: how many standard deviations.")
    ] = 2.0,
    json: JsonOption = None,
) -> None:
    """Write a shape model for other software: the same Gaussian, in mm, axes LPS."""
    from osteoform._models import load_model

    suffix = out.suffix.lower()
    if suffix not in ("", ".h5", ".npz"):
        raise InputError(f"{out}: needed .h5, .npz or a folder, found {out.suffix!r}")
    check_file(out) if suffix else check_folder(out)
    loaded = load_model(model, bone=bone.value if bone else None)
    if side is SideName.LEFT:
        loaded = loaded.mirrored()
    written = _write_file(out, loaded) if suffix else _write_folder(out, loaded, num_modes, num_sd)
    write_json({"files": written}, json)
    print_table(model, ["written"], [[name] for name in written], json_target=json)


def _write_file(out: Path, model: ShapeModel) -> list[str]:
    from osteoform.modeling.formats.plain import write_plain
    from osteoform.modeling.formats.statismo import write_statismo

    write = write_statismo if out.suffix.lower() == ".h5" else write_plain
    with staged_file(out) as path:
        write(path, model)
    return [str(out)]


def _write_folder(out: Path, model: ShapeModel, num_modes: int, num_sd: float) -> list[str]:
    from osteoform.modeling.formats.ply_modes import write_ply_modes

    with staged_folder(out) as folder:
        files = write_ply_modes(folder, model, num_modes=num_modes, num_sd=num_sd)
    return [str(out / file.name) for file in files]


def _command(file: Path, bone: str, side: str, left_out: tuple[int, ...]) -> str:
    """What made the model, without folders: kept in it as its origin."""
    command = f"osteoform model import {file.name} --bone {bone} --side {side}"
    if left_out:
        command += f" --leave-out {','.join(map(str, left_out))}"
    return command


def _indices(text: str | None) -> tuple[int, ...]:
    names = split_names(text) or ()
    if not all(name.isdecimal() for name in names):
        raise InputError(f"--leave-out must be indices separated by commas, found {text!r}")
    return tuple(int(name) for name in names)
