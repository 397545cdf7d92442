"""A second, closer look at a part of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from osteoform._detections import shifted
from osteoform._types import F64, Detector, Reading, Side, XrayView

MARGIN = 0.15  # of the box's longer side, all round
_MARGINS = (MARGIN, 0.5, 2.0)  # small bones are hardly seen without what is around them
_MIN_SIDE_PX = 32


def read_crop(
    view: XrayView,
    box_px: F64,
    detector: Detector,
    *,
    side: Side,
    bone: str,
    margin: float = MARGIN,
) -> list[Reading]:
    """Readings of a bone in the part of an image about a box (4,), in the image's pixels.

    Empty where the box is hardly in the image.
    """
    grow = margin * float(np.max(box_px[2:] - box_px[:2])) + 8.0
    larger = box_px + grow * np.array([-1.0, -1.0, 1.0, 1.0])
    readings = read_part(view, larger, detector, side=side, bones=(bone,))
    return [reading for reading in readings if shows(reading, bone)]


def read_part(
    view: XrayView, box_px: F64, detector: Detector, *, side: Side, bones: Sequence[str]
) -> list[Reading]:
    """Readings of the part of an image in a box (4,) u0, v0, u1, v1, in the image's pixels.

    Empty where the box is hardly in the image.
    """
    height, width = view.pixels.shape
    low = np.clip(np.floor(box_px[:2]), 0, [width, height]).astype(int)
    high = np.clip(np.ceil(box_px[2:]), 0, [width, height]).astype(int)
    if (high - low < _MIN_SIDE_PX).any():
        return []
    part = np.ascontiguousarray(view.pixels[low[1] : high[1], low[0] : high[0]])
    readings = detector(replace(view, pixels=part), side=side, bones=bones)
    offset = low.astype(float)
    return [{bone: shifted(found, offset) for bone, found in r.items()} for r in readings]


def read_box(
    view: XrayView, box_px: F64, detector: Detector, *, side: Side, bone: str
) -> list[Reading]:
    """Readings of a bone in a box (4,), seen with as much around it as shows most of it."""
    tried = [
        in_box(read_crop(view, box_px, detector, side=side, bone=bone, margin=margin), bone, box_px)
        for margin in _MARGINS
    ]
    return max(tried, key=lambda readings: max((r[bone].evidence for r in readings), default=0.0))


def in_box(readings: Sequence[Reading], bone: str, box_px: F64) -> list[Reading]:
    """Readings in which the middle feature point of a bone lies in a box (4,)."""
    seen = [reading for reading in readings if shows(reading, bone)]
    middles = [np.median(reading[bone].points_px, axis=0) for reading in seen]
    return [
        reading
        for reading, middle in zip(seen, middles, strict=True)
        if (box_px[:2] <= middle).all() and (middle <= box_px[2:]).all()
    ]


def shows(reading: Reading, bone: str) -> bool:
    """Whether any feature point of a bone was seen."""
    return bone in reading and len(reading[bone].points_px) > 0
