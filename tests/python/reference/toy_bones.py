"""Bones of known dimensions, blended from spheres and capsules. Imports nothing of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

F64 = NDArray[np.float64]
Field = Callable[[F64], F64]


@dataclass(frozen=True)
class ToyBone:
    """A closed mesh, right-sided and z up, and the places that are known by construction."""

    vertices: F64 = field(repr=False)
    faces: NDArray[np.int32] = field(repr=False)
    truth: dict[str, F64]


def capsule(start: ArrayLike, end: ArrayLike, start_mm: float, end_mm: float) -> Field:
    """Signed distance (roughly) to a round cone between two points."""
    a, b = np.asarray(start, float), np.asarray(end, float)

    def distance(points: F64) -> F64:
        along = np.clip((points - a) @ (b - a) / max((b - a) @ (b - a), 1e-12), 0.0, 1.0)
        axis = a + along[:, None] * (b - a)
        return np.linalg.norm(points - axis, axis=1) - (start_mm + along * (end_mm - start_mm))

    return distance


def sphere(center: ArrayLike, radius_mm: float) -> Field:
    return capsule(center, center, radius_mm, radius_mm)


def ellipsoid(center: ArrayLike, semi_axes_mm: ArrayLike) -> Field:
    c, s = np.asarray(center, float), np.asarray(semi_axes_mm, float)

    def distance(points: F64) -> F64:
        return (np.linalg.norm((points - c) / s, axis=1) - 1.0) * s.min()

    return distance


def union(parts: list[Field], blend_mm: float) -> Field:
    """Smooth minimum; blend 0 is the plain union."""

    def distance(points: F64) -> F64:
        values = np.stack([part(points) for part in parts])
        if blend_mm == 0.0:
            return values.min(axis=0)
        low = values.min(axis=0)
        return low - blend_mm * np.log(np.exp(-(values - low) / blend_mm).sum(axis=0))

    return distance


def surface_net(
    shape: Field, low: ArrayLike, high: ArrayLike, step_mm: float
) -> tuple[F64, NDArray[np.int32]]:
    """The zero set of a field inside a box: naive surface nets (S. Gibson, 1998)."""
    axes = [np.arange(a, b + step_mm, step_mm) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    values = shape(grid.reshape(-1, 3)).reshape(grid.shape[:3])
    inside = values < 0.0
    corners = [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    cells = tuple(n - 1 for n in values.shape)

    def corner(array: NDArray[np.generic], c: tuple[int, int, int]) -> NDArray[np.generic]:
        return array[tuple(slice(o, o + n) for o, n in zip(c, cells, strict=True))]

    total, count = np.zeros((*cells, 3)), np.zeros(cells)
    for a in corners:
        for axis in range(3):
            if a[axis] == 1:
                continue
            b = tuple(v + (i == axis) for i, v in enumerate(a))
            va, vb = corner(values, a), corner(values, b)
            cut = corner(inside, a) != corner(inside, b)
            t = np.where(cut, va / np.where(cut, va - vb, 1.0), 0.0)
            point = np.broadcast_to(np.array(a, float), (*cells, 3)).copy()
            point[..., axis] += t
            total += np.where(cut[..., None], point, 0.0)
            count += cut
    active = count > 0
    ids = np.full(cells, -1)
    ids[active] = np.arange(active.sum())
    base = np.stack(np.nonzero(active), axis=1).astype(float)
    local = total[active] / count[active][:, None]
    vertices = np.asarray(low, float) + step_mm * (base + local)
    return vertices, np.concatenate([_quads(inside, ids, axis) for axis in range(3)])


def _quads(inside: NDArray[np.bool_], ids: NDArray[np.int64], axis: int) -> NDArray[np.int32]:
    """Two triangles around every grid edge along an axis that the surface cuts."""
    u, v = (axis + 1) % 3, (axis + 2) % 3
    first = np.moveaxis(inside, (axis, u, v), (0, 1, 2))
    around = np.moveaxis(ids, (axis, u, v), (0, 1, 2))
    near, far = first[:-1, 1:-1, 1:-1], first[1:, 1:-1, 1:-1]
    cut = near != far
    ring = [around[:, :-1, :-1], around[:, 1:, :-1], around[:, 1:, 1:], around[:, :-1, 1:]]
    quad = np.stack([r[cut] for r in ring], axis=1)
    quad[~near[cut]] = quad[~near[cut]][:, ::-1]
    return np.concatenate([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]]).astype(np.int32)


def toy_femur(step_mm: float = 2.5, blend_mm: float = 2.0) -> ToyBone:
    """Head, neck, two trochanters, shaft and two round condyles."""
    truth = {
        "femoral_head_center": [22.0, -10.0, 400.0],
        "medial_condyle_center": [26.0, 14.0, 22.0],
        "lateral_condyle_center": [-22.0, 16.0, 22.0],
        "greater_trochanter_tip": [-42.0, 8.0, 397.0],
        "lesser_trochanter_tip": [-12.0, 18.0, 338.0],
    }
    parts = [
        sphere(truth["femoral_head_center"], 23.0),
        capsule(truth["femoral_head_center"], [-32.0, -2.0, 362.0], 12.0, 15.0),
        sphere([-42.0, 8.0, 380.0], 17.0),
        sphere([-18.0, 10.0, 338.0], 10.0),
        capsule([-30.0, -2.0, 362.0], [0.0, -4.0, 40.0], 14.0, 16.0),
        sphere(truth["medial_condyle_center"], 22.0),
        sphere(truth["lateral_condyle_center"], 21.0),
        capsule([22.0, -10.0, 24.0], [-20.0, -12.0, 26.0], 17.0, 17.0),
    ]
    vertices, faces = surface_net(
        union(parts, blend_mm), [-75.0, -50.0, -20.0], [60.0, 55.0, 440.0], step_mm
    )
    return ToyBone(vertices, faces, {name: np.array(p) for name, p in truth.items()})


def toy_tibia(step_mm: float = 2.5) -> ToyBone:
    """Two plateaus, an eminence, a tubercle, a shaft and a malleolus."""
    truth = {
        "tibial_tubercle": [-6.0, -35.0, 318.0],
        "medial_malleolus_tip": [22.0, 0.0, -12.0],
        "plafond_center": [0.0, 0.0, -1.0],
    }
    parts = [
        ellipsoid([20.0, 0.0, 350.0], [22.0, 25.0, 12.0]),
        ellipsoid([-20.0, 2.0, 350.0], [22.0, 23.0, 12.0]),
        sphere([-6.0, 0.0, 362.0], 4.0),
        sphere([6.0, 0.0, 362.0], 4.0),
        capsule([-6.0, -24.0, 326.0], [-6.0, -24.0, 310.0], 10.0, 10.0),
        capsule([0.0, 0.0, 340.0], [0.0, 0.0, 200.0], 24.0, 13.0),
        capsule([0.0, 0.0, 200.0], [0.0, 0.0, 17.0], 13.0, 18.0),
        capsule([20.0, 0.0, 14.0], [22.0, 0.0, -3.0], 9.0, 9.0),
    ]
    vertices, faces = surface_net(
        union(parts, 2.0), [-55.0, -50.0, -30.0], [55.0, 45.0, 385.0], step_mm
    )
    return ToyBone(vertices, faces, {name: np.array(p) for name, p in truth.items()})


def toy_fibula(step_mm: float = 2.5) -> ToyBone:
    """A slender shaft between two knobs."""
    truth = {
        "fibular_head_tip": [-8.0, 4.0, 352.0],
        "lateral_malleolus_tip": [0.0, 0.0, -12.0],
    }
    parts = [
        sphere([-8.0, 4.0, 340.0], 12.0),
        capsule([-8.0, 4.0, 340.0], [0.0, 0.0, 0.0], 7.0, 7.0),
        sphere([0.0, 0.0, 0.0], 12.0),
    ]
    vertices, faces = surface_net(
        union(parts, 2.0), [-35.0, -25.0, -30.0], [25.0, 30.0, 370.0], step_mm
    )
    return ToyBone(vertices, faces, {name: np.array(p) for name, p in truth.items()})


def toy_patella(step_mm: float = 1.5) -> ToyBone:
    """An ellipsoid with semi-axes 21, 11 and 22 mm about the origin."""
    truth = {
        "patella_center": [0.0, 0.0, 0.0],
        "superior_pole": [0.0, 0.0, 22.0],
        "inferior_pole": [0.0, 0.0, -22.0],
        "medial_edge": [21.0, 0.0, 0.0],
        "lateral_edge": [-21.0, 0.0, 0.0],
        "anterior_apex": [0.0, -11.0, 0.0],
    }
    vertices, faces = surface_net(
        ellipsoid([0.0, 0.0, 0.0], [21.0, 11.0, 22.0]), [-26.0] * 3, [26.0] * 3, step_mm
    )
    return ToyBone(vertices, faces, {name: np.array(p) for name, p in truth.items()})


TOY_BONES = {
    "femur": toy_femur,
    "tibia": toy_tibia,
    "fibula": toy_fibula,
    "patella": toy_patella,
}


def toy_family(
    bone: ToyBone, rng: np.random.Generator, *, count: int, num_modes: int = 4, sd_mm: float = 2.0
) -> F64:
    """Shapes (count, N, 3) in correspondence: smooth random fields added to a toy bone."""
    size = np.ptp(bone.vertices, axis=0).max()
    waves = rng.normal(size=(num_modes, 3)) * 2.0 / size
    phases = rng.uniform(0.0, 2.0 * np.pi, num_modes)
    directions = rng.normal(size=(num_modes, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    heights = np.sin(bone.vertices @ waves.T + phases)
    modes = sd_mm * np.sqrt(2.0) * heights.T[:, :, None] * directions[:, None, :]
    return bone.vertices + np.tensordot(rng.normal(size=(count, num_modes)), modes, axes=1)
