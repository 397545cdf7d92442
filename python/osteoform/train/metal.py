"""Implants and casts: nails, screws, knee replacements, plaster; crude on purpose, and random."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from osteoform._types import F32, F64
from osteoform.train.legs import Leg, LegAtlas, vertex_normals
from osteoform.train.rays import Mesh, View, thickness
from osteoform.train.tissue import tube

_METAL_SHARE = 0.12
_CAST_SHARE = 0.06
_BONE_PER_METAL = (3.0, 10.0)  # mm of compact bone that absorb what one mm of metal does
_TISSUE_PER_PLASTER = (1.0, 3.0)


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """Rods and coats of something that is no part of the body; none in most legs.

    Attributes
    ----------
    strength
        How many mm of bone or tissue absorb what one mm of it does.
    rods
        Closed meshes.
    coats
        Pairs of a closed mesh and the same grown outward.
    """

    strength: float = 0.0
    rods: Sequence[Mesh] = field(default=(), repr=False)
    coats: Sequence[tuple[Mesh, Mesh]] = field(default=(), repr=False)

    def thickness(self, view: View, canvas: tuple[int, int]) -> F32:
        """Thickness [mm] of bone or tissue that absorbs as much: (rows, columns) of `canvas`."""
        total = thickness(self.rods, view, canvas)
        for mesh, grown in self.coats:
            coat = thickness([grown], view, canvas) - thickness([mesh], view, canvas)
            total += np.maximum(coat, 0.0)
        return np.float32(self.strength) * total


def draw_metal(atlas: LegAtlas, leg: Leg, rng: Generator, *, bones: Collection[str]) -> Foreign:
    """Implants in a few of the legs, counted as compact bone."""
    if rng.uniform() >= _METAL_SHARE:
        return Foreign()
    long_bones = [bone for bone in ("femur", "tibia") if bone in bones]
    strength = rng.uniform(*_BONE_PER_METAL)
    if not long_bones or rng.uniform() < 0.3:
        owner = str(rng.choice([bone for bone in atlas.features if bone in bones]))
        return Foreign(strength=strength, rods=_screws(leg.vertices[owner], rng))
    if rng.uniform() < 0.5:
        nail = _nail(atlas, leg, str(rng.choice(long_bones)), rng)
        return Foreign(strength=strength, rods=[nail])
    coats = [_replacement(atlas, leg, bone, rng) for bone in long_bones]
    return Foreign(strength=strength, coats=coats)


def draw_cast(limb: Mesh, rng: Generator) -> Foreign:
    """Plaster about a few of the legs, counted as soft tissue."""
    if rng.uniform() >= _CAST_SHARE:
        return Foreign()
    strength = rng.uniform(*_TISSUE_PER_PLASTER)
    coat = _coating(limb, np.full(len(limb[0]), rng.uniform(4.0, 12.0)))
    return Foreign(strength=strength, coats=[coat])


def _replacement(atlas: LegAtlas, leg: Leg, bone: str, rng: Generator) -> tuple[Mesh, Mesh]:
    """A coat of metal over condyles or plateaus."""
    vertices = leg.vertices[bone]
    centers, shapes = atlas.features[bone].ellipsoids(vertices)
    coat = np.zeros(len(vertices))
    for center, shape in zip(centers[-2:], shapes[-2:], strict=True):
        radius = np.sqrt(np.trace(shape) / 3) * (1.3 if bone == "femur" else 1.6)
        distance = np.linalg.norm(vertices - center, axis=1) / radius
        coat = np.maximum(coat, np.clip(4.0 * (1.0 - distance), 0.0, 1.0))
    return _coating((vertices, atlas.faces[bone]), rng.uniform(2.0, 5.0) * coat)


def _coating(mesh: Mesh, coat_mm: F64) -> tuple[Mesh, Mesh]:
    """A closed mesh, and the same with a coat (n,) grown outward."""
    vertices, faces = mesh
    return mesh, (vertices + coat_mm[:, None] * vertex_normals(vertices, faces), faces)


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
