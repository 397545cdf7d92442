"""Implants and casts: nails, screws, knee replacements, plaster; crude on purpose, and random."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.random import Generator

from osteoform import _core
from osteoform._types import F32, F64, I32
from osteoform.train.legs import Leg, LegAtlas, vertex_normals
from osteoform.train.rays import thickness
from osteoform.train.tissue import tube

View = _core.ConeView | _core.SlotView
Mesh = tuple[F64, I32]

_METAL_SHARE = 0.12
_CAST_SHARE = 0.06
_BONE_PER_METAL = (3.0, 10.0)  # mm of compact bone that absorb what one mm of metal does
_TISSUE_PER_PLASTER = (1.0, 3.0)


def draw_metal(
    atlas: LegAtlas,
    leg: Leg,
    view: View,
    rng: Generator,
    *,
    canvas: tuple[int, int],
    bones: Collection[str],
) -> F32:
    """Implants in a few of the legs, as the thickness [mm] of compact bone that absorbs as much."""
    if rng.uniform() >= _METAL_SHARE:
        return np.zeros(canvas, np.float32)
    long_bones = [bone for bone in ("femur", "tibia") if bone in bones]
    strength = np.float32(rng.uniform(*_BONE_PER_METAL))
    if not long_bones or rng.uniform() < 0.3:
        owner = str(rng.choice([bone for bone in atlas.features if bone in bones]))
        return strength * _through(_screws(leg.vertices[owner], rng), view, canvas)
    if rng.uniform() < 0.5:
        nail = _nail(atlas, leg, str(rng.choice(long_bones)), rng)
        return strength * _through([nail], view, canvas)
    return strength * _replacement(atlas, leg, long_bones, view, rng, canvas)


def draw_cast(
    body: tuple[list[F64], list[I32]], view: View, rng: Generator, *, canvas: tuple[int, int]
) -> F32:
    """Plaster about a few of the legs, as the thickness [mm] of soft tissue."""
    if rng.uniform() >= _CAST_SHARE:
        return np.zeros(canvas, np.float32)
    strength = np.float32(rng.uniform(*_TISSUE_PER_PLASTER))
    leg = (body[0][0], body[1][0])
    return strength * _coating(leg, np.full(len(leg[0]), rng.uniform(4.0, 12.0)), view, canvas)


def _replacement(
    atlas: LegAtlas,
    leg: Leg,
    bones: Collection[str],
    view: View,
    rng: Generator,
    canvas: tuple[int, int],
) -> F32:
    """A coat of metal over condyles and plateaus."""
    metal = np.zeros(canvas, np.float32)
    for bone in bones:
        vertices = leg.vertices[bone]
        centers, shapes = atlas.features[bone].ellipsoids(vertices)
        coat = np.zeros(len(vertices))
        for center, shape in zip(centers[-2:], shapes[-2:], strict=True):
            radius = np.sqrt(np.trace(shape) / 3) * (1.3 if bone == "femur" else 1.6)
            distance = np.linalg.norm(vertices - center, axis=1) / radius
            coat = np.maximum(coat, np.clip(4.0 * (1.0 - distance), 0.0, 1.0))
        metal += _coating((vertices, atlas.faces[bone]), rng.uniform(2.0, 5.0) * coat, view, canvas)
    return metal


def _coating(mesh: Mesh, coat_mm: F64, view: View, canvas: tuple[int, int]) -> F32:
    """Thickness of a coat (n,) grown outward on a closed mesh."""
    vertices, faces = mesh
    grown = vertices + coat_mm[:, None] * vertex_normals(vertices, faces)
    coat: F32 = _through([(grown, faces)], view, canvas) - _through([mesh], view, canvas)
    return np.maximum(coat, 0.0)


def _nail(atlas: LegAtlas, leg: Leg, bone: str, rng: Generator) -> Mesh:
    """A rod along the shaft."""
    features = atlas.features[bone]
    points = features.points(leg.vertices[bone])
    shaft = np.stack(
        [p for n, p in zip(features.names.points, points, strict=True) if n.startswith("shaft")]
    )
    reach = 0.15 * (shaft[0] - shaft[-1])
    return _rod(np.vstack([shaft[0] + reach, shaft, shaft[-1] - reach]), rng.uniform(4.0, 6.5))


def _screws(vertices: F64, rng: Generator) -> list[Mesh]:
    """One to four rods across a bone, near each other."""
    place = vertices[rng.integers(len(vertices))]
    near = vertices[np.argsort(np.linalg.norm(vertices - place, axis=1))[: len(vertices) // 8]]
    screws = []
    for _ in range(rng.integers(1, 5)):
        ends = near[rng.choice(len(near), 2)]
        along = (ends[1] - ends[0]) / (np.linalg.norm(ends[1] - ends[0]) + 1e-9)
        ends[1] = ends[0] + along * rng.uniform(15.0, 60.0)
        screws.append(_rod(ends, rng.uniform(1.2, 2.8)))
    return screws


def _rod(line: F64, radius_mm: float) -> Mesh:
    """A closed tube about a line of points (n, 3)."""
    along = line[-1] - line[0]
    side = np.cross(along, np.eye(3)[np.argmin(np.abs(along))])
    side /= np.linalg.norm(side) + 1e-12
    rear = np.cross(side, along / (np.linalg.norm(along) + 1e-12))
    radius = np.full(len(line), radius_mm)
    first, second = (np.repeat(axis[None], len(line), 0) for axis in (side, rear))
    return tube(line, first, second, radius, radius)


def _through(meshes: list[Mesh], view: View, canvas: tuple[int, int]) -> F32:
    return thickness([v for v, _ in meshes], [f for _, f in meshes], view, canvas)
