"""Smooth local modes from a Gaussian process on the mean.

They let a model follow what its few training bones do not span (M. Luethi et al., Gaussian
Process Morphable Models, 2018), by the Nystrom approximation on farthest points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from osteoform._errors import InputError
from osteoform.modeling.surface import F64, I32, vertex_normals


@dataclass(frozen=True, kw_only=True)
class KernelOptions:
    """A squared-exponential kernel.

    Attributes
    ----------
    sd_mm
        Standard deviation of the displacement.
    length_mm
        Distance over which displacements are alike.
    num_modes
        Modes of the scalar process; three times as many when they move in x, y and z.
    direction
        Displace along the mean's normals, or along x, y and z independently.
    num_points
        Farthest points that carry the approximation.
    """

    sd_mm: float = 1.2
    length_mm: float = 25.0
    num_modes: int = 60
    direction: Literal["normal", "xyz"] = "normal"
    num_points: int = 400

    def __post_init__(self) -> None:
        for name in ("sd_mm", "length_mm"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0.0):
                raise InputError(f"{name} must be positive, got {value}")
        if not 0 <= self.num_modes <= self.num_points:
            raise InputError(f"num_modes must be in 0..{self.num_points}, got {self.num_modes}")
        if self.direction not in ("normal", "xyz"):
            raise InputError(f"direction must be 'normal' or 'xyz', got {self.direction!r}")


def kernel_modes(mean: F64, faces: I32, options: KernelOptions) -> F64:
    """Displacements (K, N, 3) [mm at b = 1] of the leading modes of the process.

    Parameters
    ----------
    mean, faces
        (N, 3) [mm] and (M, 3).
    """
    heights = scalar_modes(mean, options)
    if options.direction == "normal":
        return np.asarray(heights[:, :, None] * vertex_normals(mean, faces), dtype=np.float64)
    return np.concatenate([heights[:, :, None] * axis for axis in np.eye(3)])


def scalar_modes(mean: F64, options: KernelOptions) -> F64:
    """Leading modes (K, N) [mm at b = 1] of the scalar process on points (N, 3).

    Their squares sum to nearly sd_mm^2 at every point when the modes suffice.
    """
    num_points = min(options.num_points, len(mean))
    if options.num_modes > num_points:
        raise InputError(f"num_modes must be at most {num_points}, got {options.num_modes}")
    support = mean[farthest_points(mean, num_points)]
    gram = _kernel(support, support, options.length_mm)
    values, vectors = np.linalg.eigh(gram + 1e-9 * np.eye(num_points))
    values, vectors = values[::-1][: options.num_modes], vectors[:, ::-1][:, : options.num_modes]
    # Flat directions of the kernel carry nothing but rounding.
    keep = values > 1e-8
    extended = _kernel(mean, support, options.length_mm) @ vectors[:, keep]
    return np.ascontiguousarray((options.sd_mm * extended / np.sqrt(values[keep])).T)


def farthest_points(points: F64, count: int) -> list[int]:
    """Indices of points that cover the rest: each is the farthest from those before it."""
    chosen = [int(np.argmax(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    for _ in range(count - 1):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return chosen


def _kernel(a: F64, b: F64, length_mm: float) -> F64:
    squared = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1) - 2.0 * a @ b.T
    return np.asarray(np.exp(-np.maximum(squared, 0.0) / (2.0 * length_mm**2)), dtype=np.float64)
