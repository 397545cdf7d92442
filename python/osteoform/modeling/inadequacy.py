"""What a model cannot express of a bone it has not seen, measured by leaving each bone out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from osteoform._errors import InputError
from osteoform.modeling.pca import principal_modes
from osteoform.modeling.surface import F64, I32, vertex_normals
from osteoform.modeling.vertex_fit import fit_vertices

Progress = Callable[[int, int], None]


def leave_one_out_residuals(
    shapes: F64,
    faces: I32,
    kernel: F64,
    *,
    num_pca: int | None = None,
    progress: Progress | None = None,
) -> F64:
    """Distance (S, N) [mm] along the normal between each bone and its fit by the others' model.

    Parameters
    ----------
    shapes
        (S, N, 3) [mm], aligned, S >= 3.
    kernel
        (K, N, 3) kernel modes [mm]; smooth fields of the mean, hence the same for every fold.
    num_pca
        Principal modes of each fold; None: all.
    progress
        Called with (bones done, bones in all).
    """
    count = len(shapes)
    if count < 3:
        raise InputError(f"leaving one out needs 3 shapes, got {count}")
    residuals = np.empty(shapes.shape[:2])
    for i in range(count):
        others = np.delete(shapes, i, axis=0)
        kept = None if num_pca is None else min(num_pca, count - 2)
        mean, learned = principal_modes(others, num_modes=kept)
        normals = vertex_normals(mean, faces)
        modes = np.concatenate([learned, kernel])
        fit = fit_vertices(mean, modes, shapes[i], normals=normals)
        residuals[i] = np.einsum("ij,ij->i", fit.target - fit.fitted, normals)
        if progress is not None:
            progress(i + 1, count)
    return residuals


def inadequacy(residuals_mm: F64) -> F64:
    """Root mean square (N,) [mm] over the bones (S, N)."""
    return np.asarray(np.sqrt(np.mean(residuals_mm**2, axis=0)), dtype=np.float64)
