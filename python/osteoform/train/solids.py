"""What a beam passes through: bones, flesh, implants; drawn once, rendered from any side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from osteoform._types import F32, F64, I32
from osteoform.train.foot import draw_foot
from osteoform.train.legs import PELVIS, Leg, LegAtlas, vertex_normals
from osteoform.train.metal import Foreign, draw_cast, draw_metal
from osteoform.train.rays import Mesh, View, thickness
from osteoform.train.tissue import soft_tissue

_FOOT_SHARE = 0.5
_OTHER_LEG_SHARE = 0.12
_BARE_SHARE = 0.05
# Cortical thickness [mm]: ends and middle of the shaft, each drawn from a range.
_CORTEX_MM = {
    "femur": ((0.6, 1.5), (4.0, 7.5)),
    "tibia": ((0.6, 1.5), (3.5, 6.5)),
    "fibula": ((0.6, 1.2), (1.8, 3.0)),
    "patella": ((0.6, 1.5), (0.6, 1.5)),
    PELVIS: ((0.8, 1.8), (0.8, 1.8)),
}


@dataclass(frozen=True, kw_only=True)
class Solids:
    """Closed meshes in one world [mm].

    Attributes
    ----------
    bones, spongy
        Each bone, and the surface of what is spongy within.
    body
        Limb, foot and trunk; nothing about bare bones.
    metal, cast
        Counted as compact bone and as soft tissue.
    """

    bones: Sequence[Mesh] = field(repr=False)
    spongy: Sequence[Mesh] = field(repr=False)
    body: Sequence[Mesh] = field(repr=False)
    metal: Foreign
    cast: Foreign

    def render(self, view: View, canvas: tuple[int, int]) -> F32:
        """Layers (3, rows, columns): thickness [mm] of compact bone, spongy bone and the body."""
        bone = thickness(self.bones, view, canvas)
        spongy = np.clip(thickness(self.spongy, view, canvas), 0.0, bone)
        whole = np.maximum(thickness(self.body, view, canvas), bone)
        metal, cast = (what.thickness(view, canvas) for what in (self.metal, self.cast))
        return np.stack([bone - spongy + metal, spongy, whole + cast])


def draw_solids(atlas: LegAtlas, leg: Leg, rng: Generator, *, parts: Sequence[str]) -> Solids:
    """Draw cortex, flesh, foot, the other leg, implants and casts about the parts of a leg."""
    bones = [(leg.vertices[part], atlas.faces[part]) for part in parts]
    spongy = [
        (_endosteum(*mesh, rng, part), mesh[1]) for part, mesh in zip(parts, bones, strict=True)
    ]
    body = soft_tissue(atlas, leg, rng, with_trunk=PELVIS in parts)
    limb = body[0]
    if "tibia" in parts and "fibula" in parts and rng.uniform() < _FOOT_SHARE:
        of_foot, flesh = draw_foot(atlas, leg, rng)
        body.append(flesh)
        for vertices, faces in of_foot:
            bones.append((vertices, faces))
            inner = vertices - vertex_normals(vertices, faces) * rng.uniform(0.6, 1.5)
            spongy.append((inner, faces))
    if rng.uniform() < _OTHER_LEG_SHARE:
        mirror = _other_leg(leg, rng)
        bones += [mirror(mesh) for mesh in bones]
        spongy += [mirror(mesh) for mesh in spongy]
    return Solids(
        bones=bones,
        spongy=spongy,
        body=[] if rng.uniform() < _BARE_SHARE else body,
        metal=draw_metal(atlas, leg, rng, bones=parts),
        cast=draw_cast(limb, rng),
    )


def _endosteum(vertices: F64, faces: I32, rng: Generator, part: str) -> F64:
    """The inner surface of the cortex: thick along the shaft, thin at the ends."""
    ends, middle = (rng.uniform(*limits) for limits in _CORTEX_MM[part])
    along = vertices @ np.linalg.svd(vertices - vertices.mean(0), full_matrices=False)[2][0]
    along = (along - along.min()) / np.ptp(along)
    shaft = np.clip(np.minimum(along, 1 - along) / 0.3 - 0.4, 0.0, 1.0)
    thickness = ends + (middle - ends) * shaft * shaft * (3 - 2 * shaft)
    inner: F64 = vertices - vertex_normals(vertices, faces) * thickness[:, None]
    return inner


def _other_leg(leg: Leg, rng: Generator) -> Callable[[Mesh], Mesh]:
    """Mirror about the body's middle, roughly."""
    middle = leg.vertices[PELVIS][:, 0].mean() + rng.normal(0.0, 15.0)
    shift = np.array([2 * middle, 0.0, 0.0]) + rng.normal(0.0, [5.0, 40.0, 15.0])

    def mirror(mesh: Mesh) -> Mesh:
        vertices, faces = mesh
        return vertices * [-1.0, 1.0, 1.0] + shift, faces[:, ::-1]

    return mirror
