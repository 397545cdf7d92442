"""`osteoform train`."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osteoform._cli.console import number, print_table, progress, write_json
from osteoform._cli.options import JsonOption, SeedOption
from osteoform._errors import InputError, MissingExtraError
from osteoform._output import check_file, check_folder, staged_file

if TYPE_CHECKING:
    from osteoform.train.loop import TrainingReport
    from osteoform.train.validate import DetectorScore

_VALIDATION_SEED_OFFSET = 1_000_003
_NUM_DRAWN = 16
# Of the rates, for weights that were trained before: they have to learn, not to forget.
_RATE_FROM = 0.2


class DeviceName(StrEnum):
    """Where a network learns."""

    CPU = "cpu"
    CUDA = "cuda"


def train(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Folder with *_left_BONE.npz: legs in correspondence, axes LPS [mm].",
        ),
    ],
    work: Annotated[Path, typer.Option("--work", metavar="DIR", help="Where checkpoint.pt goes.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="The network file to write (.onnx); beside it its card (.md) and a sheet of "
            "held-out cases (.png).",
        ),
    ],
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0.0, help="Stop after this many minutes.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Stop after this many steps.")
    ] = None,
    seed: SeedOption = 0,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads of PyTorch.")] = 2,
    device: Annotated[
        DeviceName | None,
        typer.Option("--device", help="Where to learn; by itself on a GPU where there is one."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=2,
            help="Processes that render scenes: 3, and beside a GPU all processors but one.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in --work.")
    ] = False,
    start_from: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Begin with the weights of another run: its checkpoint.pt or its network (.onnx).",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            min=0.01,
            max=1.0,
            help="Share of the highest learning rates to begin with: 1, and 0.2 with --from.",
        ),
    ] = None,
    mean_with: Annotated[
        Path | None,
        typer.Option(
            "--mean-with",
            metavar="FILE",
            help="Write the mean of the trained weights and those of this network (.onnx): of "
            "the one of --from, as a rule.",
        ),
    ] = None,
    images: Annotated[
        int,
        typer.Option("--images", min=10, help="Images of held-out people to measure it on."),
    ] = 300,
    json: JsonOption = None,
) -> None:
    """Train the feature detector on simulated X-rays (extra `train`: PyTorch).

    The people in the package's split never enter it; on them the finished network is measured and
    its uncertainties are calibrated. Give --minutes or --steps.
    """
    _check(
        data, work, out, minutes, steps, resume=resume, start_from=start_from, mean_with=mean_with
    )
    from osteoform.train.loop import run_training
    from osteoform.train.workshop import open_workshop

    workshop = open_workshop(device, threads=threads, workers=workers)
    usual_rate = 1.0 if start_from is None else _RATE_FROM
    with progress("training", 1000) as step:

        def show(share: float, line: str) -> None:
            step.set(round(1000 * share), line)

        report = run_training(
            data=data,
            out=work,
            workshop=workshop,
            minutes=minutes,
            steps=steps,
            seed=seed,
            resume=resume,
            start_from=start_from,
            peak_rate=usual_rate if rate is None else rate,
            progress=show,
        )
    with (
        progress("measuring on people held out"),
        staged_file(out) as path,
        staged_file(out.with_suffix(".md")) as card_path,
        staged_file(out.with_suffix(".png")) as picture,
    ):
        score = _export(
            report, path, card_path, picture, data=data, num_images=images, mean_with=mean_with
        )
    values = {
        "training": {**asdict(report), "checkpoint": report.checkpoint.name},
        "score": asdict(score),
    }
    write_json(values, json)
    _print(values, json)


def _check(
    data: Path,
    work: Path,
    out: Path,
    minutes: float | None,
    steps: int | None,
    *,
    resume: bool,
    start_from: Path | None,
    mean_with: Path | None,
) -> None:
    missing = [name for name in ("torch", "onnx") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"training needs {' and '.join(missing)}: pip install 'osteoform[train]'"
        )
    if (minutes is None) == (steps is None):
        raise InputError("give either --minutes or --steps")
    if not data.is_dir():
        raise InputError(f"--data must be a folder, found none at {data}")
    if resume and not (work / "checkpoint.pt").is_file():
        raise InputError(f"--resume needs {work / 'checkpoint.pt'}, found none")
    if start_from is not None and not start_from.is_file():
        raise InputError(f"--from must be a checkpoint or a network, found none at {start_from}")
    if mean_with is not None and not mean_with.is_file():
        raise InputError(f"--mean-with must be a network, found none at {mean_with}")
    if resume and start_from is not None:
        raise InputError("give either --resume or --from")
    check_folder(work)
    check_file(out)


def _export(
    report: TrainingReport,
    path: Path,
    card_path: Path,
    picture: Path,
    *,
    data: Path,
    num_images: int,
    mean_with: Path | None,
) -> DetectorScore:
    """Write the network to measure it, and again with the calibration that came of it."""
    from osteoform._detect import OnnxDetector
    from osteoform.train.card import card
    from osteoform.train.export import Calibration, export_onnx
    from osteoform.train.loop import load_network
    from osteoform.train.pictures import draw_cases
    from osteoform.train.thaw import mean_network
    from osteoform.train.validate import validate, validation_cases

    origin = ", then with --from its network ".join(f"`{run}`" for run in report.history)
    network = load_network(report.checkpoint)
    export_onnx(network, path, calibration=Calibration(), origin=origin, seed=report.seed)
    if mean_with is not None:
        network = mean_network(path, mean_with)
        origin += "; the mean of its weights and those it began with (--mean-with)"
        export_onnx(network, path, calibration=Calibration(), origin=origin, seed=report.seed)
    detector, seed = OnnxDetector(path), report.seed + _VALIDATION_SEED_OFFSET
    score = validate(detector, data=data, num_images=num_images, seed=seed)
    cases = list(validation_cases(data, _NUM_DRAWN, seed))
    draw_cases(detector, cases).save(picture)
    export_onnx(network, path, calibration=score.calibration, origin=origin, seed=report.seed)
    card_path.write_text(card(report, score, origin))
    return score


def _print(values: dict[str, Any], json: str | None) -> None:
    rows = [
        [
            bone["bone"],
            number(bone["median_px"]),
            number(bone["median_mm"]),
            number(100.0 * bone["found_share"], 0),
            number(100.0 * bone["false_share"], 0),
            number(bone["box_iou"]),
            "-" if bone["size_error"] is None else number(100.0 * bone["size_error"], 1),
        ]
        for bone in values["score"]["bones"]
    ]
    columns = [
        "bone",
        "median error [px]",
        "median error [mm]",
        "found [%]",
        "false [%]",
        "box IoU",
        "ellipse radius [%]",
    ]
    title = f"{values['training']['steps']} steps; people held out"
    print_table(title, columns, rows, json_target=json)
