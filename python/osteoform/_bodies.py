"""Closed meshes for simulated X-rays: tubes, ellipsoids, and the soft tissue around bones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from osteoform._core import InputError
from osteoform._types import F64, I32, Mesh

_NUM_SECTIONS = 40


def ellipsoid(center: ArrayLike, semi_axes_mm: ArrayLike, *, num_around: int = 32) -> Mesh:
    """Make an axis-aligned ellipsoid: center (3,) and semi-axes (3,) or one radius [mm]."""
    num_rings = num_around // 2 - 1
    polar = np.linspace(0.0, np.pi, num_rings + 2)[1:-1]
    turn = np.arange(num_around) * (2.0 * np.pi / num_around)
    ring = np.stack(np.broadcast_arrays(np.cos(turn), np.sin(turn)), axis=-1)
    rings = np.concatenate(
        [
            np.sin(polar)[:, None, None] * ring,
            np.broadcast_to(np.cos(polar)[:, None, None], (num_rings, num_around, 1)),
        ],
        axis=-1,
    )
    unit = np.concatenate([rings.reshape(-1, 3), [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]])
    vertices = unit * np.asarray(semi_axes_mm, dtype=np.float64) + np.asarray(center, np.float64)
    faces = _ring_faces(num_rings, num_around)[:, ::-1]  # rings run down, not up
    return _mesh(vertices, faces)


def tube(points: ArrayLike, radius_mm: ArrayLike, *, num_around: int = 16) -> Mesh:
    """Make a closed tube around a curve: a wire, a pin, a limb.

    Parameters
    ----------
    points
        (S, 3), the middle line [mm].
    radius_mm
        One radius, (S,) radii, or (S, 2) semi-axes along the first section's two directions,
        which are carried along the curve without twist.
    """
    line = np.asarray(points, dtype=np.float64)
    if line.ndim != 2 or line.shape[1] != 3 or len(line) < 2:
        raise InputError(f"points must have shape (S, 3) with S at least 2, found {line.shape}")
    radii = np.asarray(radius_mm, dtype=np.float64)
    radii = np.broadcast_to(radii if radii.ndim == 2 else radii[..., None], (len(line), 2))
    first, second = _sections(line)
    turn = np.arange(num_around) * (2.0 * np.pi / num_around)
    rings = (
        line[:, None]
        + (radii[:, :1] * np.cos(turn))[..., None] * first[:, None]
        + (radii[:, 1:] * np.sin(turn))[..., None] * second[:, None]
    )
    vertices = np.concatenate([rings.reshape(-1, 3), line[:1], line[-1:]])
    return _mesh(vertices, _ring_faces(len(line), num_around))


def soft_tissue_around(
    meshes: Sequence[Mesh],
    *,
    radius_mm: float = 65.0,
    skin_mm: float = 12.0,
    extend_mm: float = 120.0,
    axis: ArrayLike | None = None,
    variation: float = 0.0,
    seed: int = 0,
) -> list[Mesh]:
    """Wrap one limb's bones in soft tissue: a tube of elliptic sections.

    Parameters
    ----------
    meshes
        The bones of one limb, in the world.
    radius_mm, skin_mm
        Sections have this semi-axis, or what it takes to cover the bones by `skin_mm`.
    extend_mm
        How far the tube goes on beyond the bones.
    axis
        (3,) direction of the limb; None: the direction in which the bones extend most.
    variation
        Relative standard deviation of the smooth random change of the semi-axes.
    """
    cloud = np.concatenate([np.asarray(mesh.vertices, dtype=np.float64) for mesh in meshes])
    along = _long_axis(cloud) if axis is None else np.asarray(axis, np.float64)
    along = along / np.linalg.norm(along)
    across = np.stack(_normals_of(along))
    height = cloud @ along
    levels = np.linspace(height.min(), height.max(), _NUM_SECTIONS)
    low, high = _section_extents(cloud @ across.T, height, levels)
    middle = _smooth(0.5 * (low + high))
    semi_axes = _smooth(np.maximum(0.5 * (high - low) + skin_mm, radius_mm))
    if variation > 0.0:
        semi_axes = semi_axes * _smooth_noise(semi_axes.shape, variation, seed)
    levels = np.concatenate([[levels[0] - extend_mm], levels, [levels[-1] + extend_mm]])
    middle, semi_axes = (np.pad(x, ((1, 1), (0, 0)), mode="edge") for x in (middle, semi_axes))
    line = levels[:, None] * along + middle @ across
    return [_straight_tube(line, semi_axes, across, num_around=32)]


def _straight_tube(line: F64, semi_axes: F64, across: F64, *, num_around: int) -> Mesh:
    """Tube whose sections all lie across one direction."""
    turn = np.arange(num_around) * (2.0 * np.pi / num_around)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    rings = line[:, None] + (semi_axes[:, None] * ring) @ across
    vertices = np.concatenate([rings.reshape(-1, 3), line[:1], line[-1:]])
    return _mesh(vertices, _ring_faces(len(line), num_around))


def _ring_faces(num_rings: int, num_around: int) -> I32:
    """Faces of stacked rings, closed by two poles (first ring's, last ring's) at the end.

    Outward where rings turn from the first to the second axis and stack along their cross product.
    """
    start = np.arange(num_rings * num_around).reshape(num_rings, num_around)
    turned = np.roll(start, -1, axis=1)
    a, b, c, d = start[:-1], turned[:-1], turned[1:], start[1:]
    side = np.concatenate(
        [np.stack([a, b, c], axis=-1).reshape(-1, 3), np.stack([a, c, d], axis=-1).reshape(-1, 3)]
    )
    pole = num_rings * num_around
    bottom = np.stack([turned[0], start[0], np.full(num_around, pole)], axis=-1)
    top = np.stack([start[-1], turned[-1], np.full(num_around, pole + 1)], axis=-1)
    return np.concatenate([side, bottom, top]).astype(np.int32)


def _sections(line: F64) -> tuple[F64, F64]:
    """Two unit directions across the curve at each point, carried along without twist."""
    tangents = np.gradient(line, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    first = np.empty_like(line)
    direction = _normals_of(tangents[0])[0]
    for i, tangent in enumerate(tangents):
        direction = direction - (direction @ tangent) * tangent
        direction = direction / np.linalg.norm(direction)
        first[i] = direction
    return first, np.cross(tangents, first)


def _normals_of(direction: F64) -> tuple[F64, F64]:
    """Two unit vectors that make a right-handed frame with `direction` as the third."""
    helper = np.eye(3)[np.argmin(np.abs(direction))]
    first = np.cross(helper, direction)
    first /= np.linalg.norm(first)
    return first, np.cross(direction, first)


def _long_axis(points: F64) -> F64:
    return np.asarray(np.linalg.eigh(np.cov(points.T))[1][:, -1], dtype=np.float64)


def _section_extents(points: F64, height: F64, levels: F64) -> tuple[F64, F64]:
    """Lowest and highest of (N, 2) points near each level, (S, 2) each."""
    section = np.rint((height - levels[0]) / (levels[1] - levels[0])).astype(np.int64)
    low = np.full((len(levels), 2), np.inf)
    high = np.full((len(levels), 2), -np.inf)
    np.minimum.at(low, section, points)
    np.maximum.at(high, section, points)
    known = np.flatnonzero(np.isfinite(low[:, 0]))  # between bones there may be none
    for extents in (low, high):
        for k in range(2):
            extents[:, k] = np.interp(np.arange(len(levels)), known, extents[known, k])
    return _spread(low, np.minimum), _spread(high, np.maximum)


def _spread(extents: F64, extreme: np.ufunc) -> F64:
    """Extreme over each section and its neighbours."""
    padded = np.pad(extents, ((1, 1), (0, 0)), mode="edge")
    return np.asarray(extreme(extreme(padded[:-2], padded[1:-1]), padded[2:]), dtype=np.float64)


def _smooth(values: F64, radius: int = 3) -> F64:
    """Moving average down the first axis."""
    padded = np.pad(values, ((radius, radius), (0, 0)), mode="edge")
    window = np.lib.stride_tricks.sliding_window_view(padded, 2 * radius + 1, axis=0)
    return np.asarray(window.mean(axis=-1), dtype=np.float64)


def _smooth_noise(shape: tuple[int, ...], stddev: float, seed: int) -> F64:
    noise = _smooth(np.random.default_rng(seed).standard_normal(shape), radius=5)
    return np.exp(stddev * noise / max(float(noise.std()), 1e-12))


def _mesh(vertices: F64, faces: I32) -> Mesh:
    return Mesh(
        vertices=np.ascontiguousarray(vertices, dtype=np.float32),
        faces=np.ascontiguousarray(faces, dtype=np.int32),
    )
