"""The fibulae of `fibula.toml`: the mean rod, warped."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from osteoform._types import F64, I32
from osteoform.atlas._family import Carry, Values
from osteoform.atlas._fibula import Fibula, mean_rod
from osteoform.atlas._profile import Rod
from osteoform.atlas._regions import fade
from osteoform.atlas._table import AtlasTable, load_table
from osteoform.modeling.kernel_modes import KernelOptions

_MARGIN_MM = 3.0


class FibulaFamily:
    """See `Family`."""

    voxel_mm = 1.0
    edge_mm = 2.3
    kernel = KernelOptions(sd_mm=0.6, length_mm=18.0, num_modes=60)

    def __init__(self) -> None:
        self.table: AtlasTable = load_table("fibula")

    @cached_property
    def mean(self) -> Rod:
        """The mean fibula."""
        return mean_rod(self.table.form)

    def at(self, values: Values) -> Fibula:
        """The warp to the fibula with these parameter values."""
        return Fibula(values, self.table.means, self.mean, self.table.form["axes"]["bearing_deg"])

    @property
    def box(self) -> tuple[F64, F64]:
        """See `Family.box`."""
        rod = self.mean
        reach = float(max(part.max() for part in (rod.half_width, rod.lower, rod.upper)))
        low = rod.center.min(axis=0) - reach
        high = rod.center.max(axis=0) + reach
        return (
            np.append(low, rod.height[0] - reach) - _MARGIN_MM,
            np.append(high, rod.height[-1] + reach) + _MARGIN_MM,
        )

    def field(self, points: F64) -> F64:
        """See `Family.field`."""
        return self.mean.field(points)

    def slope(self, points: F64) -> tuple[F64, F64]:
        """See `Family.slope`."""
        return self.mean.slope(points)

    def edge_ratio(self, points: F64) -> F64:
        """See `Family.edge_ratio`: the shaft is a third coarser than the ends."""
        level = points[:, 2] / self.table.means["length"]
        end = np.minimum(level, 1 - level)
        return np.asarray(1 + 0.35 * np.clip((end - 0.12) / 0.1, 0, 1))

    def bind(self, template: F64, faces: I32) -> Carry:
        """See `Family.bind`."""
        return lambda values: self.at(values).carry(template)

    def regions(self, points: F64) -> dict[str, F64]:
        """See `Family.regions`."""
        level = points[:, 2] / self.table.means["length"]
        below_neck, below_head = fade(level, 0.8, 0.015), fade(level, 0.9, 0.015)
        malleolus = fade(level, 0.1, 0.015)
        return {
            "malleolus": malleolus,
            "shaft": below_neck - malleolus,
            "neck": below_head - below_neck,
            "head": 1 - below_head,
        }
