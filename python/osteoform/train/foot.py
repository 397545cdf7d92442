"""A foot of ellipsoids: crude on purpose, and random; nobody looks for it, but it is in the way."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from osteoform._rotation import rotation
from osteoform._types import F64
from osteoform.train.legs import Leg, LegAtlas
from osteoform.train.rays import Mesh
from osteoform.train.tissue import ellipsoid

# Centre before, above and medial of the middle of the plafond, and semi-axes [mm], of talus,
# calcaneus, cuboid with navicular, and the rays; last the flesh.
_BONES = np.array(
    [
        [6.0, -14.0, 1.0, 26.0, 12.0, 17.0],
        [-22.0, -36.0, -3.0, 34.0, 15.0, 15.0],
        [45.0, -32.0, 2.0, 20.0, 11.0, 24.0],
        [100.0, -45.0, 14.0, 42.0, 7.0, 8.0],
        [102.0, -48.0, 0.0, 42.0, 6.0, 6.0],
        [98.0, -51.0, -14.0, 40.0, 5.0, 6.0],
    ]
)
_FLESH = np.array([48.0, -38.0, 0.0, 120.0, 36.0, 42.0])


def draw_foot(atlas: LegAtlas, leg: Leg, rng: Generator) -> tuple[list[Mesh], Mesh]:
    """Closed meshes of the foot's bones, and of its flesh."""
    knee, medial = leg.knee_axis
    ankle = atlas.features["tibia"].points(leg.vertices["tibia"])[-2]
    up = (knee - ankle) / np.linalg.norm(knee - ankle)
    side = medial - up * (up @ medial)
    side /= np.linalg.norm(side)
    frame = np.stack([np.cross(side, up), up, side], 1)
    frame = rotation(side * rng.uniform(-0.5, 0.8)) @ rotation(up * rng.normal(0.1, 0.25)) @ frame
    scale = rng.uniform(0.85, 1.15)

    def placed(row: F64) -> Mesh:
        center, semi_axes = row.reshape(2, 3) * scale
        vertices, faces = ellipsoid(np.zeros(3), semi_axes)
        return ankle + (vertices + center) @ frame.T, faces[:, ::-1]  # a left-handed frame

    jitter = np.exp(rng.normal(0.0, 0.1, _BONES.shape))
    return [placed(row) for row in _BONES * jitter], placed(_FLESH)
