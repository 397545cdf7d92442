"""What an image shows of a bone that was found, beside the truth: its feature points and its box."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from osteoform import BoneReconstruction, ShapeModel, XrayView
from osteoform._leg import points_in_world
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
        own = points_in_world(model, found.side, found.b, found.world_from_bone)
        at, wanted = (view.geometry.project(p) for p in (np.stack(list(own.values())), points))
        scale = LONGER_SIDE_PX / max(view.pixels.shape)
        return Shown(
            points_px=scale * np.linalg.norm(at - wanted, axis=1)[in_view],
            box_iou=_overlap(
                _box(view, found.mesh.vertices.astype(np.float64)), _box(view, vertices)
            ),
        )


def _box(view: XrayView, vertices: F64) -> F64:
    """(2, 2): least and greatest u, v of points (N, 3) in the image."""
    at = view.geometry.project(vertices)
    rows, columns = view.pixels.shape
    return np.asarray(np.clip([at.min(axis=0), at.max(axis=0)], 0.0, [columns, rows]))


def _overlap(a: F64, b: F64) -> float:
    """Intersection over union of two boxes (2, 2)."""
    sides = np.minimum(a[1], b[1]) - np.maximum(a[0], b[0])
    both = float(np.prod(np.clip(sides, 0.0, None)))
    return both / float(np.prod(a[1] - a[0]) + np.prod(b[1] - b[0]) - both)
