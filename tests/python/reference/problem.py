"""The terms of a fit together, the prior, and one Levenberg-Marquardt step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reference.motion import State
from reference.rows import (
    BoundaryObservations,
    EllipseObservations,
    PointObservations,
    Rows,
    boundary_rows,
    cost_of,
    ellipse_rows,
    normal_equations,
    point_rows,
)
from reference.shape import Model
from reference.views import View

F64 = NDArray[np.float64]
MAX_TRIALS = 6


@dataclass(frozen=True)
class Prior:
    """b ~ N(0, 1 / shape_weight), corrections ~ N(0, 1 / weight), and one view's depth."""

    shape_weight: float = 1.0
    correction_weight_rad: float = 0.0
    correction_weight_mm: float = 0.0
    depth_weight: float = 0.0
    depth_axis: F64 = field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))
    start: F64 = field(default_factory=lambda: np.zeros(3))

    def rows(self, state: State) -> tuple[F64, F64]:
        """Residuals and Jacobian of one row for each b, each correction entry and the depth."""
        k, num_params = state.b.size, state.num_params
        weights = np.full(num_params - 5, self.shape_weight)
        by_entry = [self.correction_weight_rad] * 3 + [self.correction_weight_mm] * 3
        weights[k:-1] = np.tile(by_entry, len(state.corrections))
        weights[-1] = self.depth_weight
        root = np.sqrt(weights)
        depth = self.depth_axis @ (state.translation - self.start)
        r = root * np.concatenate([state.b, state.corrections.ravel(), [depth]])
        J = np.zeros((num_params - 5, num_params))
        J[np.arange(num_params - 6), np.arange(6, num_params)] = root[:-1]
        J[-1, 3:6] = root[-1] * self.depth_axis
        return r, J


@dataclass
class Problem:
    """Everything that pulls the bone, on a fixed assignment and search result."""

    model: Model
    views: Sequence[View]
    prior: Prior
    points: list[PointObservations] = field(default_factory=list)
    ellipses: list[EllipseObservations] = field(default_factory=list)
    boundaries: list[BoundaryObservations] = field(default_factory=list)
    boundary_sigma_mm: float = 1.0
    boundary_loss_scale: float = 3.0
    active_modes: int | None = None
    pose_floor: float = 0.0

    def rows(self, state: State, *, jacobian: bool = True) -> list[Rows]:
        """Rows of all views' points, ellipses and boundaries."""
        groups = []
        for v, view in enumerate(self.views):
            features = {"active_modes": self.active_modes, "jacobian": jacobian}
            if self.points:
                groups.append(point_rows(self.model, view, state, v, self.points[v], **features))
            if self.ellipses:
                groups.append(
                    ellipse_rows(self.model, view, state, v, self.ellipses[v], **features)
                )
            if self.boundaries:
                groups.append(
                    boundary_rows(
                        view,
                        state,
                        v,
                        self.boundaries[v],
                        sigma_mm=self.boundary_sigma_mm,
                        loss_scale=self.boundary_loss_scale,
                        jacobian=jacobian,
                    )
                )
        return groups

    def normal_equations(self, state: State) -> tuple[F64, F64, float]:
        """H, g and the cost at a state."""
        H, g, cost = normal_equations(self.rows(state), state.num_params)
        r, J = self.prior.rows(state)
        H += J.T @ J
        g += r @ J
        H[range(6), range(6)] += self.pose_floor
        return H, g, cost + float(r @ r)

    def cost(self, state: State) -> float:
        """Sum of the robust costs and the prior."""
        r, _ = self.prior.rows(state)
        return cost_of(self.rows(state, jacobian=False)) + float(r @ r)


@dataclass
class Solver:
    """Damping, kept between steps, and the last system that was solved."""

    damping: float = 1e-6
    max_b: float = 4.0
    cost: float = 0.0
    dx: F64 = field(default_factory=lambda: np.zeros(0))
    H: F64 = field(default_factory=lambda: np.zeros((0, 0)))

    def take_step(self, problem: Problem, state: State) -> tuple[State, bool]:
        """The first trial under growing damping whose cost does not rise, or the same state."""
        self.H, g, cost = problem.normal_equations(state)
        for _ in range(MAX_TRIALS):
            damped = self.H + np.diag(self.damping * np.diag(self.H) + 1e-12)
            self.dx = np.linalg.solve(damped, -g)
            trial = state.moved(self.dx, self.max_b)
            trial_cost = problem.cost(trial)
            if trial_cost <= cost:
                self.cost = trial_cost
                self.damping = max(1e-9, 0.1 * self.damping)
                return trial, True
            self.damping = max(1e-6, 10.0 * self.damping)
        return state, False
