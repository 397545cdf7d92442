"""The parametric patella: a star-shaped mean solid, and how named parameters deform it.

Frame of the table: right patella, x medial, y posterior, z proximal [mm], origin at its centre; the
bone's own axes are turned against these as a patella lies on the femur of a standing leg.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from osteoform._types import F64
from osteoform.atlas import _fields as fields
from osteoform.atlas._regions import fade

Form = Mapping[str, Mapping[str, F64]]


@dataclass(frozen=True)
class Patella:
    """The mean patella of a table's `form`, with the sizes among its `mean` values."""

    mean: Mapping[str, float]
    form: Form = field(repr=False)

    @cached_property
    def axes(self) -> F64:
        """Medial, posterior, proximal of the bone itself (3, 3), as columns."""
        turn, tilt = np.radians(self.form["pose"]["turn_deg"])
        return np.asarray(fields.turn_z(float(turn)) @ fields.turn_x(float(tilt)))

    @cached_property
    def _meridians(self) -> F64:
        """Half-widths (2 R + 2, D) on the full circle of the front pole, rings, back pole and the
        same rings again on the far side.
        """
        star = self.form["star"]
        rings = _calm(star["half_width_mm"])
        ones = np.ones((1, rings.shape[1]))
        far = np.roll(rings[::-1], rings.shape[1] // 2, axis=1)
        front, back = star["front_mm"] * ones, star["back_mm"] * ones
        return np.concatenate([front, rings, back, far])

    def reach(self, own: F64) -> F64:
        """Distance (N,) from the centre to the surface towards points (N, 3) in own axes [mm]."""
        circle = self._meridians
        from_front = np.arctan2(np.hypot(own[:, 0], own[:, 2]), -own[:, 1])
        around = np.arctan2(own[:, 2], own[:, 0])
        ring = fields.compass(from_front, len(circle))
        direction = fields.compass(around, circle.shape[1])
        return np.asarray(np.einsum("nr,rd,nd->n", ring, circle, direction))

    def field(self, points: F64) -> F64:
        """Signed field (N,) of the solid, negative inside [mm]: a distance along the ray."""
        own = points @ self.axes
        return np.asarray(np.linalg.norm(own, axis=1) - self.reach(own))

    def slope(self, points: F64, *, step_mm: float = 0.05) -> tuple[F64, F64]:
        """Gradient (N, 3) by central differences, and value (N,)."""
        columns = [
            (self.field(points + e) - self.field(points - e)) / (2 * step_mm)
            for e in step_mm * np.eye(3)
        ]
        return np.stack(columns, axis=1), self.field(points)

    # -- deformations -----------------------------------------------------------------------------

    def place(self, own: F64) -> tuple[F64, F64, F64]:
        """Place across, through and along the bone (N,), each about -1..1, of points (N, 3)."""
        center = self.form["deformation"]["center_mm"]
        half = np.array([self.mean[k] for k in ("width", "thickness", "height")]) / 2
        across, through, along = ((own - center) / half).T
        return across, through, along

    def deformations(self, points: F64) -> dict[str, F64]:
        """The displacement (N, 3) [mm] that each parameter is made of.

        Each chiefly changes the measurement it is named for, and the others a little; `Family.bind`
        mixes them so that each changes its own alone.
        """
        across, through, along = self.place(points @ self.axes)
        back = 1 - fade(through, 0.0, 0.45)
        apex, base = _hill(along, -0.7), _hill(along, 0.7)
        low, high = fade(along, -0.5, 0.35), 1 - fade(along, 0.5, 0.35)
        ridge = self.mean["ridge_offset"] / (self.mean["width"] / 2)
        x, y, z = np.eye(3)
        moves = {
            "height": _outer(along, z),
            "width": _outer(across, x),
            "thickness": _outer(through, y),
            "apex_width": _outer(across * apex, x),
            "base_width": _outer(across * base, x),
            "apex_thickness": _outer(through * apex, y),
            "base_thickness": _outer(through * base, y),
            "apex_offset": _outer(low, x),
            "sagittal_bow": _outer(low + high, y),
            "ridge_offset": _outer((1 - np.minimum(across**2, 1)) ** 2, x),
            "medial_facet_angle": _outer(-back * _ramp(across - ridge), y),
            "lateral_facet_angle": _outer(-back * _ramp(ridge - across), y),
            "transverse_bulge": _outer((1 - back) * np.tanh(across**2), y),
        }
        return {name: move @ self.axes.T for name, move in moves.items()}


def _calm(rings: F64) -> F64:
    """Half-widths (R, D) with the waves around that each ring has room for: one on the ring
    next to a pole, two more on each further one.
    """
    waves = np.fft.rfft(rings, axis=1)
    number = np.arange(1, len(rings) + 1)
    room = 2 * np.minimum(number, number[::-1]) - 1
    waves[np.arange(waves.shape[1]) > room[:, None]] = 0.0
    return np.fft.irfft(waves, rings.shape[1], axis=1)


def _outer(size: F64, axis: F64) -> F64:
    return np.asarray(size[:, None] * axis)


def _hill(along: F64, top: float) -> F64:
    return np.asarray(np.exp(-0.5 * ((along - top) / 0.35) ** 2))


def _ramp(away: F64) -> F64:
    """0 on one side, rising on the other, rounded over a tenth of the bone."""
    return np.asarray(0.1 * np.logaddexp(0.0, away / 0.1))
