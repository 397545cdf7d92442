"""The one public verb: X-rays in, bones out. Reads top to bottom as the method does."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from osteoform._by_hand import HandFeatures
from osteoform._closer_look import CloserLook, align_closely
from osteoform._core import FitOptions, InputError
from osteoform._fit_bones import POLARITIES, BoneFitter
from osteoform._models import load_model
from osteoform._readings import BoneReader
from osteoform._result import BoneReconstruction, Reconstruction
from osteoform._second_look import look_again
from osteoform._shape_model import ShapeModel
from osteoform._types import BONES, F64, Detection, Detector, Side, XrayView
from osteoform.io.images import check_pixels

_MAX_THREADS = 16


def reconstruct(
    views: Sequence[XrayView],
    *,
    side: Side | None,
    bones: Sequence[str] = BONES,
    models: Mapping[str, ShapeModel] | None = None,
    detector: Detector | None = None,
    features: Mapping[str, Sequence[Detection]] | None = None,
    by_hand: Mapping[str, Mapping[str, HandFeatures]] | None = None,
    starts: Mapping[str, ArrayLike] | None = None,
    options: FitOptions | None = None,
) -> Reconstruction:
    """Reconstruct bones from calibrated X-ray images.

    Parameters
    ----------
    views
        One, two or more images with their geometry in one world [mm].
    side
        Which leg: "left" or "right"; None: both are tried, and the one that explains more of what
        is detected is taken.
        Two views tell them apart; one view alone fits both, seen from opposite sides.
    bones
        Out of femur, tibia, fibula, patella.
    models
        Shape model per bone; the shipped ones for those left out.
    detector
        Finds boxes, feature points and feature ellipses; the shipped network if left out.
    features
        Per bone one detection per view, instead of asking the detector; such a bone gets no
        second look.
    by_hand
        Per name of a view and bone what somebody sees there, added to what the detector finds or
        in its place.
    starts
        Per bone the pose (4, 4) world from bone to start from, instead of features alone.
    options
        How to fit; defaults that work, on all processors, if left out.

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

    _check_by_hand(by_hand or {}, checked, shapes, features or {})
    given = _given_detections(len(checked), shapes, detector, features or {}, starts or {})
    placed = {bone: _start_of(bone, starts) for bone in bones}
    tried = []
    for each in get_args(Side) if side is None else (side,):
        reader = BoneReader(
            side=each,
            models=shapes,
            detector=detector or _shipped_detector,
            by_hand=by_hand or {},
        )
        tried.append(_fit_each_bone(reader, checked, given, placed, options, clock))
    fits = max(tried, key=lambda fits: fits.explained)

    fixed = {*(features or {}), *fits.reader.fixed(fits.fitter.views), *(starts or {})}
    found = look_again(fits.found, fits.fitter, fits.reader, given=fixed)
    clock.lap("neighbours")
    clock.add(fits.fitter.timings_ms)
    return Reconstruction(side=fits.fitter.side, bones=found, timings_ms=clock.finish())


@dataclass(frozen=True, kw_only=True)
class _Fits:
    """Every bone fitted by itself as of a leg of one side, and what a second look needs."""

    found: Mapping[str, BoneReconstruction] = field(repr=False)
    fitter: BoneFitter = field(repr=False)
    reader: BoneReader = field(repr=False)

    @property
    def explained(self) -> float:
        """How much of what was detected these bones explain, each as far as it is likely right.

        On the wrong side small bones fit about as well, but few features do.
        """
        return sum(
            bone.confidence * (1.0 + bone.match_quality * bone.num_matched)
            for bone in self.found.values()
        )


