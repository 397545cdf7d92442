"""What a foreign file says, before it is brought into our frame: points, not yet a bone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteoform._errors import InputError
from osteoform._types import F64, I32, Mesh


@dataclass(frozen=True, kw_only=True)
class PointModel:
    """A Gaussian over points: `mean + sum_k b[k] modes[k]`, b ~ N(0, I), in the file's frame.

    Attributes
    ----------
    mean, modes
        (P, 3) and (K, P, 3) [mm]: displacements at b = 1, of any basis.
    faces
        (M, 3), or None where the file has points only.
    inadequacy_mm
        (P,) standard deviation of what the model cannot express, or None where it does not say.
    """

    mean: F64 = field(repr=False)
    modes: F64 = field(repr=False)
    faces: I32 | None = field(default=None, repr=False)
    inadequacy_mm: F64 | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        count = _num_points(self.mean, "mean")
        modes = np.asarray(self.modes)
        if modes.ndim != 3 or modes.shape[1:] != (count, 3):
            raise InputError(f"modes must have the shape (K, {count}, 3), found {modes.shape}")
        _check_finite(modes, "modes")
        if self.faces is not None:
            check_faces(self.faces, count)
        if self.inadequacy_mm is not None:
            sd = np.asarray(self.inadequacy_mm)
            if sd.shape != (count,) or not np.isfinite(sd).all() or (sd < 0.0).any():
                raise InputError(
                    f"inadequacy_mm must be {count} numbers of 0 or more, found {sd.shape}"
                )


@dataclass(frozen=True, kw_only=True)
class PointShapes:
    """People in correspondence: shapes (S, P, 3) [mm], and what lies between the points.

    Attributes
    ----------
    faces
        (M, 3), or None where the file has points only.
    surface
        A mesh of one of the people, or of their mean, in the same frame; its surface follows the
        points. None: the template's surface does.
    """

    shapes: F64 = field(repr=False)
    faces: I32 | None = field(default=None, repr=False)
    surface: Mesh | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shapes = np.asarray(self.shapes)
        if shapes.ndim != 3 or len(shapes) == 0:
            raise InputError(f"shapes must have the shape (S, P, 3), found {shapes.shape}")
        _num_points(shapes[0], "shapes")
        _check_finite(shapes, "shapes")
        if self.faces is not None:
            check_faces(self.faces, shapes.shape[1])


def numbers(array: NDArray[Any], what: str) -> F64:
    """An array as float64, or an InputError if it holds no numbers."""
    found = np.asarray(array)
    if found.dtype.kind not in "fiu":
        raise InputError(f"{what} must hold numbers, found {found.dtype}")
    return np.ascontiguousarray(found, dtype=np.float64)


def check_faces(faces: NDArray[Any], num_points: int) -> I32:
    """Triangles (M, 3) int32 of points 0..P-1, or an InputError."""
    found = np.asarray(faces)
    if found.ndim != 2 or found.shape[1] != 3 or len(found) == 0 or found.dtype.kind not in "iu":
        raise InputError(f"faces must be integers (M, 3), found {found.shape} {found.dtype}")
    if found.min() < 0 or found.max() >= num_points:
        raise InputError(
            f"faces must name points 0..{num_points - 1}, "
            f"found {int(found.min())}..{int(found.max())}"
        )
    return np.ascontiguousarray(found, dtype=np.int32)


def _num_points(points: NDArray[Any], what: str) -> int:
    found = np.asarray(points)
    if found.ndim != 2 or found.shape[1] != 3 or len(found) < 4:
        raise InputError(f"{what} must hold 4 points or more, (P, 3), found {found.shape}")
    _check_finite(found, what)
    return len(found)


def _check_finite(array: NDArray[Any], what: str) -> None:
    if not np.isfinite(array).all():
        raise InputError(f"{what} must be finite, found NaN or infinity")
