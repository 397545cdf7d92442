"""The one public verb: X-rays in, bones out. Reads top to bottom as the method does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from osteoform import _core
from osteoform._core import FitOptions, FitStatus, InputError
from osteoform._crop import read_crop
from osteoform._models import load_model
from osteoform._neighbours import (
    expected_bones,
    lost_bones,
    misplaced_bones,
)
from osteoform._polarity import read_with_polarity, with_polarity
from osteoform._result import BoneReconstruction, Reconstruction
from osteoform._shape_model import ShapeModel
from osteoform._types import BONES, F64, Detection, Detector, Mesh, Side, XrayView
from osteoform.io.images import check_pixels

_POLARITIES = {
    "dark_is_dense": _core.Polarity.DARK_IS_DENSE,
    "bright_is_dense": _core.Polarity.BRIGHT_IS_DENSE,
}
_RMS_SCALE_MM = 3.0
_GOOD_CONFIDENCE = 0.7  # of a bone that need not be looked for any further

Reading = Mapping[str, Detection]


def reconstruct(
    views: Sequence[XrayView],
    *,
    side: Side,
    bones: Sequence[str] = BONES,
    models: Mapping[str, ShapeModel] | None = None,
    detector: Detector | None = None,
    features: Mapping[str, Sequence[Detection]] | None = None,
    starts: Mapping[str, ArrayLike] | None = None,
    options: FitOptions | None = None,
) -> Reconstruction:
    """Reconstruct bones from calibrated X-ray images.

    Parameters
    ----------
    views
        One, two or more images with their geometry in one world [mm].
    side
        Which leg: "left" or "right".
    bones
        Out of femur, tibia, fibula, patella.
    models
        Shape model per bone; the shipped ones for those left out.
    detector
        Finds boxes, feature points and feature ellipses; the shipped network if left out.
    features
        Per bone one detection per view, instead of asking the detector.
    starts
        Per bone the pose (4, 4) world from bone to start from, instead of features alone.
    options
        How to fit; defaults that work if left out.

    Returns
    -------
    Reconstruction
        Meshes in the world [mm] with pose, coefficients, standard deviations and a status each.

    Raises
    ------
    InputError
        An argument is wrong; the message names it, what was found and what was needed.
    ModelFileError
        No model of a bone is shipped, or its file cannot be used.
    DetectionError
        The network cannot be run.

    Notes
    -----
    A bone that is not found, or cannot belong to one leg with its neighbours, is looked for again
    where they say it must be; one that still cannot is NOT_FOUND.

    With one cone view, size and depth are one unknown: only the shape's prior separates them.
    """
    clock = _Clock()
    _check_names(side, bones)
    shapes = {bone: _model_of(bone, models) for bone in bones}
    checked = _check_views(views)
    clock.lap("check")

    checked, readings, detector = _read(
        checked, side, bones, shapes, detector, features, starts or {}
    )
    clock.lap("detect")

    def fit(
        bone: str, start: F64 | None, readings: Sequence[Sequence[Reading]]
    ) -> BoneReconstruction:
        fitted = _core.fit_bone(
            model=shapes[bone].core(side),
            views=[view.geometry for view in checked],
            pixels=[view.pixels for view in checked],
            polarities=[_POLARITIES[view.polarity or "dark_is_dense"] for view in checked],
            readings=[
                [_core_features(reading[bone]) for reading in of_view] for of_view in readings
            ],
            start=start,
            options=options or FitOptions(),
        )
        clock.add_stages(bone, fitted.times)
        return _wrap(bone, side, shapes[bone], fitted, readings)

    found = {bone: fit(bone, _start_of(bone, starts), readings[bone]) for bone in bones}
    clock.lap("fit")

    tried: set[str] = set()
    while lost := [b for b in lost_bones(found, shapes, side=side) if b not in tried]:
        bone = lost[0]
        tried.add(bone)
        if bone in misplaced_bones(found, shapes, side=side):
            found[bone] = found[bone].rejected()
        for seen in _second_looks(bone, found, shapes, side, checked, detector):
            again = found | {bone: fit(bone, None, seen)}
            better = again[bone].confidence > found[bone].confidence
            if better and bone not in lost_bones(again, shapes, side=side):
                found = again
            if found[bone].confidence > _GOOD_CONFIDENCE:
                break
    clock.lap("neighbours")
    return Reconstruction(bones=found, timings_ms=clock.finish())


class _Clock:
    """Wall-clock time per stage [ms]."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._times: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._times[stage] = 1e3 * (now - self._last)
        self._last = now

    def add_stages(self, bone: str, times: _core.StageTimes) -> None:
        for stage in ("match", "prepare", "search", "solve", "summary"):
            name = f"{bone}.{stage}"
            self._times[name] = self._times.get(name, 0.0) + getattr(times, f"{stage}_ms")

    def finish(self) -> dict[str, float]:
        return {**self._times, "total": 1e3 * (time.perf_counter() - self._start)}


def _check_views(views: Sequence[XrayView]) -> list[XrayView]:
    if len(views) == 0:
        raise InputError("views must hold at least one XrayView, found none")
    checked = []
    for i, view in enumerate(views):
        if not isinstance(view, XrayView):
            raise InputError(f"views[{i}] must be an XrayView, found {type(view).__name__}")
        try:
            pixels = check_pixels(np.asarray(view.pixels), f"views[{i}].pixels")
        except ValueError as error:
            raise InputError(str(error)) from None
        if view.polarity not in (None, *_POLARITIES):
            raise InputError(
                f"views[{i}].polarity must be None or one of {tuple(_POLARITIES)}, "
                f"found {view.polarity!r}"
            )
        checked.append(replace(view, pixels=pixels))
    return checked


