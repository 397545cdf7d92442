"""One step per search by scipy.optimize.least_squares, on the residuals of the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from reference.motion import State
from reference.problem import Problem
from reference.rows import Rows

F64 = NDArray[np.float64]

# MINPACK counts the residuals at the start as the first evaluation: this is one step per search,
# as the core takes. (least_squares takes the Jacobian once more, at its result.)
EVALUATIONS = 2


def scipy_step(
    jacobian: Literal["analytic", "2-point"], max_b: float = 4.0
) -> Callable[[Problem, State], tuple[State, bool, F64]]:
    """A step for `fit_bone`: Levenberg-Marquardt of MINPACK about the current state."""

    def step(problem: Problem, state: State) -> tuple[State, bool, F64]:
        if jacobian == "2-point":
            problem = _in_double(problem)

        def residuals(dx: F64) -> F64:
            return _residuals(problem, state.moved(dx, np.inf))

        def derivatives(dx: F64) -> F64:
            return _jacobian(problem, state.moved(dx, np.inf))

        result = least_squares(
            residuals,
            np.zeros(state.num_params),
            jac=derivatives if jacobian == "analytic" else "2-point",
            method="lm",
            max_nfev=EVALUATIONS,
        )
        return state.moved(result.x, max_b), bool(np.any(result.x)), result.x

    return step


def _in_double(problem: Problem) -> Problem:
    """Differences of 1.5e-8 drown in the float modes that rows are made of otherwise."""
    boundaries = [replace(b, modes=b.modes.astype(np.float64)) for b in problem.boundaries]
    return replace(problem, boundaries=boundaries)


def _residuals(problem: Problem, state: State) -> F64:
    """Numbers whose sum of squares is the problem's cost: sqrt(w rho(s) / s) r."""
    groups = problem.rows(state, jacobian=False)
    prior, _ = problem.prior.rows(state)
    return np.concatenate([*(_scaled(rows)[0].ravel() for rows in groups), prior])


def _jacobian(problem: Problem, state: State) -> F64:
    """Of the residuals above. About the state, not at its steps: first order in dx is exact there.

    d(k r) = k (J dx - r (r . J dx) / (c + s)) with k = sqrt(w c / (c + s)).
    """
    blocks = []
    for rows in problem.rows(state):
        assert rows.J is not None
        k = _scaled(rows)[1]
        slope = rows.r / _saturation(rows)[:, None]
        along = np.einsum("nd,ndp->np", rows.r, rows.J)
        J = k[:, None, None] * (rows.J - slope[..., None] * along[:, None])
        blocks.append(J.reshape(-1, state.num_params))
    _, prior = problem.prior.rows(state)
    return np.concatenate([*blocks, prior])


def _scaled(rows: Rows) -> tuple[F64, F64]:
    k = np.sqrt(rows.weight * rows.loss_scale**2 / _saturation(rows))
    return k[:, None] * rows.r, k


def _saturation(rows: Rows) -> F64:
    """c + s of Geman and McClure's loss."""
    return rows.loss_scale**2 + np.sum(rows.r**2, axis=1)
