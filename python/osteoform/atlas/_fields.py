"""Implicit primitives: fields that are negative inside, zero on the surface, about 1 mm per mm.

Points are (N, 3) mm, fields (N,) mm. Blends after Quilez' polynomial smooth minimum; the ellipsoid
and superellipse distances are first-order (value over gradient norm).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.interpolate import CubicSpline

from osteoform._types import F64

_TINY = 1e-9


def smooth_union(first: F64, second: F64, radius_mm: float) -> F64:
    """Blend two bodies; the fillet between them is about `radius_mm` wide."""
    h = np.clip(0.5 + 0.5 * (second - first) / radius_mm, 0.0, 1.0)
    return np.asarray(second * (1 - h) + first * h - radius_mm * h * (1 - h))


def smooth_cut(body: F64, tool: F64, radius_mm: float) -> F64:
    """Take `tool` away from `body`, rounding the rim."""
    return -smooth_union(-body, tool, radius_mm)


def sphere(points: F64, center: F64, radius_mm: float) -> F64:
    """Exact signed distance to a sphere."""
    return np.asarray(np.linalg.norm(points - center, axis=1) - radius_mm)


def ellipsoid(points: F64, center: F64, radii_mm: F64, axes: F64) -> F64:
    """First-order distance to an ellipsoid whose axes are the columns of `axes`."""
    q = (points - center) @ axes
    k0 = np.linalg.norm(q / radii_mm, axis=1)
    k1 = np.linalg.norm(q / radii_mm**2, axis=1)
    return np.asarray(k0 * (k0 - 1) / np.maximum(k1, _TINY))


def capsule(points: F64, start: F64, end: F64, start_radius_mm: float, end_radius_mm: float) -> F64:
    """Distance to a tapered rod with round ends."""
    along = end - start
    t = np.clip((points - start) @ along / (along @ along), 0.0, 1.0)
    radius = start_radius_mm + (end_radius_mm - start_radius_mm) * t
    return np.asarray(np.linalg.norm(points - start - t[:, None] * along, axis=1) - radius)


def bore(distance: F64, radius: F64) -> F64:
    """Field of a rod from the distance to its axis: exact outside, without a kink on the axis."""
    inside = (distance**2 / radius - radius) / 2
    return np.asarray(np.where(distance < radius, inside, distance - radius))


def compass(angle_rad: F64, num_directions: int) -> F64:
    """Weights (N, D) that interpolate D equally spaced half-widths periodically.

    Trigonometric interpolation: direction d stands at 2 pi d / D; smooth, exact at the directions.
    """
    half = num_directions // 2
    turns = angle_rad[:, None] * np.arange(half + 1)
    return np.asarray(np.hstack([np.cos(turns), np.sin(turns[:, 1:half])]) @ _harmonics(half))


@lru_cache
def _harmonics(half: int) -> F64:
    """Weights (2 half, 2 half) of the directions in cosines 0..half and sines 1..half - 1."""
    turns = np.arange(half + 1)[:, None] * np.pi / half * np.arange(2 * half)
    share = np.full((half + 1, 1), 1.0 / half)
    share[[0, -1]] /= 2
    return np.concatenate([share * np.cos(turns), (share * np.sin(turns))[1:half]])


def along(levels: F64, table: F64, at: F64) -> F64:
    """Natural cubic spline through the rows of `table` at ascending `levels`."""
    spline = CubicSpline(levels, table, axis=0, bc_type="natural")
    return np.asarray(spline(np.clip(at, levels[0], levels[-1])), dtype=float)


def disc(points: F64, radii_mm: F64, inner_mm: float, outer_mm: float, power: float) -> F64:
    """First-order distance to a rounded disc in its own frame (x = axle).

    `radii_mm` (D,) are the half-widths around the axle from posterior (+y) towards proximal (+z);
    `inner_mm` reaches towards -x, `outer_mm` towards +x; `power` 2 is a lens, 4 nearly a wheel.
    """
    x, y, z = points.T
    radius = compass(np.arctan2(z, y), len(radii_mm)) @ radii_mm
    half = np.where(x > 0, outer_mm, inner_mm)
    t = np.abs(x) / half
    s = np.hypot(y, z) / radius
    k0 = (t**power + s**power + _TINY) ** (1 / power)
    k1 = np.hypot(t ** (power - 1) / half, s ** (power - 1) / radius) * k0 ** (1 - power)
    return np.asarray((k0 - 1) / np.maximum(k1, 1.0 / np.maximum(half, radius)))


def turn_x(angle_rad: float) -> F64:
    """Rotation about x."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])


def turn_y(angle_rad: float) -> F64:
    """Rotation about y."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[c, 0, s], [0, 1.0, 0], [-s, 0, c]])


def turn_z(angle_rad: float) -> F64:
    """Rotation about z."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
