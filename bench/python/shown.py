"""What an image shows of a bone that was found, beside the truth: its feature points and its box."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from osteoform import BoneReconstruction, ShapeModel, XrayView
from osteoform._detections import box_iou
from osteoform._leg import places_in_world
from osteoform._types import F64

LONGER_SIDE_PX = 512  # of the image in which pixels count, whatever its own size


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A bone in one view.

    Attributes
    ----------
    points_px
        (n,) distances of its feature points from the true ones that are in view, in an image whose
        longer side has 512 pixels.
    box_iou
        Intersection over union of its box and the true one, as far as the image goes.
    """

    points_px: F64 = field(repr=False)
    box_iou: float

    @staticmethod
    def of(
        found: BoneReconstruction,
        model: ShapeModel,
        view: XrayView,
        *,
        points: F64,
        in_view: NDArray[np.bool_],
        vertices: F64,
    ) -> Shown:
        """Compare with the true feature points (F, 3), of which some are in view, and vertices (N, 3)."""
        own = places_in_world(model, found.side, found.b, found.world_from_bone)
        gaps = view.geometry.project(own) - view.geometry.project(points)
        scale = LONGER_SIDE_PX / max(view.pixels.shape)
        return Shown(
            points_px=scale * np.linalg.norm(gaps, axis=1)[in_view],
            box_iou=box_iou(
                _box(view, found.mesh.vertices.astype(np.float64)), _box(view, vertices)
            ),
        )


def px_per_mm(view: XrayView, point: F64) -> float:
    """Pixels per millimetre of a view at a world point (3,), in the direction that has fewest."""
    return float(np.linalg.svd(view.geometry.project_jacobian(point))[1].min())


def _box(view: XrayView, vertices: F64) -> F64:
    """(4,) u0, v0, u1, v1 of points (N, 3), as far as the image goes."""
    at = view.geometry.project(vertices)
    rows, columns = view.pixels.shape
    corners = np.clip([at.min(axis=0), at.max(axis=0)], 0.0, [columns, rows])
    return np.asarray(corners).ravel()
