"""A whole fit from a given start, with detected features, coarse to fine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference import options as fixed
from reference.alignment import Features, match_from_start, state_at, with_corrections
from reference.motion import State
from reference.options import Options
from reference.problem import Prior, Problem, Solver
from reference.search import Scales, prepare_scales, report_view, search_view
from reference.shape import Model, vertex_normals
from reference.silhouette import Silhouette, extract_silhouette
from reference.views import View

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

Step = Callable[[Problem, State], tuple[State, bool, F64]]


@dataclass(frozen=True)
class Fit:
    """vertices (N, 3) and pose in the world; offsets of the boundary as in the package."""

    state: State
    vertices: F32
    vertex_sd_mm: F32
    boundary_rms_mm: float
    boundary_found: float
    iterations: int
    status: str
    cost: float
    match_quality: float
    num_matched: float


def fit_bone(
    model: Model,
    views: Sequence[View],
    pixels: Sequence[F32],
    features: Sequence[Features],
    world_from_bone: F64,
    options: Options,
    *,
    step: Step | None = None,
) -> Fit:
    """Match, align, then search and solve; `step` replaces the solver of the boundary's steps."""
    state, match = match_from_start(
        model, views, features, state_at(model, world_from_bone), options
    )
    if options.calibration_sd_mm > 0.0 and options.calibration_sd_deg > 0.0:
        state = with_corrections(state, len(views))
    problem = Problem(
        model,
        views,
        _prior(views, state, options),
        points=match.points,
        ellipses=match.ellipses,
        boundary_sigma_mm=options.boundary_sigma_mm,
    )
    solver = Solver(max_b=options.max_b)
    vertices = model.instance(state.b)
    scales = [
        prepare_scales(image, view.of_bone(*state.pose_for(v)), vertices, options)
        for v, (view, image) in enumerate(zip(views, pixels, strict=True))
    ]
    state = _fit_features(problem, solver, state)
    solver.damping = 1e-6
    state, iterations, status = _fit_boundary(
        problem, scales, state, options, step or _lm_step(solver)
    )

    vertices = model.instance(state.b)
    normals = vertex_normals(vertices, model.faces)
    H = solver.H if step is None and iterations else problem.normal_equations(state)[0]
    rims = [
        rim_of(model, views, state, v, vertices, normals, fixed.ALL_POINTS)
        for v in range(len(views))
    ]
    rms, found = boundary_report(scales, rims, options)
    in_world = vertices @ state.rotation.T.astype(np.float32)
    return Fit(
        state=state,
        vertices=in_world + state.translation.astype(np.float32),
        vertex_sd_mm=vertex_sd_mm(model, state, vertices, normals, H),
        boundary_rms_mm=rms,
        boundary_found=found,
        iterations=iterations,
        status=status,
        cost=problem.cost(state),
        match_quality=match.quality,
        num_matched=match.num_matched,
    )


def _prior(views: Sequence[View], state: State, options: Options) -> Prior:
    """Further views may be off by a small motion; one view gets a prior on its depth instead."""
    one = len(views) == 1 and options.depth_sd_mm > 0.0
    sd_rad = np.deg2rad(options.calibration_sd_deg)
    free = len(state.corrections) > 0
    return Prior(
        shape_weight=options.shape_prior,
        correction_weight_rad=1.0 / sd_rad**2 if free else 0.0,
        correction_weight_mm=1.0 / options.calibration_sd_mm**2 if free else 0.0,
        depth_weight=1.0 / options.depth_sd_mm**2 if one else 0.0,
        depth_axis=views[0].rotation[2],
        start=state.translation,
    )


def _fit_features(problem: Problem, solver: Solver, state: State) -> State:
    if not problem.points:
        return state
    for _ in range(fixed.FEATURE_STEPS):
        state, fell = solver.take_step(problem, state)
        if not fell:
            break
    return state


