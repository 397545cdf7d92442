"""Carry the template's vertices to another femur: part frames first, then the new zero set."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from osteoform._types import F64
from osteoform.atlas import _fields as fields
from osteoform.atlas._femur import PARTS, Femur
from osteoform.atlas._surface import to_surface

_RIGID_PARTS = tuple(p for p in PARTS if p != "shaft")
_SOFTNESS_MM = 9.0


@dataclass(frozen=True, kw_only=True)
class Skin:
    """Template vertices in the frames of the femur's parts.

    Attributes
    ----------
    weights
        (N, P) share of each part in `PARTS`, rows sum to 1.
    local
        Coordinates (N, 3) in each part's frame; for the shaft: place in the section, height.
    """

    weights: F64 = field(repr=False)
    local: dict[str, F64] = field(repr=False)

    @staticmethod
    def of(template: F64, femur: Femur) -> Skin:
        """Bind vertices (N, 3) on the surface of `femur`."""
        distance = np.stack([femur.parts(template)[part] for part in PARTS], axis=1)
        nearness = np.exp(-(distance - distance.min(axis=1, keepdims=True)) / _SOFTNESS_MM)
        local = {
            part: np.linalg.solve(axes, (template - origin).T).T
            for part, (origin, axes) in _frames(femur).items()
        }
        place, _ = femur.section_coordinates(template)
        local["shaft"] = np.column_stack([place, femur.mean_height(template[:, 2])])
        return Skin(weights=nearness / nearness.sum(axis=1, keepdims=True), local=local)

    def carry(self, femur: Femur, *, newton_steps: int = 5) -> F64:
        """Vertices (N, 3) on the surface of `femur`, in correspondence with the template."""
        moved = {part: o + self.local[part] @ a.T for part, (o, a) in _frames(femur).items()}
        moved["shaft"] = _on_shaft(self.local["shaft"], femur)
        start = sum(self.weights[:, [j]] * moved[part] for j, part in enumerate(PARTS))
        return to_surface(np.asarray(start), femur.slope, steps=newton_steps)


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
    neck = np.array([reach, femur.ratio("neck_height"), femur.ratio("neck_depth")])
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
