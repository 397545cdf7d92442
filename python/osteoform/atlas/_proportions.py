"""Sizes of a femur against the mean femur, and where heights of one lie on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from osteoform._types import F64

Values = Mapping[str, float]
Form = Mapping[str, Mapping[str, F64]]
_DISTAL_MM, _PROXIMAL_MM = 60.0, 95.0  # end blocks keep their proportions, the shaft stretches
_TIP_MM = 40.0  # from the neck's foot to the tip of the greater trochanter


@dataclass(frozen=True)
class Proportions:
    """One femur: parameter `values` on the fixed `form`, relative to the table's `mean` values."""

    values: Values
    mean: Values
    form: Form = field(repr=False)

    def ratio(self, name: str) -> float:
        """A parameter over its mean."""
        return float(self.values[name] / self.mean[name])

    def change(self, name: str) -> float:
        """A parameter less its mean."""
        return float(self.values[name] - self.mean[name])

    @cached_property
    def distal_scale(self) -> float:
        """Size of the knee end over the mean."""
        return float(np.sqrt(self.ratio("bicondylar_width") * self.ratio("lateral_depth")))

    def neck_setting(self, name: str) -> float:
        """Offset, angle or version at which the solid's neck is set, which differs by a constant
        from the one measured on the surface.
        """
        return float(self.form["neck"][name]) + self.change(name)

    @cached_property
    def neck_slope(self) -> float:
        """Rise of the neck against the normal of the shaft [rad]."""
        return float(np.radians(self.neck_setting("neck_shaft_angle") - 90.0))

    @cached_property
    def anchors(self) -> tuple[F64, F64]:
        """Heights of the mean bone and of this one: distal end, knee end, shaft end, neck, top."""
        mean_slope = np.radians(float(self.form["neck"]["neck_shaft_angle"]) - 90.0)
        mean_rise = float(self.form["neck"]["neck_offset"]) * np.tan(mean_slope)
        rise = self.neck_setting("neck_offset") * np.tan(self.neck_slope)
        mean_neck = self.mean["length"] - self.mean["head_radius"] - mean_rise
        neck = self.values["length"] - self.values["head_radius"] - rise
        size = self.ratio("head_radius")
        below = mean_neck - (self.mean["length"] - _PROXIMAL_MM)
        before = np.array([0.0, _DISTAL_MM, mean_neck - below, mean_neck, mean_neck + _TIP_MM])
        after = np.array(
            [
                0.0,
                _DISTAL_MM * self.distal_scale,
                neck - below * size,
                neck,
                neck + _TIP_MM * size + self.change("greater_trochanter_height"),
            ]
        )
        return before, after

    def height(self, mean_height: F64 | float) -> F64:
        """Height in this bone of a height in the mean bone [mm]."""
        return _piecewise_linear(np.asarray(mean_height, dtype=np.float64), *self.anchors)

    def mean_height(self, height: F64) -> F64:
        """Inverse of `height`."""
        return _piecewise_linear(height, *self.anchors[::-1])


def _piecewise_linear(x: F64, before: F64, after: F64) -> F64:
    """Map `before` to `after`, the end pieces going on beyond them."""
    slope = np.diff(after) / np.diff(before)
    below = after[0] + (x - before[0]) * slope[0]
    above = after[-1] + (x - before[-1]) * slope[-1]
    inside = np.interp(x, before, after)
    return np.asarray(np.where(x < before[0], below, np.where(x > before[-1], above, inside)))
