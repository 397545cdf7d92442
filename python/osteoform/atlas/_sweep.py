"""Bones as stacked sections: a tube of closed outlines, ended by height fields over an outline.

A section is a centre and half-widths from it in equally spaced directions, from +x towards +y.
A cap is a surface of one height over each point of a section: heights at rings, fractions of the
half-width, in the same directions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.interpolate import CubicSpline

from osteoform._types import F64
from osteoform.atlas import _fields as fields

_SHORTEST_MM = 0.5  # no half-width is less: an outline between two levels cannot turn inside out


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A closed outline per point: centres (N, 2) and half-widths (N, D) [mm]."""

    center: F64 = field(repr=False)
    half_width: F64 = field(repr=False)

    def polar(self, points: F64) -> tuple[F64, F64, F64]:
        """Distance (N,) from the centre [mm], half-width (N,) there [mm], and direction weights
        (N, D).
        """
        offset = points[:, :2] - self.center
        weights = fields.compass(np.arctan2(offset[:, 1], offset[:, 0]), self.half_width.shape[1])
        half = np.einsum("nd,nd->n", weights, self.half_width)
        distance = np.linalg.norm(offset, axis=1)
        return distance, np.maximum(half, _SHORTEST_MM), weights


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A tube of sections, open at both ends.

    Attributes
    ----------
    height_mm
        Ascending heights (S,) of the sections.
    center_mm, half_width_mm
        (S, 2) in x, y; (S, D), D even.
    """

    height_mm: F64 = field(repr=False)
    center_mm: F64 = field(repr=False)
    half_width_mm: F64 = field(repr=False)

    @staticmethod
    def of(form: Mapping[str, F64]) -> Sweep:
        """Read height_mm, center_x_mm, center_y_mm and half_width_mm of a table's part."""
        center = np.stack([form["center_x_mm"], form["center_y_mm"]], axis=1)
        return Sweep(
            height_mm=form["height_mm"], center_mm=center, half_width_mm=form["half_width_mm"]
        )

    @cached_property
    def _spline(self) -> CubicSpline:
        rows = np.concatenate([self.center_mm, self.half_width_mm], axis=1)
        return CubicSpline(self.height_mm, rows, axis=0, bc_type="natural")

    def at(self, heights: F64) -> Outline:
        """The outlines at heights (N,), those of the ends beyond them."""
        rows = self._spline(np.clip(heights, self.height_mm[0], self.height_mm[-1]))
        return Outline(center=rows[:, :2], half_width=rows[:, 2:])

    def field(self, points: F64) -> F64:
        """Signed field (N,) of the endless tube at (N, 3), negative inside [mm]."""
        distance, half, _ = self.at(points[:, 2]).polar(points)
        return fields.bore(distance, half)


@dataclass(frozen=True, kw_only=True)
class Cap:
    """A height over each point of one outline.

    Attributes
    ----------
    outline
        Centre (1, 2) and half-widths (1, D).
    ring
        Ascending fractions (R,) of the half-width, above 0.
    middle_mm, height_mm
        Height over the centre, and at the rings (R, D).
    """

    outline: Outline = field(repr=False)
    ring: F64 = field(repr=False)
    middle_mm: float
    height_mm: F64 = field(repr=False)

    @staticmethod
    def of(form: Mapping[str, F64], outline: Outline) -> Cap:
        """Read ring, middle_mm and ring_height_mm of a table's part."""
        return Cap(
            outline=outline,
            ring=form["ring"],
            middle_mm=float(form["middle_mm"]),
            height_mm=form["ring_height_mm"],
        )

    @cached_property
    def _spline(self) -> CubicSpline:
        """Along whole diameters: then the surface is smooth over the centre."""
        opposite = np.roll(self.height_mm, self.height_mm.shape[1] // 2, axis=1)
        middle = np.full((1, self.height_mm.shape[1]), self.middle_mm)
        rows = np.concatenate([opposite[::-1], middle, self.height_mm])
        place = np.concatenate([-self.ring[::-1], [0.0], self.ring])
        return CubicSpline(place, rows, axis=0, bc_type="natural")

    def height(self, points: F64) -> F64:
        """Height (N,) over points (N, 2 or more); beyond the last ring, that of the ring."""
        distance, half, weights = self.outline.polar(points)
        return np.asarray(
            np.einsum("nd,nd->n", weights, self._spline(np.minimum(distance / half, self.ring[-1])))
        )

    def under(self, points: F64) -> F64:
        """Signed field (N,) of all that lies under the cap [mm, along z]."""
        return np.asarray(points[:, 2] - self.height(points))

    def over(self, points: F64) -> F64:
        """Signed field (N,) of all that lies over the cap [mm, along z]."""
        return -self.under(points)


def both(first: F64, second: F64, radius_mm: float) -> F64:
    """What lies in both bodies, its edge rounded over about `radius_mm`."""
    return -fields.smooth_union(-first, -second, radius_mm)


def slope_of(body: Callable[[F64], F64], points: F64, *, step_mm: float = 0.05) -> tuple[F64, F64]:
    """Gradient (N, 3) and value (N,) of a field, by forward differences."""
    value = body(points)
    moved = [(body(points + e) - value) / step_mm for e in step_mm * np.eye(3)]
    return np.stack(moved, axis=1), value
