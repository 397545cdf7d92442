"""Where a collimator was open: its shadow is cut off before an image is read.

A file may keep the shadow all round. It shows nothing, and the more of it there is the smaller the
network sees the leg between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osteoform._normalize import grey_level
from osteoform._types import F32, F64

_LOOKED_AT = 256  # rows and columns at least, where there are so many
_SHADOW = 0.03  # of the range of grey values, from the densest one
_ALL = 0.98  # of a row or column, for it to be shadow
_LEAST = 0.2  # of the image's side: less is no field


@dataclass(frozen=True, kw_only=True)
class OpenField:
    """Rows and columns of an image, from the first to before the last."""

    rows: tuple[int, int]
    columns: tuple[int, int]

    def of(self, pixels: F32) -> F32:
        """Its pixels."""
        return pixels[slice(*self.rows), slice(*self.columns)]

    @property
    def offset_px(self) -> F64:
        """(2,): where its first pixel lies in the image, (u, v)."""
        return np.array([self.columns[0], self.rows[0]], np.float64)


def open_field(pixels: F32, *, dark_is_dense: bool) -> OpenField:
    """The field within the shadow that reaches the rims of an image (rows, columns)."""
    step = max(1, *(n // _LOOKED_AT for n in pixels.shape))
    level = grey_level(np.nan_to_num(pixels[::step, ::step], posinf=0.0, neginf=0.0))
    shadow = level < _SHADOW if dark_is_dense else level > 1.0 - _SHADOW
    rows, columns = (
        _between(shadow.mean(axis=1 - axis) < _ALL, step, pixels.shape[axis]) for axis in (0, 1)
    )
    return OpenField(rows=rows, columns=columns)


def _between(is_open: NDArray[np.bool_], step: int, length: int) -> tuple[int, int]:
    """From the first to behind the last that is open; everything where hardly anything is."""
    at = np.flatnonzero(is_open)
    if len(at) < _LEAST * len(is_open):
        return 0, length
    first, last = int(at[0]), int(at[-1])
    return max(0, (first - 1) * step + 1), min(length, (last + 1) * step)
