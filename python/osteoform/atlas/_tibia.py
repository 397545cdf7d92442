"""The mean tibia as a solid: a swept shaft between plateau and plafond, and the medial malleolus.

Frame: right tibia, x medial, y posterior, z proximal [mm]; z runs from the middle of the plafond to
the middle of the plateau, x from the lateral to the medial plateau; z = 0 at the malleolar tip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from osteoform._types import F64
from osteoform.atlas import _fields as fields
from osteoform.atlas._sweep import Cap, Sweep, both

_BURIED_MM = 9.0  # how far the malleolus reaches up into the body, above its last section


@dataclass(frozen=True)
class Tibia:
    """The solid that the table's `form` describes."""

    form: Mapping[str, Mapping[str, F64]] = field(repr=False)

    @cached_property
    def shaft(self) -> Sweep:
        """Outlines from the plafond to the plateau's rim."""
        return Sweep.of(self.form["shaft"])

    @cached_property
    def plateau(self) -> Cap:
        """Both plateaus and the spines, over the uppermost outline."""
        return Cap.of(self.form["plateau"], self.shaft.at(self.shaft.height_mm[-1:]))

    @cached_property
    def plafond(self) -> Cap:
        """The surface for the talus, under the lowest outline."""
        return Cap.of(self.form["plafond"], self.shaft.at(self.shaft.height_mm[:1]))

    @cached_property
    def malleolus(self) -> Sweep:
        """Outlines of the medial malleolus."""
        return Sweep.of(self.form["malleolus"])

    def _malleolus(self, points: F64) -> F64:
        tip, top = self.malleolus.height_mm[[0, -1]]
        tip_round = float(self.form["round"]["tip_mm"])
        body = both(self.malleolus.field(points), tip - points[:, 2], tip_round)
        return both(body, points[:, 2] - top - _BURIED_MM, _BURIED_MM / 2)

    def field(self, points: F64) -> F64:
        """Signed field (N,) of the whole tibia at (N, 3) points, negative inside [mm]."""
        rim = {k: float(v) for k, v in self.form["round"].items()}
        body = both(self.shaft.field(points), self.plateau.under(points), rim["plateau_mm"])
        body = both(body, self.plafond.over(points), rim["plafond_mm"])
        return fields.smooth_union(body, self._malleolus(points), rim["malleolus_mm"])
