"""What a fit of the core knows of itself, gathered for its confidence."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Protocol

import numpy as np

from osteoform import _core
from osteoform._confidence import LEAST_SEEN, Evidence
from osteoform._leg import places_in_world
from osteoform._rotation import rotation
from osteoform._shape_model import ShapeModel
from osteoform._types import F32, F64, Detection, Side, XrayView


class _Fit(Protocol):
    """The core's or a result; see the core's."""

    @property
    def b(self) -> F64: ...
    @property
    def world_from_bone(self) -> F64: ...
    @property
    def corrections(self) -> F64: ...


def gather_evidence(
    model: ShapeModel,
    side: Side,
    fit: _core.BoneFit,
    detections: Sequence[Detection],
    views: Sequence[XrayView],
) -> Evidence:
    """The evidence of a fit to views, of which the detections were taken."""
    seen = [_share_inside(view, fit.vertices) for view in views]
    shows = [share >= LEAST_SEEN for share in seen]
    return Evidence.of(
        num_views=sum(shows),
        boundary_found=fit.boundary_found,
        boundary_rms_mm=fit.boundary_rms_mm,
        view_rms_mm=list(compress(fit.view_rms_mm, shows)),
        b=fit.b,
        start_sd_mm=fit.start_sd_mm,
        deviations=deviations_of(model, side, fit, detections, views),
        seen=max(seen),
    )


def deviations_of(
    model: ShapeModel,
    side: Side,
    fit: _Fit,
    detections: Sequence[Detection],
    views: Sequence[XrayView],
) -> F64:
    """How far a fitted bone is from all feature points (n,) that were seen, in deviations."""
    by_view = [
        _deviations(places_in_world(model, side, fit.b, pose), seen, view)
        for pose, seen, view in zip(_poses(fit, len(views)), detections, views, strict=True)
    ]
    return np.concatenate(by_view)


def _poses(fit: _Fit, num_views: int) -> list[F64]:
    """The bone's pose (4, 4) where each view sees it: further views are corrected, if at all."""
    poses = [fit.world_from_bone] * num_views
    for index, correction in enumerate(fit.corrections, start=1):
        poses[index] = fit.world_from_bone.copy()
        poses[index][:3, :3] = rotation(correction[:3]) @ fit.world_from_bone[:3, :3]
        poses[index][:3, 3] += correction[3:]
    return poses


def _deviations(points: F64, seen: Detection, view: XrayView) -> F64:
    """Distances (n,) of points that were seen from the likeliest of the bone's points (F, 3).

    In the standard deviations with which they were seen.
    """
    if not len(seen.points_px):
        return np.zeros(0)
    namesakes = view.geometry.project(points)[seen.class_probability.argmax(axis=1)]
    return np.asarray(np.linalg.norm(namesakes - seen.points_px, axis=1) / seen.sigma_px)


def _share_inside(view: XrayView, vertices: F32) -> float:
    """Share of world points (N, 3) that a view shows."""
    at = view.geometry.project(vertices.astype(np.float64))
    rows, columns = view.pixels.shape
    return float(((at > -0.5) & (at < [columns - 0.5, rows - 0.5])).all(axis=1).mean())
