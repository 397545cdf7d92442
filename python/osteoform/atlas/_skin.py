"""Carry the template's vertices to another femur: part frames first, then the new zero set."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from osteoform._types import F64, I32
from osteoform.atlas._femur import PARTS, Femur
from osteoform.atlas._surface import to_surface

_RIGID_PARTS = tuple(p for p in PARTS if p != "shaft")
_SOFTNESS_MM = 9.0


@dataclass(frozen=True, kw_only=True)
class Skin:
    """Template vertices in the frames of the femur's parts.

    Attributes
    ----------
    template, ring
        Vertices (N, 3) [mm]; (N, N) averages a quantity over each vertex and its neighbours.
    weights
        (N, P) share of each part in `PARTS`, rows sum to 1.
    local
        Coordinates (N, 3) in each part's frame; for the shaft: place in the section, height.
    """

    template: F64 = field(repr=False)
    ring: csr_matrix = field(repr=False)
    weights: F64 = field(repr=False)
    local: dict[str, F64] = field(repr=False)

    @staticmethod
    def of(template: F64, faces: I32, femur: Femur) -> Skin:
        """Bind vertices (N, 3) of triangles (M, 3) on the surface of `femur`."""
        distance = np.stack([femur.parts(template)[part] for part in PARTS], axis=1)
        nearness = np.exp(-(distance - distance.min(axis=1, keepdims=True)) / _SOFTNESS_MM)
        local: dict[str, F64] = {
            part: np.asarray(np.linalg.solve(axes, (template - origin).T).T)
            for part, (origin, axes) in _frames(femur).items()
        }
        place, _ = femur.section_coordinates(template)
        local["shaft"] = np.column_stack([place, femur.mean_height(template[:, 2])])
        return Skin(
            template=template,
            ring=_ring(faces, len(template)),
            weights=nearness / nearness.sum(axis=1, keepdims=True),
            local=local,
        )

    def carry(self, femur: Femur, *, rounds: int = 3) -> F64:
        """Vertices (N, 3) on the surface of `femur`, in correspondence with the template.

        The way each vertex goes is smoothed over its neighbours between the projections: then
        triangles keep the template's proportions.
        """
        points = to_surface(self.blended(femur), femur.slope, steps=2)
        for _ in range(rounds):
            way = points - self.template
            for _ in range(6):
                way = self.ring @ way
            points = to_surface(self.template + way, femur.slope, steps=2)
        return to_surface(points, femur.slope, steps=2)

    def blended(self, femur: Femur) -> F64:
        """Vertices (N, 3) moved with the parts alone."""
        moved = {part: o + self.local[part] @ a.T for part, (o, a) in _frames(femur).items()}
        moved["shaft"] = _on_shaft(self.local["shaft"], femur)
        return np.asarray(sum(self.weights[:, [j]] * moved[part] for j, part in enumerate(PARTS)))


def _ring(faces: I32, count: int) -> csr_matrix:
    """Row-stochastic (N, N) average over each vertex and its neighbours."""
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    links = coo_matrix((np.ones(len(start)), (start, end)), shape=(count, count)).tocsr()
    degree = np.asarray(links.sum(axis=1)).ravel()
    own = coo_matrix((degree, (np.arange(count), np.arange(count))), shape=(count, count))
    share = coo_matrix((0.5 / degree, (np.arange(count), np.arange(count))), shape=(count, count))
    return (share @ (links + own)).tocsr()


def _on_shaft(local: F64, femur: Femur) -> F64:
    height = femur.height(local[:, 2])
    rows = femur.sections(height)
    place = local[:, :2] * rows[:, 2:4]
    c, s = np.cos(rows[:, 4]), np.sin(rows[:, 4])
    x = rows[:, 0] + c * place[:, 0] - s * place[:, 1]
    y = rows[:, 1] + s * place[:, 0] + c * place[:, 1]
    return np.column_stack([x, y, height])


def _frames(femur: Femur) -> dict[str, tuple[F64, F64]]:
    """Origin (3,) and axes with their scale (3, 3) of each part but the shaft."""
    reach = np.linalg.norm(femur.head_center - femur.neck_foot)
    neck = np.array([reach, *femur.neck_scale])
    size = femur.ratio("head_radius")
    frames = {
        "head": (femur.head_center, femur.neck_axes * size),
        "neck": (femur.neck_foot, femur.neck_axes * neck),
        "lesser": (femur.lesser_center, femur.lesser_axes * size),
    }
    for part in ("medial", "lateral", "bridge"):
        frames[part] = (femur.knee_center(part), femur.knee_axes(part) * femur.knee_scale(part))
    assert set(frames) == set(_RIGID_PARTS)
    return frames
