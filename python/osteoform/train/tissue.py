"""A leg's soft tissue as a tube of ellipses, with a trunk on top: crude on purpose, and random."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from osteoform._types import F64, I32
from osteoform.train.legs import Leg, LegAtlas
from osteoform.train.rays import Mesh

_AROUND = 20
# Along the leg: position (0 hip, 1 knee, 2 ankle), radius [mm], shift backwards [mm].
_PROFILE = np.array(
    [
        [-0.25, 105.0, 10.0],
        [0.1, 92.0, 10.0],
        [0.5, 78.0, 6.0],
        [0.8, 64.0, 4.0],
        [1.0, 58.0, 4.0],
        [1.15, 52.0, 14.0],
        [1.35, 57.0, 20.0],
        [1.7, 42.0, 8.0],
        [1.95, 36.0, 2.0],
        [2.2, 34.0, -4.0],
    ]
)


def soft_tissue(atlas: LegAtlas, leg: Leg, rng: Generator, *, with_trunk: bool) -> list[Mesh]:
    """Closed meshes of the thigh, the shank and, if asked for, the trunk."""
    knee, medial = leg.knee_axis
    head = leg.head
    ankle = atlas.features["tibia"].points(leg.vertices["tibia"])[-2]
    fat = rng.uniform(0.8, 1.5)
    radii = _PROFILE[:, 1] * (1 + (fat - 1) * np.clip(1.7 - 0.6 * _PROFILE[:, 0], 0.4, 1.6))
    radii *= 1 + rng.normal(0.0, 0.06, len(radii))
    at = np.linspace(_PROFILE[0, 0], _PROFILE[-1, 0], 40)
    radius = np.interp(at, _PROFILE[:, 0], radii)
    back = np.interp(at, _PROFILE[:, 0], _PROFILE[:, 2])
    # A short bend instead of a kink at the knee.
    bend = 1 / (1 + np.exp(-(at - 1.0) / 0.05))[:, None]
    axes = (1 - bend) * (knee - head) + bend * (ankle - knee)
    step = np.diff(at, prepend=at[0])[:, None] * axes
    center = np.cumsum(step, 0)
    center += knee - center[np.argmin(np.abs(at - 1.0))]
    along = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    side = medial - along * (along @ medial)[:, None]
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    rear = np.cross(side, along)
    flat = rng.uniform(0.85, 1.15)
    limb = tube(center + rear * -back[:, None], side, rear, radius * flat, radius / flat)
    if not with_trunk:
        return [limb]
    trunk = ellipsoid(head + [95.0, 10.0, 90.0], rng.uniform(0.8, 1.1) * _TRUNK_MM)
    return [limb, trunk]


_TRUNK_MM = np.array([175.0, 115.0, 190.0])


def tube(center: F64, first: F64, second: F64, radius_1: F64, radius_2: F64) -> Mesh:
    """Rings of ellipses joined to a closed surface, wound outward.

    Centres, unit axes (n, 3) and radii (n,) [mm] along both axes.
    """
    angle = np.linspace(0.0, 2 * np.pi, _AROUND, endpoint=False)
    ring = (
        center[:, None]
        + (radius_1[:, None] * np.cos(angle))[..., None] * first[:, None]
        + (radius_2[:, None] * np.sin(angle))[..., None] * second[:, None]
    )
    vertices = np.concatenate([ring.reshape(-1, 3), center[:1], center[-1:]])
    faces = _tube_faces(len(center))
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    inside_out = np.einsum("ij,ij->", a, np.cross(b, c)) < 0
    return vertices, np.ascontiguousarray(faces[:, ::-1] if inside_out else faces)


def _tube_faces(num_rings: int) -> I32:
    i, j = np.meshgrid(np.arange(num_rings - 1), np.arange(_AROUND), indexing="ij")
    a, b = (i * _AROUND + j).ravel(), (i * _AROUND + (j + 1) % _AROUND).ravel()
    c, d = a + _AROUND, b + _AROUND
    rim = np.arange(_AROUND)
    after, last = (rim + 1) % _AROUND, (num_rings - 1) * _AROUND
    top, bottom = np.full(_AROUND, num_rings * _AROUND), np.full(_AROUND, num_rings * _AROUND + 1)
    return np.concatenate(
        [
            np.stack([a, b, c], 1),
            np.stack([b, d, c], 1),
            np.stack([after, rim, top], 1),
            np.stack([last + rim, last + after, bottom], 1),
        ]
    ).astype(np.int32)


def ellipsoid(center: F64, semi_axes: F64) -> Mesh:
    """A closed ellipsoid along the axes of the frame [mm]."""
    polar = np.linspace(0.05, np.pi - 0.05, 16)
    middle = center + np.outer(np.cos(polar) * semi_axes[2], [0.0, 0.0, 1.0])
    side = np.tile([1.0, 0.0, 0.0], (len(polar), 1))
    rear = np.tile([0.0, 1.0, 0.0], (len(polar), 1))
    return tube(middle, side, rear, np.sin(polar) * semi_axes[0], np.sin(polar) * semi_axes[1])
