"""`osteoform reconstruct` and `osteoform detect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osteoform._cli.console import (
    number,
    print_table,
    progress,
    split_names,
    stderr,
    write_json,
)
from osteoform._cli.options import (
    BonesOption,
    DetectorOption,
    HarmonizerOption,
    JsonOption,
    ModelOption,
    OutOption,
    ThreadsOption,
    choose_models,
    fit_options,
    open_detector,
)
from osteoform._output import check_folder, staged_folder
from osteoform._types import BONES

if TYPE_CHECKING:
    import numpy as np

    from osteoform._attitude import Attitude
    from osteoform._types import Detection

StudyArgument = Annotated[
    Path,
    typer.Argument(metavar="STUDY", help="Study file (JSON), or a folder with study.json."),
]
FeaturesOption = Annotated[
    Path | None,
    typer.Option(
        "--features",
        metavar="FILE",
        help="Boxes, points and ellipses given by hand (JSON, pixels), added to what the detector "
        "finds or in its place; detections.json, corrected, is one.",
    ),
]


def reconstruct(
    study: StudyArgument,
    out: OutOption,
    bones: BonesOption = None,
    model: ModelOption = None,
    detector: DetectorOption = None,
    features: FeaturesOption = None,
    harmonizer: HarmonizerOption = "none",
    threads: ThreadsOption = None,
    json: JsonOption = None,
) -> None:
    """Reconstruct bones in 3D from the calibrated X-rays of a study.

    Writes reconstruction.json, BONE.ply (world of the study, mm) and overlay_VIEW.png.
    """
    check_folder(out)
    with progress("reading the study"):
        from osteoform._reconstruct import reconstruct as run
        from osteoform._report import write_reconstruction
        from osteoform.io.features import read_features
        from osteoform.io.study import read_study

        read = read_study(study)
        models = choose_models(model, split_names(bones), read.bones)
        by_hand = read_features(features, views=read.views, models=models) if features else {}
    left_out = [bone for bone in read.bones if bone not in models]
    if left_out and bones is None:
        stderr.print(f"no model of {', '.join(left_out)}: not reconstructed", highlight=False)
    with progress("reconstructing"):
        found = run(
            read.views,
            side=read.side,
            bones=tuple(models),
            models=models,
            detector=open_detector(detector, harmonizer),
            by_hand=by_hand,
            options=fit_options(threads),
        )
    with progress("drawing"), staged_folder(out) as folder:
        values = write_reconstruction(folder, found, read.views, models)
    write_json(values, json)
    print_bones(values, title=f"{study}: {found.side} leg, {len(read.views)} views", json=json)


def print_bones(values: dict[str, Any], *, title: str, json: str | None) -> None:
    """Print reconstruction.json: a column per bone, then the time of each stage."""
    bones = values["bones"]
    rows = [
        ["status", *(bone["status"] for bone in bones.values())],
        ["confidence, 0 to 1", *(number(bone["confidence"]) for bone in bones.values())],
        ["boundary RMS [mm]", *(number(bone["boundary_rms_mm"]) for bone in bones.values())],
        [
            "boundary found [%]",
            *(number(100.0 * bone["boundary_found"], 0) for bone in bones.values()),
        ],
        [
            "expected error, 1 sd [mm]",
            *(number(bone["mean_vertex_sd_mm"]) for bone in bones.values()),
        ],
    ]
    print_table(title, ["", *bones], rows, json_target=json)
    times = [[stage, number(time, 1)] for stage, time in values["timings_ms"].items()]
    print_table("time", ["stage", "ms"], times, json_target=json)


def detect(
    study: StudyArgument,
    out: OutOption,
    bones: BonesOption = None,
    detector: DetectorOption = None,
    harmonizer: HarmonizerOption = "none",
    json: JsonOption = None,
) -> None:
    """Show what the detector sees in the X-rays of a study, without reconstructing.

    Writes detections.json (pixels of the images) and overlay_VIEW.png. Corrected by hand, the first
    is a file for `reconstruct --features`.
    """
    check_folder(out)
    with progress("reading the study"):
        from osteoform._detect import shipped_detector
        from osteoform.io.study import read_study

        read = read_study(study)
        network = open_detector(detector, harmonizer) or shipped_detector()
    wanted = split_names(bones) or read.bones
    values: dict[str, Any] = {"attitudes": {}, "views": {}}
    rows: list[list[str]] = []
    with progress("detecting", len(read.views)) as step, staged_folder(out) as folder:
        for view in read.views:
            look = network.look(view, side=read.side or "right", bones=wanted)[0]
            best = look.reading
            values["attitudes"][view.name] = _attitude_values(look.attitude)
            values["views"][view.name] = {
                bone: _detection_values(best[bone], network.facts.points[bone]) for bone in best
            }
            _save_overlay(folder, view, best, network.facts)
            seen_as = f"{look.attitude.side} {look.attitude.direction}"
            rows += [[view.name, seen_as, *_detection_row(best[bone])] for bone in best]
            step()
        write_json(values, str(folder / "detections.json"))
    write_json(values, json)
    columns = ["view", "seen as", "bone", "confidence", "points", "ellipses", "median sigma [px]"]
    print_table(f"{study}: detected", columns, rows, json_target=json)


def _save_overlay(folder: Path, view: Any, reading: Any, facts: Any) -> None:
    import numpy as np

    from osteoform._draw import OverlayBone, draw_overlay, save_png
    from osteoform._report import overlay_name

    nothing = np.zeros((0, 2))
    parts = [
        OverlayBone(
            detection=reading[bone],
            point_names=facts.points[bone],
            ellipsoid_names=facts.ellipsoids[bone],
            silhouette_px=nothing,
            boundary_px=nothing,
        )
        for bone in BONES
        if bone in reading
    ]
    save_png(draw_overlay(view, parts), folder / overlay_name(view.name))


def _detection_values(detection: Detection, names: Any) -> dict[str, Any]:
    best = detection.class_probability.argmax(axis=1) if len(detection.points_px) else []
    return {
        "box_px": _finite(detection.box_px),
        "box_confidence": float(detection.box_confidence),
        "points": [
            {
                "name": names[index],
                "px": detection.points_px[row].tolist(),
                "sigma_px": float(detection.sigma_px[row]),
                "probability": float(detection.class_probability[row, index]),
            }
            for row, index in enumerate(best)
        ],
        "ellipses": [
            {
                "index": int(detection.ellipse_ids[row]),
                "center_px": detection.ellipse_center_px[row].tolist(),
                "shape_px2": detection.ellipse_shape_px2[row].tolist(),
                "sigma_px": float(detection.ellipse_sigma_px[row]),
            }
            for row in range(len(detection.ellipse_ids))
        ],
    }


def _finite(values: np.ndarray) -> list[float] | None:
    import numpy as np

    return values.tolist() if np.all(np.isfinite(values)) else None


def _attitude_values(attitude: Attitude) -> dict[str, Any]:
    return {
        "side": attitude.side,
        "direction": attitude.direction,
        "azimuth_deg": attitude.azimuth_deg,
        "sureness": attitude.sureness,
        "quarter_turns": attitude.quarter_turns,
    }


def _detection_row(detection: Detection) -> list[str]:
    import numpy as np

    sigma = float(np.median(detection.sigma_px)) if len(detection.sigma_px) else None
    return [
        detection.bone,
        number(float(detection.box_confidence)),
        str(len(detection.points_px)),
        str(len(detection.ellipse_ids)),
        number(sigma, 1),
    ]
