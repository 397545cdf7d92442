"""Principal modes of aligned shapes, their standard deviation folded in."""

from __future__ import annotations

import numpy as np

from osteoform._errors import InputError
from osteoform.modeling.surface import F64


def principal_modes(shapes: F64, *, num_modes: int | None = None) -> tuple[F64, F64]:
    """Mean and principal modes of aligned shapes.

    Parameters
    ----------
    shapes
        (S, N, 3) [mm], aligned.
    num_modes
        How many to keep; None: all that S shapes can have, S - 1. Modes without variance are
        dropped.

    Returns
    -------
    mean, modes
        (N, 3) and (K, N, 3) [mm]: the displacement at one standard deviation, largest first.
    """
    count = len(shapes)
    possible = count - 1
    wanted = possible if num_modes is None else num_modes
    if not 0 <= wanted <= possible:
        raise InputError(f"num_pca must be in 0..{possible} for {count} shapes, got {wanted}")
    mean = shapes.mean(axis=0)
    if wanted == 0:
        return mean, np.zeros((0, *mean.shape))
    deviations = (shapes - mean).reshape(count, -1)
    _, singular, rows = np.linalg.svd(deviations, full_matrices=False)
    keep = min(wanted, int(np.sum(singular > 1e-6 * max(float(singular[0]), 1e-12))))
    stddev = singular[:keep] / np.sqrt(possible)
    return mean, (stddev[:, None] * rows[:keep]).reshape(keep, *mean.shape)
