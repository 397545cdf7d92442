"""The same Gaussian in an orthonormal basis, for formats that keep basis and variances apart."""

from __future__ import annotations

import numpy as np

from osteoform._types import F64

# Relative to the first: smaller singular values are rounding.
_SMALLEST = 1e-7


def orthonormal_basis(modes: F64) -> tuple[F64, F64]:
    """Basis (3N, K') with orthonormal columns and variances (K',) [mm^2], largest first.

    Modes (K, N, 3) of any kind, parallel ones too, give the covariance `modes^T modes`; its
    eigenvectors come from the singular values of the modes, without forming it.
    """
    flat = modes.reshape(len(modes), 3 * modes.shape[1])
    if len(flat) == 0:
        return flat.T, np.zeros(0)
    _, singular, rows = np.linalg.svd(flat, full_matrices=False)
    keep = singular > _SMALLEST * max(float(singular[0]), 1e-12)
    return np.ascontiguousarray(rows[keep].T), np.square(singular[keep])
