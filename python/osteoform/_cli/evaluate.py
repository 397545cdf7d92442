"""`osteoform evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osteoform._cli.console import number, print_table, progress, split_names, write_json
from osteoform._cli.options import (
    BoneOption,
    DetectorOption,
    FeatureName,
    GeometryName,
    GeometryOption,
    HarmonizerOption,
    JsonOption,
    ModelOption,
    SeedOption,
    SideOption,
    ThreadsOption,
    ViewsOption,
    fit_options,
    open_detector,
)
from osteoform._errors import InputError
from osteoform._output import check_file, check_folder, staged_folder
from osteoform._types import Side

if TYPE_CHECKING:
    from osteoform._shape_model import ShapeModel
    from osteoform.evaluate import Outcome, Subject

_GROSS_MM = 3.0


def evaluate(
    meshes: Annotated[
        list[Path],
        typer.Argument(
            metavar="MESH...",
            help="Whole bones [mm] in any axes: PLY, STL, legacy VTK, OBJ; or an .npz of bones in "
            "correspondence (vertices (S, N, 3), faces (M, 3)).",
        ),
    ],
    bone: BoneOption,
    side: SideOption,
    model: ModelOption = None,
    geometry: GeometryOption = GeometryName.CONE,
    views: ViewsOption = "ap,lateral",
    features: Annotated[
        FeatureName,
        typer.Option(
            "--features",
            help="By the detector, or true ones with 3 px of Gaussian noise.",
        ),
    ] = FeatureName.DETECTED,
    alone: Annotated[
        bool,
        typer.Option(
            "--alone", help="With detected features: no other bones of the leg in the X-rays."
        ),
    ] = False,
    seed: SeedOption = 0,
    leave_out: Annotated[
        bool,
        typer.Option(
            "--leave-out",
            help="Test each bone of an .npz with a model built from the others in it.",
        ),
    ] = False,
    subjects: Annotated[
        str | None,
        typer.Option(
            "--subjects",
            metavar="INDICES",
            help="Which bones of an .npz, from 0, separated by commas.  [default: all; of LLP26 "
            "with the shipped detector, those that it was not trained on]",
        ),
    ] = None,
    detector: DetectorOption = None,
    harmonizer: HarmonizerOption = "none",
    pictures: Annotated[
        Path | None,
        typer.Option("--pictures", metavar="DIR", help="Draw every case's overlays here."),
    ] = None,
    threads: ThreadsOption = None,
    json: JsonOption = None,
) -> None:
    """Measure accuracy on real bones: simulate X-rays, reconstruct, compare.

    Each bone gets a random pose (sd 6 degrees and 8 mm); where features are detected, mean bones
    of the atlas make the rest of the leg around it. The error is the distance [mm] from the
    true surface to the reconstructed one where the X-rays put it, not realigned. The averages are
    over the cases that did not fail; a case fails if it raises or its status is NOT_FOUND.
    """
    _check_targets(json, pictures)
    if leave_out and model is not None:
        raise InputError("--leave-out builds its models from MESH: leave --model out")
    names = split_names(views)
    if not names or any(name not in ("ap", "lateral") for name in names):
        raise InputError(f"--views must be ap, lateral or both, found {views!r}")
    chosen = _indices(subjects)
    unseen_only = features is FeatureName.DETECTED and detector is None
    with progress("preparing models"):
        from osteoform._split import held_out_in
        from osteoform.evaluate import Protocol, report
        from osteoform.evaluate import evaluate as run
        from osteoform.modeling.correspondence import is_collection

        shared = None if leave_out else _load(model, bone.value)
        bones = []
        for path in meshes:
            if is_collection(path):
                picked = chosen or (held_out_in(path) if unseen_only else None)
                bones += _collection(path, bone.value, side.value, shared, picked)
            else:
                bones.append(_single(path, shared))
    protocol = Protocol(
        side=side.value,
        alone=alone,
        geometry=geometry.value,
        view_names=names,
        features=features.value,
        seed=seed,
        options=fit_options(threads),
    )
    results = []
    with progress("evaluating", len(bones)) as step:
        for subject, outcome in zip(
            bones, run(bones, protocol, detector=open_detector(detector, harmonizer)), strict=True
        ):
            results.append(outcome.result)
            if pictures is not None:
                _draw(pictures, subject, outcome)
            step(outcome.result.name)
    values = report(results)
    write_json(values, json)
    setup = f"{geometry.value}, {' + '.join(names)}, {features.value} features, seed {seed}"
    _print(values, title=f"{side.value} {bone.value}: {setup}", json=json)


def _check_targets(json: str | None, pictures: Path | None) -> None:
    if json not in (None, "-"):
        check_file(Path(json))
    if pictures is not None:
        check_folder(pictures)


def _indices(text: str | None) -> tuple[int, ...] | None:
    names = split_names(text)
    if names is None:
        return None
    if not names or not all(name.isdecimal() for name in names):
        raise InputError(f"--subjects must be indices separated by commas, found {text!r}")
    return tuple(int(name) for name in names)


def _load(model: Path | None, bone: str) -> ShapeModel:
    from osteoform._models import load_model

    return load_model(model, bone=bone)


def _single(path: Path, model: ShapeModel | None) -> Subject:
    from osteoform.evaluate import Subject
    from osteoform.io.meshes import read_mesh

    if model is None:
        raise InputError(f"--leave-out needs an .npz of bones in correspondence, found {path}")
    return Subject(name=path.stem, mesh=read_mesh(path), model=model)


def _collection(
    path: Path, bone: str, side: Side, shared: ShapeModel | None, chosen: Sequence[int] | None
) -> list[Subject]:
    from osteoform._placement import place_collection
    from osteoform._trial import mirrored
    from osteoform._types import Mesh
    from osteoform.evaluate import Subject
    from osteoform.modeling.build import build_model
    from osteoform.modeling.correspondence import read_correspondence

    vertices, faces = read_correspondence(path)
    indices = range(len(vertices)) if chosen is None else chosen
    if any(index >= len(vertices) for index in indices):
        raise InputError(f"--subjects must be 0 to {len(vertices) - 1}, found {list(indices)}")
    turns = None if shared is None else place_collection(shared, vertices, faces, side=side)
    found = []
    for index in indices:
        right = Mesh(vertices=vertices[index].astype("float32"), faces=faces)
        found.append(
            Subject(
                name=f"{path.stem}-{index}",
                mesh=right if side == "right" else mirrored(right),
                model=shared or build_model(vertices, faces, bone, leave_out=[index]),
                rotation=None if turns is None else turns[index],
            )
        )
    return found


def _draw(pictures: Path, subject: Subject, outcome: Outcome) -> None:
    if outcome.reconstruction is None:
        return
    from osteoform._draw import draw_overlay, save_png
    from osteoform._report import overlay_bone, overlay_name

    part = outcome.reconstruction.bones[subject.model.bone]
    with staged_folder(pictures) as folder:
        for index, view in enumerate(outcome.trial.views):
            image = draw_overlay(view, [overlay_bone(part, subject.model, index)])
            save_png(image, folder / overlay_name(f"{subject.name}_{view.name}"))


def _print(values: dict[str, Any], *, title: str, json: str | None) -> None:
    columns = ["case", "status", "mean", "RMS", "p95", "max [mm]", "boundary [%]"]
    one_view = any("rigidly_aligned_mean_mm" in case for case in values["cases"])
    if one_view:
        columns.append("rigidly aligned mean")
    rows = [_row(case, one_view=one_view) for case in values["cases"]]
    print_table(title, columns, rows, json_target=json)
    summary = values["summary"]
    gross = sum((case["mean_mm"] or 0.0) > _GROSS_MM for case in values["cases"])
    total = values["timings_ms"].get("total")
    line = [
        str(summary["n"]),
        number(summary["mean_mm"]),
        number(summary["rms_mm"]),
        number(summary["p95_mm"]),
        number(summary["worst_mm"]),
        str(summary["failures"]),
        str(gross),
        number(total, 0),
    ]
    heads = ["n", "mean", "RMS", "p95", "worst [mm]", "failures", "above 3 mm", "time [ms]"]
    if one_view:
        heads.append("rigidly aligned mean")
        line.append(number(summary.get("rigidly_aligned_mean_mm")))
    print_table("over all cases", heads, [line], json_target=json)


def _row(case: dict[str, Any], *, one_view: bool) -> list[str]:
    row = [
        case["name"],
        case["status"],
        number(case["mean_mm"]),
        number(case["rms_mm"]),
        number(case["p95_mm"]),
        number(case["max_mm"]),
        number(100.0 * case["boundary_found"], 0),
    ]
    return [*row, number(case.get("rigidly_aligned_mean_mm"))] if one_view else row
