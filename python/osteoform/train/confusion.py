"""How often a reported feature point is another one: counted on people held out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from osteoform._peaks import MIN_MASS, Peaks
from osteoform._types import F32, F64

_TOLERANCE_PX = 12.0  # of the network: three cells, which nine in ten errors are below
_PRIOR_REPORTS = 20.0  # that every name is taken to have got right before counting


def confusion(reports: Iterable[tuple[Peaks, F32, F32]], points: slice) -> F64:
    """Probability (F, F) of the true name of a reported point (column) given its name (row).

    The nearest feature point in view is the true one, none where it is too far: rows sum to at
    most 1, and the rest is the probability of being none of the bone's feature points. What was
    rarely reported keeps its name.

    Parameters
    ----------
    reports
        Per image the peaks, the true places (P, 2) in network pixels, and 1 where visible (P,).
    points
        Heat channels of the bone's feature points.
    """
    num_names = points.stop - points.start
    counts, totals = np.zeros((num_names, num_names)), np.zeros(num_names)
    for peaks, places, visible in reports:
        told = np.flatnonzero(peaks.mass[points] >= MIN_MASS)
        totals[told] += 1
        away = np.linalg.norm(peaks.at_px[points][told, None] - places[points], axis=2)
        away[:, visible[points] == 0] = np.inf
        nearest = away.argmin(axis=1)
        near = away.min(axis=1) <= _TOLERANCE_PX
        np.add.at(counts, (told[near], nearest[near]), 1.0)
    smoothed: F64 = (counts + _PRIOR_REPORTS * np.eye(num_names)) / (
        totals + _PRIOR_REPORTS
    )[:, None]
    return smoothed