def _check_names(side: str, bones: Sequence[str]) -> None:
    if side not in get_args(Side):
        raise InputError(f"side must be 'left' or 'right', found {side!r}")
    if isinstance(bones, str) or not bones:
        raise InputError(f"bones must be a sequence of names, found {bones!r}")
    for bone in bones:
        if bone not in BONES:
            raise InputError(f"bones must be out of {BONES}, found {bone!r}")


def _model_of(bone: str, models: Mapping[str, ShapeModel] | None) -> ShapeModel:
    model = (models or {}).get(bone)
    if model is None:
        return load_model(None, bone=bone)
    if model.bone != bone:
        raise InputError(f"models[{bone!r}] must be a model of the {bone}, found {model.bone!r}")
    return model


def _read(
    views: Sequence[XrayView],
    side: Side,
    bones: Sequence[str],
    shapes: Mapping[str, ShapeModel],
    detector: Detector | None,
    features: Mapping[str, Sequence[Detection]] | None,
    starts: Mapping[str, ArrayLike],
) -> tuple[list[XrayView], dict[str, list[list[Reading]]], Detector | None]:
    """Views with their polarity, readings per bone and view: given, else what is detected, by whom."""
    readings: dict[str, list[list[Reading]]] = {}
    for bone in bones:
        given = (features or {}).get(bone)
        if given is not None:
            if len(given) != len(views):
                raise InputError(
                    f"features[{bone!r}] must hold one Detection per view ({len(views)}), "
                    f"found {len(given)}"
                )
            readings[bone] = [[{bone: detection}] for detection in given]
        elif bone in starts and detector is None:
            empty = Detection.empty(bone, len(shapes[bone].point_names))
            readings[bone] = [[{bone: empty}] for _ in views]
    missing = [bone for bone in bones if bone not in readings]
    if missing:
        if detector is None:
            from osteoform._detect import shipped_detector  # late: imports onnxruntime

            detector = shipped_detector()
        seen = [read_with_polarity(view, detector, side, missing) for view in views]
        views = [view for view, _ in seen]
        for bone in missing:
            num_points = len(shapes[bone].point_names)
            readings[bone] = [_readings_of(bone, of_view, num_points) for _, of_view in seen]
    return [with_polarity(view) for view in views], readings, detector


def _readings_of(
    bone: str, of_view: Sequence[Mapping[str, Detection]], num_points: int
) -> list[Reading]:
    """Only readings in which the bone was seen; an empty one if it was in none."""
    readings: list[Reading] = [
        reading for reading in of_view if bone in reading and len(reading[bone].points_px) > 0
    ]
    return readings or [{bone: Detection.empty(bone, num_points)}]


def _second_looks(
    bone: str,
    found: Mapping[str, BoneReconstruction],
    shapes: Mapping[str, ShapeModel],
    side: Side,
    views: Sequence[XrayView],
    detector: Detector | None,
) -> Iterator[list[list[Reading]]]:
    """Readings for a bone whose neighbours tell where to look closer, and what they expect."""
    for expected in expected_bones(bone, found, shapes, side=side):
        told: list[list[Reading]] = [[{bone: expected.detection(view)}] for view in views]
        if detector is not None:
            boxes = [expected.box_px(view) for view in views]
            yield [
                read_crop(view, box, detector, side=side, bone=bone) or of_view
                for view, box, of_view in zip(views, boxes, told, strict=True)
            ]
        yield told


def _start_of(bone: str, starts: Mapping[str, ArrayLike] | None) -> F64 | None:
    start = (starts or {}).get(bone)
    if start is None:
        return None
    matrix = np.asarray(start, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise InputError(f"starts[{bone!r}] must have shape (4, 4), found {matrix.shape}")
    return matrix


def _core_features(detection: Detection) -> _core.ViewFeatures:
    return _core.ViewFeatures(
        points_px=detection.points_px,
        sigma_px=detection.sigma_px,
        class_probability=detection.class_probability,
        ellipse_ids=detection.ellipse_ids,
        ellipse_center_px=detection.ellipse_center_px,
        ellipse_shape_px2=detection.ellipse_shape_px2,
        ellipse_sigma_px=detection.ellipse_sigma_px,
    )


def _wrap(
    bone: str,
    side: Side,
    model: ShapeModel,
    fit: _core.BoneFit,
    readings: Sequence[Sequence[Reading]],
) -> BoneReconstruction:
    faces = model.faces if side == "right" else np.ascontiguousarray(model.faces[:, ::-1])
    found = fit.status is not FitStatus.NOT_FOUND
    rms = fit.boundary_rms_mm
    agreement = float(np.exp(-((rms / _RMS_SCALE_MM) ** 2))) if np.isfinite(rms) else 0.0
    return BoneReconstruction(
        bone=bone,
        side=side,
        status=fit.status,
        confidence=fit.boundary_found * agreement if found else 0.0,
        mesh=Mesh(vertices=fit.vertices, faces=faces),
        world_from_bone=fit.world_from_bone,
        b=fit.b,
        vertex_sd_mm=fit.vertex_sd_mm,
        corrections=fit.corrections,
        boundary_rms_mm=rms if found else float("nan"),
        boundary_found=fit.boundary_found if found else 0.0,
        match_quality=fit.match_quality,
        num_matched=fit.num_matched,
        iterations=fit.iterations,
        detections=tuple(
            of_view[taken][bone] for of_view, taken in zip(readings, fit.readings, strict=True)
        ),
        silhouette_px=tuple(fit.silhouette_px),
        boundary_px=tuple(fit.boundary_px),
    )
