"""Residual rows: what each term says at a state, and how rows add up.

A group holds n residuals of d numbers each, whitened, with one robust weight per residual.
Columns: pose (6), modes (K), then 6 per corrected view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference.ellipse import ellipse_vector, mean_semi_axis, project_with_motion
from reference.motion import Frames, State
from reference.shape import Model
from reference.views import View

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

FEATURE_LOSS_SCALE = 4.0


@dataclass(frozen=True)
class Rows:
    """r (n, d), J (n, d, P) unless only the cost was asked for, weight (n,)."""

    r: F64
    J: NDArray[np.floating] | None
    weight: F64
    loss_scale: float


@dataclass(frozen=True)
class BoundaryObservations:
    """One view's silhouette points and the boundary points found from them, n of each.

    In the bone frame a point lies at mean + modes @ b; rows are as precise as the modes are.
    """

    mean: F64
    modes: NDArray[np.floating]
    found_px: F64
    normal: F64
    weight: F64
    px_per_mm: float


@dataclass(frozen=True)
class PointObservations:
    """Detected points of one view, each paired with one of the model's, n pairs."""

    point: I32
    px: F64
    sigma_px: F64
    weight: F64


@dataclass(frozen=True)
class EllipseObservations:
    """Detected feature ellipses of one view, m of them."""

    ellipsoid: I32
    center_px: F64
    shape_px2: F64
    sigma_px: F64
    weight: F64


def boundary_rows(
    view: View,
    state: State,
    index: int,
    seen: BoundaryObservations,
    *,
    sigma_mm: float,
    loss_scale: float,
    jacobian: bool = True,
) -> Rows:
    """Distance of projected silhouette points to their boundary points, along the image normals.

    The silhouette's own sliding needs no derivative: it runs along the ray.
    """
    view = view.of_bone(*state.pose_for(index))
    n, _, k = seen.modes.shape
    x = seen.mean + (seen.modes.reshape(3 * n, k) @ state.b.astype(seen.modes.dtype)).reshape(n, 3)
    whiten = 1.0 / (seen.px_per_mm * sigma_mm)
    r = whiten * np.sum((view.project(x) - seen.found_px) * seen.normal, axis=1)
    weight = seen.weight * view.sees(x)
    if not jacobian:
        return Rows(r[:, None], None, weight, loss_scale)
    gradient = whiten * np.einsum("nia,ni->na", view.jacobian(x), seen.normal)
    J = np.zeros((n, state.num_params), seen.modes.dtype)
    _set_motion(J, state, index, gradient, _cross(x, gradient))
    g = gradient.astype(seen.modes.dtype)
    J[:, 6 : 6 + k] = sum(g[:, a, None] * seen.modes[:, a] for a in range(3))
    return Rows(r[:, None], J[:, None], weight, loss_scale)


def point_rows(
    model: Model,
    view: View,
    state: State,
    index: int,
    seen: PointObservations,
    *,
    active_modes: int | None = None,
    jacobian: bool = True,
) -> Rows:
    """Projected feature points minus where they were detected."""
    view = view.of_bone(*state.pose_for(index))
    x = model.points(state.b)[seen.point]
    r = (view.project(x) - seen.px) / seen.sigma_px[:, None]
    weight = seen.weight * view.sees(x)
    if not jacobian:
        return Rows(r, None, weight, FEATURE_LOSS_SCALE)
    gradient = view.jacobian(x) / seen.sigma_px[:, None, None]
    J = np.zeros((len(x), 2, state.num_params))
    _set_motion(J, state, index, gradient, _cross(x[:, None], gradient))
    k = state.b.size if active_modes is None else min(active_modes, state.b.size)
    J[..., 6 : 6 + k] = gradient @ np.moveaxis(model.point_modes[:k, seen.point], 0, -1)
    return Rows(r, J, weight, FEATURE_LOSS_SCALE)


def ellipse_rows(
    model: Model,
    view: View,
    state: State,
    index: int,
    seen: EllipseObservations,
    *,
    active_modes: int | None = None,
    jacobian: bool = True,
) -> Rows:
    """Outlines of the model's ellipsoids minus the detected feature ellipses."""
    view = view.of_bone(*state.pose_for(index))
    centers, shapes = (values[seen.ellipsoid] for values in model.ellipsoids(state.b))
    semi_axis_px = mean_semi_axis(seen.shape_px2)
    basis = _BASIS if jacobian else (np.zeros((1, 3)), np.zeros((1, 3, 3)))
    px, px2, dpx, dpx2 = project_with_motion(view, centers[:, None], shapes[:, None], *basis)
    observed = ellipse_vector(seen.center_px, seen.shape_px2, semi_axis_px)
    r = ellipse_vector(px[:, 0], px2[:, 0], semi_axis_px) - observed
    r = r / seen.sigma_px[:, None]
    weight = seen.weight * view.sees(centers)
    if not jacobian:
        return Rows(r, None, weight, FEATURE_LOSS_SCALE)
    by_motion = ellipse_vector(dpx, dpx2, semi_axis_px[:, None]) / seen.sigma_px[:, None, None]
    motions = _ellipsoid_motions(model, state, index, seen.ellipsoid, centers, shapes, active_modes)
    return Rows(r, by_motion.swapaxes(1, 2) @ motions, weight, FEATURE_LOSS_SCALE)