def _fit_each_bone(
    reader: BoneReader,
    views: list[XrayView],
    given: Mapping[str, Sequence[Detection]],
    placed: Mapping[str, F64 | None],
    options: FitOptions | None,
    clock: _Clock,
) -> _Fits:
    """Detect, align and fit; `placed` has the pose that a bone starts from, if one was given."""
    views, seen = reader.see(views, given)
    reader = reader.corrected(views, seen)
    readings = {
        bone: [
            reader.with_hand(bone, view, found)
            for view, found in zip(views, seen[bone], strict=True)
        ]
        for bone in placed
    }
    clock.lap("detect")

    fitter = BoneFitter(
        side=reader.side, models=reader.models, views=views, options=options or _default_options()
    )
    look = CloserLook(
        side=reader.side,
        detector=reader.detector,
        views=views,
        asked=[reader.untouched(view, given) for view in views],
    )
    wanted = {bone: (readings[bone], start) for bone, start in placed.items()}
    aligned = align_closely(wanted, fitter, look)
    clock.lap("align")

    found = fitter.fit_all(aligned)
    clock.lap("fit")
    return _Fits(found=found, fitter=fitter, reader=reader)


def _default_options() -> FitOptions:
    """The core's, on all processors: the result does not depend on their number."""
    return FitOptions(num_threads=min(os.cpu_count() or 1, _MAX_THREADS))


class _Clock:
    """Wall-clock time per stage [ms], summed over the sides that are tried."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._times: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._times[stage] = self._times.get(stage, 0.0) + 1e3 * (now - self._last)
        self._last = now

    def add(self, times_ms: Mapping[str, float]) -> None:
        self._times |= times_ms

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
        if view.polarity not in (None, *POLARITIES):
            raise InputError(
                f"views[{i}].polarity must be None or one of {tuple(POLARITIES)}, "
                f"found {view.polarity!r}"
            )
        checked.append(replace(view, pixels=pixels))
    return checked


def _check_names(side: str | None, bones: Sequence[str]) -> None:
    if side not in (None, *get_args(Side)):
        raise InputError(f"side must be 'left', 'right' or None, found {side!r}")
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


def _check_by_hand(
    by_hand: Mapping[str, Mapping[str, HandFeatures]],
    views: Sequence[XrayView],
    shapes: Mapping[str, ShapeModel],
    features: Mapping[str, Sequence[Detection]],
) -> None:
    named = {view.name: view for view in views}
    if by_hand and len(named) < len(views):
        names = [view.name for view in views]
        raise InputError(f"by_hand needs a different name for each view, found {names}")
    for name, hands in by_hand.items():
        if name not in named:
            raise InputError(f"by_hand must name views out of {tuple(named)}, found {name!r}")
        for bone, hand in hands.items():
            where = f"by_hand[{name!r}]"
            if bone not in shapes:
                raise InputError(f"{where} must name bones out of {tuple(shapes)}, found {bone!r}")
            if bone in features:
                raise InputError(f"{where} must not name the {bone}: features gives it whole")
            if not isinstance(hand, HandFeatures):
                found = type(hand).__name__
                raise InputError(f"{where}[{bone!r}] must be a HandFeatures, found {found}")
            try:
                hand.check(named[name], shapes[bone])
            except InputError as error:
                raise InputError(f"{where}[{bone!r}]: {error}") from None


def _given_detections(
    num_views: int,
    shapes: Mapping[str, ShapeModel],
    detector: Detector | None,
    features: Mapping[str, Sequence[Detection]],
    starts: Mapping[str, ArrayLike],
) -> dict[str, Sequence[Detection]]:
    """One detection per view of the bones that the detector is not asked for."""
    given: dict[str, Sequence[Detection]] = {}
    for bone, model in shapes.items():
        if bone in features:
            given[bone] = features[bone]
            if len(given[bone]) != num_views:
                raise InputError(
                    f"features[{bone!r}] must hold one Detection per view ({num_views}), "
                    f"found {len(given[bone])}"
                )
        elif bone in starts and detector is None:
            given[bone] = [Detection.empty(bone, len(model.point_names))] * num_views
    return given


def _shipped_detector(
    view: XrayView, *, side: Side, bones: Sequence[str]
) -> Sequence[Mapping[str, Detection]]:
    from osteoform._detect import shipped_detector  # opened when it is first asked

    return shipped_detector()(view, side=side, bones=bones)


def _start_of(bone: str, starts: Mapping[str, ArrayLike] | None) -> F64 | None:
    start = (starts or {}).get(bone)
    if start is None:
        return None
    matrix = np.asarray(start, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise InputError(f"starts[{bone!r}] must have shape (4, 4), found {matrix.shape}")
    return matrix
