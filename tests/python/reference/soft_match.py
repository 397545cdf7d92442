"""Doubly stochastic assignment with slack: Sinkhorn in the log domain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def soft_match(
    cost: F64,
    *,
    slack_cost: float = 9.0,
    temperature: float = 1.0,
    max_sweeps: int = 30,
    tolerance: float = 1e-4,
) -> F64:
    """Share out detections (rows) among features (columns) and the slack (Gold, Rangarajan 1996).

    log M_ij = -cost_ij / T + row_i + column_j; slack cells carry row_i or column_j alone and the
    slack row and column are not normalised. Sweeping stops when no row_i moves by `tolerance`.
    """
    n, m = cost.shape
    if n == 0 or m == 0:
        return np.zeros((n, m))
    score = -cost / temperature
    slack = -slack_cost / temperature
    row, column = np.zeros(n), np.zeros(m)
    for _ in range(max_sweeps):
        before = row
        row = -_log_sum_exp(score + column, slack)
        column = -_log_sum_exp(score.T + row, slack)
        if np.max(np.abs(row - before)) < tolerance:
            break
    return np.exp(score + row[:, None] + column)


def _log_sum_exp(values: F64, extra: float) -> F64:
    """log(sum exp) of each row with one more value."""
    top = np.maximum(values.max(axis=1), extra)
    return top + np.log(np.exp(values - top[:, None]).sum(axis=1) + np.exp(extra - top))
