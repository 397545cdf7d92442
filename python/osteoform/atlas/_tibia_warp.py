"""How the mean tibia's points move when its parameters change: smooth warps, one after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.interpolate import PchipInterpolator

from osteoform._types import F64
from osteoform.atlas._measure_tibia import LEVELS
from osteoform.atlas._sweep import Sweep

# Where each width and depth holds, as fractions of the mean length.
_STATIONS = {"ankle": (0.0, 0.06), **{k: (v,) for k, v in LEVELS.items()}, "plateau": (0.94, 1.0)}
_ANKLE_BLOCK, _KNEE_BLOCK = 0.17, 0.81  # ends grow with their width, the shaft between stretches
_TURN = (0.10, 0.80)  # where torsion is taken up
_ANKLE_AXES = (0.07, 0.22)  # the sections' axes turn from the ankle's to the plateau's
_TOP_MM = (38.0, 14.0)  # under the top: where slope and tilt begin, and are in full
_TUBERCLE_MM = np.array([14.0, 17.0, 20.0])  # reach of its bump
_SPINES_MM = np.array([11.0, 13.0])


def _step(low: float, high: float, at: F64) -> F64:
    t = np.clip((at - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))


@dataclass(frozen=True, kw_only=True)
class TibiaWarp:
    """Points (N, 3) of the mean tibia, ready to be carried to others.

    Attributes
    ----------
    points, shaft
        Of the mean bone [mm].
    mean
        Its parameter values.
    tubercle
        The tubercle's place (3,) [mm].
    """

    points: F64 = field(repr=False)
    shaft: Sweep = field(repr=False)
    mean: Mapping[str, float]
    tubercle: F64

    @cached_property
    def _level(self) -> F64:
        return self.points[:, 2] / self.mean["length"]

    @cached_property
    def _center(self) -> F64:
        return self.shaft.at(self.points[:, 2]).center

    @cached_property
    def _top(self) -> F64:
        """1 on the plateau, 0 on the shaft."""
        under = self.mean["length"] - self.points[:, 2]
        return 1 - _step(_TOP_MM[1], _TOP_MM[0], under)

    @cached_property
    def _medial(self) -> F64:
        """1 on the medial plateau, 0 on the lateral."""
        return _step(-9.0, 9.0, self.points[:, 0])

    @cached_property
    def _under_plafond(self) -> F64:
        """0 at the plafond and above, 1 at the malleolar tip."""
        plafond = self.mean["malleolus_length"]
        return np.clip((plafond - self.points[:, 2]) / plafond, 0.0, 1.0)

    def carry(self, values: Mapping[str, float]) -> F64:
        """The points of the bone with these parameter values (N, 3) [mm]."""
        moved = self.points + self._local(values)
        height = self._height(moved[:, 2], values)
        flat = self._sections(moved[:, :2], values)
        level = np.clip(self._level, 0.0, 1.0)
        arch = (4 * level * (1 - level)) ** 2  # leaves the ends where they stand
        bow = np.array([_change(values, self.mean, "medial_bow"), 0.0])
        bow[1] = -_change(values, self.mean, "anterior_bow")
        return np.column_stack([flat + arch[:, None] * bow, height])

    # -- features of the ends ---------------------------------------------------------------------

    def _local(self, values: Mapping[str, float]) -> F64:
        """Displacements (N, 3) of plateaus, spines, tubercle and malleolus, in mean proportions."""
        x, y, _ = self.points.T
        knee = values["plateau_width"] / self.mean["plateau_width"]
        ankle = values["ankle_width"] / self.mean["ankle_width"]

        def beyond(name: str, scale: float) -> float:
            """Change of a length that its end's size does not bring about."""
            return values[name] / scale - self.mean[name]

        tilt = {k: np.tan(np.radians(_change(values, self.mean, k))) for k in _TILTS}
        fall = self._medial * tilt["medial_slope"] + (1 - self._medial) * tilt["lateral_slope"]
        rise = self._top * (x * tilt["plateau_tilt"] - y * fall)
        near = ((x - 0.5) / _SPINES_MM[0]) ** 2 + ((y - 4.0) / _SPINES_MM[1]) ** 2
        rise = rise + beyond("spine_height", knee) * self._top * np.exp(-near)
        rise = rise - beyond("malleolus_length", ankle) * self._under_plafond
        out = np.column_stack([np.zeros_like(x), np.zeros_like(x), rise])
        near = (((self.points - self.tubercle) / _TUBERCLE_MM) ** 2).sum(axis=1)
        bump = np.exp(-near / 2)
        upper = values["upper_depth"] / self.mean["upper_depth"]
        reach = np.array(
            [
                -beyond("tubercle_offset", knee),
                -beyond("tubercle_reach", upper),
                -beyond("tubercle_drop", knee),
            ]
        )
        return np.asarray(out + bump[:, None] * reach)

    # -- sections ---------------------------------------------------------------------------------

    def _ratio(self, what: str, values: Mapping[str, float]) -> F64:
        """Scale (N,) of widths or depths at each point's level."""
        place: list[float] = []
        log: list[float] = []
        for name, levels in _STATIONS.items():
            if (name, what) == ("plateau", "depth"):
                ratio = (values["medial_depth"] + values["lateral_depth"]) / (
                    self.mean["medial_depth"] + self.mean["lateral_depth"]
                )
            else:
                ratio = values[f"{name}_{what}"] / self.mean[f"{name}_{what}"]
            place += levels
            log += [float(np.log(ratio))] * len(levels)
        order = np.argsort(place)
        spline = PchipInterpolator(np.array(place)[order], np.array(log)[order])
        return np.asarray(np.exp(spline(np.clip(self._level, 0.0, 1.0))))

    def _sections(self, flat: F64, values: Mapping[str, float]) -> F64:
        """Points (N, 2) scaled about their section's centre, and turned with the ankle."""
        ankle = 1 - _step(*_ANKLE_AXES, self._level)
        axes = -np.radians(self.mean["torsion"]) * ankle
        place = _turned(flat - self._center, -axes)
        depth = self._ratio("depth", values)
        both = depth[self._level > 0.94].mean() if (self._level > 0.94).any() else 1.0
        each = {
            k: values[f"{k}_depth"] / self.mean[f"{k}_depth"] / both for k in ("medial", "lateral")
        }
        side = self._medial * np.log(each["medial"]) + (1 - self._medial) * np.log(each["lateral"])
        depth = depth * np.exp(_step(0.84, 0.94, self._level) * side)
        broad = values["malleolus_width"] / self.mean["malleolus_width"]
        broad /= values["ankle_depth"] / self.mean["ankle_depth"]
        depth = depth * np.exp(np.log(broad) * _step(0.0, 0.5, self._under_plafond))
        place = place * np.column_stack([self._ratio("width", values), depth])
        turn = 1 - _step(*_TURN, self._level)
        turn = -np.radians(_change(values, self.mean, "torsion")) * turn
        pivot = self._center * (1 - ankle)[:, None]  # the ankle turns about the bone's axis
        return pivot + _turned(self._center + _turned(place, axes) - pivot, turn)

    def _height(self, height: F64, values: Mapping[str, float]) -> F64:
        """Heights (N,) with the ends in proportion to their width and the whole as long as set."""
        knee = values["plateau_width"] / self.mean["plateau_width"]
        ankle = values["ankle_width"] / self.mean["ankle_width"]
        length, mean = self.mean["length"], self.mean
        tip = mean["malleolus_length"] * ankle - values["malleolus_length"]
        spines = values["spine_height"] - mean["spine_height"] * knee
        top = values["length"] + tip - spines
        before = length * np.array([0.0, _ANKLE_BLOCK, _KNEE_BLOCK, 1.0])
        after = np.array([0.0, before[1] * ankle, top - (length - before[2]) * knee, top])
        below, above = height * ankle, top + (height - length) * knee
        inside = np.interp(height, before, after)
        return np.where(height < 0, below, np.where(height > length, above, inside))


_TILTS = ("medial_slope", "lateral_slope", "plateau_tilt")


def _change(values: Mapping[str, float], mean: Mapping[str, float], name: str) -> float:
    return float(values[name] - mean[name])


def _turned(flat: F64, angle: F64) -> F64:
    c, s = np.cos(angle), np.sin(angle)
    return np.column_stack([c * flat[:, 0] - s * flat[:, 1], s * flat[:, 0] + c * flat[:, 1]])
