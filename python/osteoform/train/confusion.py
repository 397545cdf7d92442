"""How often a feature point is another one than the network says: fitted to people held out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from osteoform._types import F32, F64

_TOLERANCE_PX = 12.0  # of the network: three cells, which nine in ten errors are below
_PRIOR_PLACES = 20.0  # per name, that are taken to have borne it before any was looked at
_FIRST_DOUBT = 0.1
_ROUNDS = 40
_TINY = 1e-9


def true_names(places: F64, truth: F32, visible: F32) -> NDArray[np.intp]:
    """Which feature point (F, 2) each place (n, 2) is [network px]; F where it is none of them.

    It is the nearest one in view, if that is near enough.
    """
    away = np.linalg.norm(places[:, None] - truth, axis=2)
    away[:, visible == 0] = np.inf
    near = away.min(axis=1) <= _TOLERANCE_PX
    return np.where(near, away.argmin(axis=1), len(truth))


def fit_confusion(probability: F64, names: NDArray[np.intp]) -> F64:
    """Fit the probability (F, F) of the true name (column) given the one the network means (row).

    The network names a place by probabilities (n, F). Counting true names by the likeliest would
    doubt twice what these doubt already; here each place is shared among the names it may bear,
    by expectation maximisation of the likelihood of the true names. Rows sum to at most 1; the
    rest is the probability of being none of the feature points. A rare name keeps to itself.
    """
    num_names = probability.shape[1]
    unnamed = np.maximum(1.0 - probability.sum(axis=1, keepdims=True), 0.0)
    said = np.concatenate([probability, unnamed], 1)
    none = np.eye(num_names + 1)[-1]
    prior = _PRIOR_PLACES * np.eye(num_names + 1)
    fitted = (1.0 - _FIRST_DOUBT) * np.eye(num_names + 1) + _FIRST_DOUBT / (num_names + 1)
    for _ in range(_ROUNDS):
        fitted[-1] = none
        share = said * fitted[:, names].T
        share /= np.maximum(share.sum(axis=1, keepdims=True), _TINY)
        counts = prior.copy()
        np.add.at(counts.T, names, share)
        fitted = counts / counts.sum(axis=1, keepdims=True)
    confusion: F64 = fitted[:-1, :-1]
    return confusion