# Motions of an ellipsoid, one for each entry of (centre, shape matrix).
_BASIS = (
    np.concatenate([np.eye(3), np.zeros((9, 3))]),
    np.concatenate([np.zeros((3, 3, 3)), np.eye(9).reshape(9, 3, 3)]),
)


def _ellipsoid_motions(
    model: Model,
    state: State,
    index: int,
    ids: I32,
    centers: F64,
    shapes: F64,
    active_modes: int | None,
) -> F64:
    """(m, 12, P): how centre and shape matrix move with each parameter."""
    m = len(ids)
    k = state.b.size if active_modes is None else min(active_modes, state.b.size)
    motions = np.zeros((m, 12, state.num_params))
    frames = Frames.of(state, index)

    def turn(rotation: F64) -> F64:
        """Columns for turning by each row of a rotation: w x c and W A + (W A)^T."""
        W = np.cross(np.eye(3), rotation[:, None])  # (3, 3, 3): W[k] @ c = w_k x c
        WA = W @ shapes[:, None]
        parts = np.concatenate(
            [W @ centers[:, None, :, None], (WA + WA.swapaxes(2, 3)).reshape(m, 3, 9, 1)], axis=2
        )
        return parts[..., 0].swapaxes(1, 2)

    motions[:, :, 0:3] = turn(frames.pose_from_torque)
    motions[:, :3, 3:6] = frames.pose_from_force.T
    motions[:, :3, 6 : 6 + k] = np.moveaxis(model.ellipsoid_modes[:k, ids], 0, -1)
    scale = model.ellipsoid_scale_modes[:k, ids].T
    motions[:, 3:, 6 : 6 + k] = 2.0 * shapes.reshape(m, 9, 1) * scale[:, None]
    if state.corrects(index):
        columns = state.correction_columns(index)
        motions[:, :, columns.start : columns.start + 3] = turn(frames.correction_from_torque)
        motions[:, :3, columns.start + 3 : columns.stop] = frames.pose_from_force.T
    return motions


def _set_motion(J: NDArray[np.floating], state: State, index: int, force: F64, torque: F64) -> None:
    """Columns of pose and correction from gradients (..., 3) at bone points and x cross them."""
    frames = Frames.of(state, index)
    shift = force @ frames.pose_from_force.T
    J[..., :3] = torque @ frames.pose_from_torque.T
    J[..., 3:6] = shift
    if state.corrects(index):
        columns = state.correction_columns(index)
        J[..., columns.start : columns.start + 3] = torque @ frames.correction_from_torque.T
        J[..., columns.start + 3 : columns.stop] = shift


def _cross(a: F64, b: F64) -> F64:
    """np.cross without its overhead."""
    return np.stack(
        [
            a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1],
            a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2],
            a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0],
        ],
        axis=-1,
    )


def geman_mcclure(s: F64, scale: float) -> tuple[F64, F64]:
    """Cost rho(s) of squared residuals and its derivative: saturates at scale^2."""
    c = scale * scale
    share = c / (c + s)
    return s * share, share * share


def cost_of(groups: Sequence[Rows]) -> float:
    """sum w rho(|r|^2)."""
    total = 0.0
    for rows in groups:
        rho, _ = geman_mcclure(np.sum(rows.r**2, axis=1), rows.loss_scale)
        total += float(rows.weight @ rho)
    return total


def normal_equations(groups: Sequence[Rows], num_params: int) -> tuple[F64, F64, float]:
    """H = sum w rho' J^T J, g = sum w rho' J^T r, cost = sum w rho."""
    H, g, cost = np.zeros((num_params, num_params)), np.zeros(num_params), 0.0
    for rows in groups:
        assert rows.J is not None
        rho, slope = geman_mcclure(np.sum(rows.r**2, axis=1), rows.loss_scale)
        weight = np.repeat(rows.weight * slope, rows.r.shape[1])[:, None].astype(rows.J.dtype)
        J = rows.J.reshape(-1, num_params)
        weighted = weight * J
        H += weighted.T @ J
        g += rows.r.ravel().astype(J.dtype) @ weighted
        cost += float(rows.weight @ rho)
    return H, g, cost
