"""A rod as stacked sections, closed at both ends by caps that are seen from one centre each.

Between the caps a point is read in its horizontal section: direction and distance from the
section's centre. Beyond the last section it is read in spherical coordinates about that section's
centre: direction, elevation, distance. Height and elevation are one coordinate along the rod
(elevation times `turn_mm`), so one table of half-widths describes the whole surface, smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.interpolate import CubicSpline

from osteoform._types import F64
from osteoform.atlas._fields import bore, compass
from osteoform.atlas._sweep import slope_of


@dataclass(frozen=True, kw_only=True)
class Rod:
    """Sections and caps [mm].

    Attributes
    ----------
    height, center
        Of the sections: (S,) ascending, (S, 2) in x, y.
    half_width
        (S, D), D even, in equally spaced directions from medial (+x) over posterior (+y).
    elevation
        Of the rows of a cap above its section [rad]: (C,) ascending, below pi / 2.
    lower, upper
        Half-widths (C, D) of the caps, from the section outward.
    poles
        Reach of the lower and the upper cap straight down and up.
    turn_mm
        Length along the rod of one radian of elevation, about the radius of a cap.
    """

    height: F64 = field(repr=False)
    center: F64 = field(repr=False)
    half_width: F64 = field(repr=False)
    elevation: F64 = field(repr=False)
    lower: F64 = field(repr=False)
    upper: F64 = field(repr=False)
    poles: tuple[float, float]
    turn_mm: float

    @property
    def stations(self) -> F64:
        """Coordinates along the rod of the rows, with the rows seen beyond each pole."""
        cap = self.turn_mm * np.append(self.elevation, np.pi / 2)
        cap = np.append(cap, 2 * cap[-1] - cap[-2])
        return np.concatenate([self.height[0] - cap[::-1], self.height, self.height[-1] + cap])

    @cached_property
    def _rows(self) -> CubicSpline:
        half = self.half_width.shape[1] // 2
        low, high = (np.full((1, 2 * half), pole) for pole in self.poles)
        beyond = [np.roll(cap[-1:], half, axis=1) for cap in (self.lower, self.upper)]
        rows = [beyond[0], low, self.lower[::-1], self.half_width, self.upper, high, beyond[1]]
        return CubicSpline(self.stations, np.concatenate(rows), bc_type="natural")

    @cached_property
    def _centers(self) -> CubicSpline:
        return CubicSpline(self.height, self.center, bc_type="clamped")

    def centers(self, height: F64) -> F64:
        """Section centres (N, 2) at heights (N,); straight up and down beyond the sections."""
        return np.asarray(self._centers(np.clip(height, self.height[0], self.height[-1])))

    def reading(self, points: F64) -> tuple[F64, F64, F64]:
        """Coordinate along the rod, direction [rad] and distance [mm] of points (N, 3), each (N,)."""
        low, high = self.height[0], self.height[-1]
        offset = points[:, :2] - self.centers(points[:, 2])
        across = np.linalg.norm(offset, axis=1)
        inside = np.clip(points[:, 2], low, high)
        beyond = points[:, 2] - inside
        station = inside + self.turn_mm * np.arctan2(beyond, across)
        return station, np.arctan2(offset[:, 1], offset[:, 0]), np.hypot(across, beyond)

    def field(self, points: F64) -> F64:
        """Signed field (N,) at points (N, 3): distance beyond the half-width, negative inside."""
        station, direction, distance = self.reading(points)
        rows = self._rows(station)
        radius = np.einsum("nd,nd->n", compass(direction, rows.shape[1]), rows)
        return bore(distance, np.maximum(radius, 0.5))

    def slope(self, points: F64) -> tuple[F64, F64]:
        """Gradient (N, 3) and value (N,) of the field."""
        return slope_of(self.field, points)
