"""Parts of detections, and several of them as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteoform._types import F64, Detection

_OF_POINTS = ("points_px", "sigma_px", "class_probability")
_OF_ELLIPSES = ("ellipse_ids", "ellipse_center_px", "ellipse_shape_px2", "ellipse_sigma_px")


def only(
    detection: Detection, *, points: NDArray[np.bool_], ellipses: NDArray[np.bool_]
) -> Detection:
    """The points (n,) and ellipses (m,) that are marked."""
    kept: dict[str, Any] = {name: getattr(detection, name)[points] for name in _OF_POINTS}
    kept |= {name: getattr(detection, name)[ellipses] for name in _OF_ELLIPSES}
    return replace(detection, **kept)


def joined(detections: Sequence[Detection]) -> Detection:
    """All points and ellipses of one bone in one image; the box is the first one's."""
    every: dict[str, Any] = {
        name: np.concatenate([getattr(detection, name) for detection in detections])
        for name in (*_OF_POINTS, *_OF_ELLIPSES)
    }
    return replace(detections[0], **every)


def shifted(detection: Detection, offset_px: F64) -> Detection:
    """The same, (2,) pixels further to the right and down."""
    return replace(
        detection,
        box_px=detection.box_px + np.tile(offset_px, 2),
        points_px=detection.points_px + offset_px,
        ellipse_center_px=detection.ellipse_center_px + offset_px,
    )


def box_iou(box: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Intersection over union of two boxes (4,) u0, v0, u1, v1."""
    low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
    common = float(np.prod(np.maximum(high - low, 0.0)))
    areas = sum(float(np.prod(np.maximum(b[2:] - b[:2], 0.0))) for b in (box, other))
    return common / max(areas - common, 1e-9)
