"""What the mesh readers share: polygons as lists of corners, and their triangles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from osteoform._errors import InputError
from osteoform._types import F64

I64 = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Polygons:
    """A mesh as read, not yet checked: vertices (N, 3) and triangles (M, 3)."""

    vertices: F64 = field(repr=False)
    faces: I64 = field(repr=False)


def fan(sizes: NDArray[np.generic], corners: NDArray[np.generic]) -> I64:
    """Triangles (M, 3) of polygons: their sizes (P,) and all corners one after another."""
    lengths, ids = as_integers(sizes, "polygon sizes"), as_integers(corners, "vertex numbers")
    if (lengths < 3).any():
        raise InputError(f"needed polygons of 3 corners or more, found {int(lengths.min())}")
    if lengths.sum() != len(ids):
        raise InputError(f"needed {int(lengths.sum())} polygon corners, found {len(ids)}")
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    triangles = lengths - 2
    start = np.repeat(first, triangles)
    within = np.arange(len(start)) - np.repeat(np.cumsum(triangles) - triangles, triangles)
    second = start + 1 + within
    return np.stack([ids[start], ids[second], ids[second + 1]], axis=1)


def as_integers(values: NDArray[np.generic], what: str) -> I64:
    """Whole numbers as int64, or an InputError."""
    numbers = np.asarray(values)
    if numbers.dtype.kind in "iu":
        return numbers.astype(np.int64)
    numbers = numbers.astype(np.float64)
    if not (np.isfinite(numbers).all() and (np.abs(numbers) < 2**53).all()):
        raise InputError(f"{what} must be whole numbers, found others")
    if (numbers != np.rint(numbers)).any():
        raise InputError(f"{what} must be whole numbers, found fractions")
    return numbers.astype(np.int64)


def pack_lists(
    columns: Mapping[str, Sequence[F64]], lists: Sequence[str]
) -> dict[str, NDArray[np.generic]]:
    """Join the rows of each column; a list `name` gets its sizes as `name#`."""
    packed: dict[str, NDArray[np.generic]] = {}
    for name, rows in columns.items():
        packed[name] = np.concatenate(rows) if rows else np.zeros(0)
        if name in lists:
            packed[f"{name}#"] = np.array([len(row) for row in rows], dtype=np.int64)
    return packed
