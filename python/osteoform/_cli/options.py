"""Options that several commands share, and what they turn into."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from osteoform._errors import InputError, ModelFileError
from osteoform._types import BONES

if TYPE_CHECKING:
    from osteoform._core import FitOptions
    from osteoform._detect import OnnxDetector
    from osteoform._harmonize import Harmonizer
    from osteoform._shape_model import ShapeModel


class SideName(StrEnum):
    """Which leg."""

    LEFT = "left"
    RIGHT = "right"


class BoneName(StrEnum):
    """The bones of a leg."""

    FEMUR = "femur"
    TIBIA = "tibia"
    FIBULA = "fibula"
    PATELLA = "patella"


class GeometryName(StrEnum):
    """How the X-rays are taken."""

    CONE = "cone"
    SLOT = "slot"


class FeatureName(StrEnum):
    """Where an evaluation's features come from."""

    DETECTED = "detected"
    SIMULATED = "simulated"


OutOption = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder for the results; made if missing.")
]
JsonOption = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write the numbers as JSON to this file; '-' or nothing: to standard output, "
        "instead of the table.",
    ),
]
BonesOption = Annotated[
    str | None,
    typer.Option(
        "--bones",
        metavar="NAMES",
        help=f"Bones out of {', '.join(BONES)}, separated by commas or spaces.  "
        "[default: those of the study that there is a model of]",
    ),
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="FILE_OR_DIR",
        help="Shape model (.npz), or a folder with BONE.npz.  [default: the shipped model]",
    ),
]
DetectorOption = Annotated[
    Path | None,
    typer.Option(
        "--detector", metavar="FILE", help="Detector network (.onnx).  [default: the shipped one]"
    ),
]
HarmonizerOption = Annotated[
    str,
    typer.Option(
        "--harmonizer",
        metavar="NAME_OR_FILE",
        help="Look that the detector sees an image with: none leaves it as it is, classical matches "
        "its spectrum and grey values to simulated X-rays, FILE.onnx is a network for it.",
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, max=256, help="Threads of the fit.  [default: all cores]"),
]
SideOption = Annotated[SideName, typer.Option("--side", help="Which leg.")]
BoneOption = Annotated[BoneName, typer.Option("--bone", help="Which bone.")]
GeometryOption = Annotated[
    GeometryName, typer.Option("--geometry", help="Cone beam or slot scanner.")
]
ViewsOption = Annotated[
    str,
    typer.Option(
        "--views", metavar="NAMES", help="ap, lateral or both, 90 degrees apart: ap,lateral."
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of every random number.")]


def fit_options(threads: int | None) -> FitOptions:
    """Default options with a number of threads; the result does not depend on it."""
    from osteoform._core import FitOptions

    return FitOptions(num_threads=threads or min(os.cpu_count() or 1, 16))


def open_detector(path: Path | None, harmonizer: str = "none") -> OnnxDetector | None:
    """The network of a file, with a harmonizer; neither leaves the choice to the library."""
    if path is None and harmonizer == "none":
        return None
    from osteoform._detect import OnnxDetector

    return OnnxDetector(path, harmonizer=_open_harmonizer(harmonizer))


def _open_harmonizer(name: str) -> Harmonizer | None:
    from osteoform._harmonize import MatchAppearance, OnnxHarmonizer

    if name.endswith(".onnx"):
        return OnnxHarmonizer(Path(name))
    if name not in ("none", "classical"):
        raise InputError(f"--harmonizer must be none, classical or FILE.onnx, found {name!r}")
    return MatchAppearance.simulated() if name == "classical" else None


def choose_models(
    source: Path | None, wanted: Sequence[str] | None, in_study: Sequence[str]
) -> dict[str, ShapeModel]:
    """Models of the bones asked for, or else of those in the study that there is a model of."""
    from osteoform._models import load_model, shipped_models

    if wanted is not None:
        unknown = [bone for bone in wanted if bone not in BONES]
        if unknown or not wanted:
            raise InputError(f"--bones must be out of {', '.join(BONES)}, found {unknown}")
        return {bone: load_model(source, bone=bone) for bone in wanted}
    if source is not None and not source.is_dir():
        model = load_model(source)
        return {model.bone: model}
    if source is None:
        there = [bone for bone in in_study if bone in shipped_models()]
    else:
        there = [bone for bone in in_study if (source / f"{bone}.npz").is_file()]
    if not there:
        raise ModelFileError(
            f"no model of {', '.join(in_study)} in {source or 'the package'}; pass --model"
        )
    return {bone: load_model(source, bone=bone) for bone in there}