def _lm_step(solver: Solver) -> Step:
    def step(problem: Problem, state: State) -> tuple[State, bool, F64]:
        state, fell = solver.take_step(problem, state)
        return state, fell, solver.dx

    return step


def window_mm(iteration: int, options: Options) -> float:
    """Half width of a search: narrows geometrically, then stays."""
    final = min(fixed.FINAL_SEARCHES, options.iterations // 4)
    narrowing = max(1, options.iterations - final)
    share = min(1.0, iteration / narrowing)
    return options.search_start_mm * (options.search_end_mm / options.search_start_mm) ** share


def rim_of(
    model: Model,
    views: Sequence[View],
    state: State,
    v: int,
    vertices: F32,
    normals: F32,
    max_points: int,
) -> Silhouette:
    view = views[v].of_bone(*state.pose_for(v))
    return extract_silhouette(view, vertices, normals, model.edges, max_points)


def _fit_boundary(
    problem: Problem,
    scales: Sequence[Scales | None],
    state: State,
    options: Options,
    step: Step,
) -> tuple[State, int, str]:
    """Search is discrete, a step is smooth: it is judged on the search it was made for."""
    model, views = problem.model, problem.views
    caps = [0.0] * len(views)
    for iteration in range(options.iterations):
        half_width_mm = window_mm(iteration, options)
        vertices = model.instance(state.b)
        normals = vertex_normals(vertices, model.faces)
        problem.boundaries = []
        for v, of_view in enumerate(scales):
            if of_view is None:
                raise ValueError("the reference needs the bone in every image")
            rim = rim_of(model, views, state, v, vertices, normals, options.points_per_view)
            seen, caps[v] = search_view(
                model, state.b, of_view, rim, half_width_mm, caps[v], options
            )
            problem.boundaries.append(seen)
        problem.boundary_loss_scale = max(
            3.0, fixed.LOSS_OVER_WINDOW * half_width_mm / options.boundary_sigma_mm
        )
        state, fell, dx = step(problem, state)
        if half_width_mm > 1.001 * options.search_end_mm:
            continue
        if not fell:
            return state, iteration + 1, "STALLED"
        if np.linalg.norm(dx[3:6]) < options.step_tolerance_mm:
            return state, iteration + 1, "CONVERGED"
    return state, options.iterations, "ITERATION_LIMIT"


def boundary_report(
    scales: Sequence[Scales | None], rims: Sequence[Silhouette], options: Options
) -> tuple[float, float]:
    """Root mean square offset [mm] of silhouette points with an edge within 5 mm; their share."""
    offsets, num_inside = [], 0
    for of_view, rim in zip(scales, rims, strict=True):
        if of_view is None:
            continue
        offset, inside = report_view(of_view, rim, options)
        offsets.append(offset[~np.isnan(offset)])
        num_inside += int(inside.sum())
    found = np.concatenate([*offsets, np.zeros(0)])
    rms = float(np.sqrt(np.mean(found**2))) if len(found) else float("nan")
    return rms, len(found) / num_inside if num_inside else 0.0


def vertex_sd_mm(model: Model, state: State, vertices: F32, normals: F32, H: F64) -> F32:
    """sd^2 = j H^-1 j^T + inadequacy^2 along each vertex normal."""
    x, n = vertices.astype(np.float64), normals.astype(np.float64)
    J = np.zeros((len(x), state.num_params))
    J[:, :3] = np.cross(x, n) @ state.rotation.T
    J[:, 3:6] = n @ state.rotation.T
    k = model.num_modes
    J[:, 6 : 6 + k] = sum(normals[:, a, None] * model.vertex_modes[:, a] for a in range(3))
    regular = H + 1e-9 * np.eye(len(H))
    variance = np.einsum("np,pn->n", J, np.linalg.solve(regular, J.T))
    return np.sqrt(variance + model.inadequacy_mm.astype(np.float64) ** 2).astype(np.float32)
