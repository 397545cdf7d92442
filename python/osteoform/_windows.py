"""Long images are read in windows.

Shrunk as a whole, a leg is a few network pixels wide, and the strip that it lies in is narrower
than any image the network has learned from: features of simulated whole legs in strips of one to
five were told 9 to 24 mm off, and not at all at hip and ankle, in windows 2 to 6 mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

from osteoform._detections import joined, only, shifted
from osteoform._types import F32, F64, Detection

_LONGEST = 2.4  # times the shorter side: longer images are read in windows
_LENGTH = 2.0  # of a window, times its width
_OVERLAP = 1 / 3  # at least, of a window's length: features at a rim are told worst
_MOST = 6  # windows; of still longer images they are longer


@dataclass(frozen=True, kw_only=True)
class Window:
    """A part of an image: all of its width, from `start` to `stop` along `axis` [px].

    It tells what lies between `low` and `high`; the windows of an image share it out.
    """

    axis: int
    start: int
    stop: int
    low: float
    high: float

    def of(self, pixels: F32) -> F32:
        """Its pixels."""
        rows = slice(self.start, self.stop)
        return pixels[rows] if self.axis == 0 else pixels[:, rows]

    def told(self, detection: Detection) -> Detection:
        """What was detected in the window, in the image's pixels, as far as it is the window's."""
        offset = np.zeros(2)
        offset[1 - self.axis] = self.start
        moved = shifted(detection, offset)
        return only(
            moved,
            points=self._tells(moved.points_px),
            ellipses=self._tells(moved.ellipse_center_px),
        )

    def _tells(self, at_px: F64) -> NDArray[np.bool_]:
        along = at_px[:, 1 - self.axis]
        return np.asarray((along >= self.low) & (along < self.high))


def windows_of(shape: tuple[int, ...]) -> list[Window]:
    """Windows that cover an image of this shape (rows, columns); a single one of most images."""
    axis = int(np.argmax(shape))
    length, width = max(shape), max(1, min(shape))
    window, count = length, 1
    if length > _LONGEST * width:
        window = round(max(_LENGTH * width, length / (1 + (_MOST - 1) * (1 - _OVERLAP))))
        count = 1 + ceil((length - window) / (window * (1 - _OVERLAP)))
    starts = np.linspace(0, length - window, count).round().astype(int)
    cuts = [0.5 * (after + before + window) for before, after in pairwise(starts)]
    limits = pairwise([-np.inf, *cuts, np.inf])
    return [
        Window(axis=axis, start=int(start), stop=int(start) + window, low=low, high=high)
        for start, (low, high) in zip(starts, limits, strict=True)
    ]


def joined_windows(windows: Sequence[Window], detections: Sequence[Detection]) -> Detection:
    """A bone in an image, of what was detected in each of its windows."""
    told = [window.told(found) for window, found in zip(windows, detections, strict=True)]
    showing = [found for found in told if len(found.points_px)] or told
    boxes = np.stack([found.box_px for found in showing])
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    box = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)]) if len(boxes) else None
    return replace(
        joined(told),
        box_px=np.full(4, np.nan) if box is None else box,
        box_confidence=max(found.box_confidence for found in showing),
    )
