"""The parametric fibula: a rod of sections, warped by named anatomical parameters.

Frame: right fibula, x medial, y posterior, z proximal [mm]; x = y = 0 on the line through the
centroids of the sections at 10 and 90 % of the length, z = 0 at the tip of the malleolus.

Every section stays level: it is moved, turned, widened and deepened as a whole, and heights keep
their order. Such a map has an inverse, so no fibula of the family intersects itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import PchipInterpolator

from osteoform._types import F64
from osteoform.atlas._profile import Rod

Values = Mapping[str, float]
_ARCH = 0.75  # of a parabola from 10 to 90 % of the length, half way to its top
_TIP = 1.5  # the offset of the malleolus grows away from the axis: at the tip over at its section
_SIZES = ("malleolus", "malleolus", "distal", "middle", "proximal", "head", "head")
_SIZE_LEVELS = (0.0, 0.06, 0.2, 0.5, 0.8, 0.93, 1.0)
_CENTER_LEVELS = (0.0, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.965, 1.0)
_AROUND_MM = 10.0
_TURN_LEVELS = (0.0, 0.06, 0.35, 0.62, 0.93, 1.0)


def mean_rod(form: Mapping[str, Mapping[str, F64]]) -> Rod:
    """The mean fibula of the table's form."""
    shaft, caps = form["shaft"], form["caps"]
    return Rod(
        height=shaft["height_mm"],
        center=np.stack([shaft["center_x_mm"], shaft["center_y_mm"]], axis=1),
        half_width=shaft["half_width_mm"],
        elevation=np.radians(caps["elevation_deg"]),
        lower=caps["malleolus_mm"],
        upper=caps["head_mm"],
        poles=(float(caps["pole_mm"][0]), float(caps["pole_mm"][1])),
        turn_mm=float(caps["turn_mm"]),
    )


@dataclass(frozen=True)
class Fibula:
    """One fibula: how points of the mean fibula `rod` move when `values` replace `mean`.

    `bearings` (L,) are the directions of the longer axis of its sections [deg], along which they
    are deepened and across which they are widened; see `bearing_deg`.
    """

    values: Values
    mean: Values
    rod: Rod = field(repr=False)
    bearings: F64 = field(repr=False)

    def carry(self, points: F64) -> F64:
        """Points (N, 3) of the mean fibula in this one [mm]."""
        height = points[:, 2]
        level = np.clip(height / self.mean["length"], 0.0, 1.0)
        center = self.rod.centers(height)
        axis = np.asarray(PchipInterpolator(_SIZE_LEVELS, np.radians(self.bearings))(level))
        local = _turned(points[:, :2] - center, -axis)
        local = local * np.exp(
            np.column_stack([self._size(way, level) for way in ("width", "depth")])
        )
        local = _turned(local, axis + self._turn(level))
        return np.column_stack([center + self._shift(level) + local, self._heights(height)])

    def _change(self, name: str) -> float:
        return float(self.values[name] - self.mean[name])

    def _size(self, direction: str, level: F64) -> F64:
        """Logarithm of the scale (N,) of the sections across or along their longer axis."""
        names = [f"{part}_{direction}" for part in _SIZES]
        logs = [np.log(self.values[name] / self.mean[name]) for name in names]
        return np.asarray(PchipInterpolator(_SIZE_LEVELS, logs)(level))

    def _turn(self, level: F64) -> F64:
        """Turn (N,) of the sections from posterior towards medial [rad]."""
        shaft, head = self._change("shaft_torsion"), self._change("head_torsion")
        turns = np.radians([0.0, 0.0, 0.75 * shaft, shaft, head, head])
        return np.asarray(PchipInterpolator(_TURN_LEVELS, turns)(level))

    def _shift(self, level: F64) -> F64:
        """Shift (N, 2) of the section centres [mm]."""
        rows = []
        for way in ("medial", "posterior"):
            foot, head = self._change(f"malleolus_{way}"), self._change(f"head_{way}")
            bow, sway = self._change(f"{way}_bow"), self._change(f"{way}_sway")
            shaft = [0.0, _ARCH * bow + sway, bow, _ARCH * bow - sway, 0.0]
            rows.append([_TIP * foot, foot, *shaft, head, head])
        return np.asarray(PchipInterpolator(_CENTER_LEVELS, np.transpose(rows))(level))

    def _heights(self, height: F64) -> F64:
        """Heights of this bone (N,) at heights of the mean bone [mm]."""
        before, after = (_anchors(v) for v in (self.mean, self.values))
        scale = np.diff(after)[[0, -1]] / np.diff(before)[[0, -1]]
        ends = np.array([-_AROUND_MM, _AROUND_MM])  # the map goes straight on beyond the ends
        before, after = (
            np.concatenate([[at[0] + e[0]], at, [at[-1] + e[1]]])
            for at, e in ((before, ends), (after, ends * scale))
        )
        return np.asarray(PchipInterpolator(before, after)(height))


def _anchors(values: Values) -> F64:
    """Heights, from tip to apex, that the parameters set [mm]."""
    length = values["length"]
    upper = [length - values[name] for name in ("head_height", "apex_height")]
    return np.array([0.0, values["malleolus_length"], *upper, length])


def _turned(offset: F64, angle: F64) -> F64:
    """Offsets (N, 2) turned from posterior towards medial by angles (N,) [rad]."""
    c, s = np.cos(angle), np.sin(angle)
    x, y = offset.T
    return np.column_stack([c * x + s * y, c * y - s * x])
