"""Detected features to the model's: the assignment, and the alignment from a given start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reference.motion import State
from reference.options import Options
from reference.problem import Prior, Problem, Solver
from reference.rows import EllipseObservations, PointObservations
from reference.shape import Model
from reference.soft_match import soft_match
from reference.views import View

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

ALIGNMENT_MODES = 5
NEAR_MM = (6.0, 0.0)  # assumed spread of the features about a given start
LEAST_WEIGHT = 0.01


@dataclass(frozen=True, kw_only=True)
class Features:
    """What was detected in one view: n points with class probabilities (n, F), m ellipses."""

    points_px: F64
    sigma_px: F64
    class_probability: F64
    ellipse_ids: I32
    ellipse_center_px: F64
    ellipse_shape_px2: F64
    ellipse_sigma_px: F64


@dataclass(frozen=True)
class Assignment:
    points: list[PointObservations]
    ellipses: list[EllipseObservations]
    quality: float
    num_matched: float


def match_from_start(
    model: Model,
    views: Sequence[View],
    features: Sequence[Features],
    state: State,
    options: Options,
) -> tuple[State, Assignment]:
    """Alternate assignment and least squares over pose and first modes, once near, once exact."""
    none = Assignment([], [], 0.0, 0.0)
    start = state
    solver = Solver(max_b=options.max_b)
    prior = Prior(shape_weight=options.shape_prior)
    for spread_mm in NEAR_MM:
        found = assign(model, views, features, state, spread_mm, options)
        problem = Problem(
            model,
            views,
            prior,
            points=found.points,
            ellipses=found.ellipses,
            active_modes=ALIGNMENT_MODES,
            pose_floor=1e-9,
        )
        solver.damping = 1e-6
        for _ in range(3):
            state, fell = solver.take_step(problem, state)
            if not fell:
                break
    found = assign(model, views, features, state, 0.0, options)
    if found.quality * found.num_matched <= 0.0:
        return start, none
    return state, found


def assign(
    model: Model,
    views: Sequence[View],
    features: Sequence[Features],
    state: State,
    spread_mm: float,
    options: Options,
) -> Assignment:
    """Doubly stochastic assignment in every view; quality is 1 where every label is right."""
    points, ellipses = [], []
    gain, num_matched, num_detections = 0.0, 0.0, 0
    for v, (view, seen) in enumerate(zip(views, features, strict=True)):
        scale = view.px_per_mm(state.translation)
        sigma = np.sqrt(
            seen.sigma_px**2 + (options.feature_sigma_mm * scale) ** 2 + (spread_mm * scale) ** 2
        )
        cost = match_cost(model, view.of_bone(*state.pose_for(v)), state.b, seen, sigma)
        match = soft_match(cost, slack_cost=options.slack_cost)
        free = np.exp(-options.slack_cost) + np.exp(-cost).sum(axis=1)
        gain += float(np.sum(options.slack_cost + np.log(free)))
        num_matched += float(match.sum())
        num_detections += len(cost)
        i, j = np.nonzero(match >= LEAST_WEIGHT)
        points.append(PointObservations(j, seen.points_px[i], sigma[i], match[i, j]))
        ellipses.append(
            EllipseObservations(
                seen.ellipse_ids,
                seen.ellipse_center_px,
                seen.ellipse_shape_px2,
                np.hypot(seen.ellipse_sigma_px, (spread_mm + options.feature_sigma_mm) * scale),
                np.ones(len(seen.ellipse_ids)),
            )
        )
    best = num_detections * options.slack_cost
    quality = max(0.0, gain / best) if num_detections else 0.0
    return Assignment(points, ellipses, quality, num_matched)


def match_cost(model: Model, view: View, b: F64, seen: Features, sigma_px: F64) -> F64:
    """C_ij = d^2 / 2 sigma_i^2 - log p_i(j), at most 1e6."""
    x = model.points(b)
    px = np.where(view.sees(x)[:, None], view.project(x), 1e6)
    d2 = np.sum((seen.points_px[:, None] - px) ** 2, axis=2) / sigma_px[:, None] ** 2
    log_p = np.log(np.maximum(seen.class_probability, 1e-6))
    return np.minimum(0.5 * d2 - log_p, 1e6)


def state_at(model: Model, world_from_bone: F64) -> State:
    """The mean shape at a pose (4, 4)."""
    return State(
        world_from_bone[:3, :3].copy(),
        world_from_bone[:3, 3].copy(),
        np.zeros(model.num_modes),
        np.zeros((0, 6)),
    )


def with_corrections(state: State, num_views: int) -> State:
    return replace(state, corrections=np.zeros((num_views - 1, 6)))
