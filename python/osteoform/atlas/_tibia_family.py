"""The tibiae of `tibia.toml`: the mean solid, and warps of its surface by the parameters."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from osteoform._types import F64, I32
from osteoform.atlas._family import Carry
from osteoform.atlas._regions import fade
from osteoform.atlas._sweep import slope_of
from osteoform.atlas._table import AtlasTable, load_table
from osteoform.atlas._tibia import Tibia
from osteoform.atlas._tibia_warp import TibiaWarp
from osteoform.modeling.kernel_modes import KernelOptions

_LOW, _HIGH = np.array([-48.0, -44.0, -6.0]), np.array([48.0, 38.0, 10.0])


class TibiaFamily:
    """See `Family`."""

    voxel_mm = 2.0
    edge_mm = 3.2
    kernel = KernelOptions(sd_mm=1.0, length_mm=22.0, num_modes=60)

    def __init__(self) -> None:
        self.table: AtlasTable = load_table("tibia")

    @cached_property
    def mean(self) -> Tibia:
        """The mean solid."""
        return Tibia(self.table.form)

    @property
    def box(self) -> tuple[F64, F64]:
        """See `Family.box`."""
        return _LOW, _HIGH + np.array([0.0, 0.0, self.table.means["length"]])

    def field(self, points: F64) -> F64:
        """See `Family.field`."""
        return self.mean.field(points)

    def slope(self, points: F64) -> tuple[F64, F64]:
        """See `Family.slope`."""
        return slope_of(self.mean.field, points)

    def edge_ratio(self, points: F64) -> F64:
        """See `Family.edge_ratio`: the shaft is two fifths coarser than the ends."""
        length = self.table.means["length"]
        end = np.minimum(points[:, 2], length - points[:, 2]) / length
        return np.asarray(1 + 0.4 * np.clip((end - 0.08) / 0.12, 0, 1))

    def bind(self, template: F64, faces: I32) -> Carry:
        """See `Family.bind`."""
        mean = self.table.means
        drop = self.mean.plateau.height(np.array([[20.0, 0.0], [-20.0, 0.0]])).mean()
        tubercle = np.array(
            [-mean["tubercle_offset"], -mean["tubercle_reach"], drop - mean["tubercle_drop"]]
        )
        warp = TibiaWarp(points=template, shaft=self.mean.shaft, mean=mean, tubercle=tubercle)
        return warp.carry

    def regions(self, points: F64) -> dict[str, F64]:
        """See `Family.regions`."""
        length = self.table.means["length"]
        height, soft = points[:, 2] / length, 5.0 / length
        ankle = fade(height, 0.08, soft)
        below = fade(height, 0.25, soft) - ankle
        shaft = fade(height, 0.70, soft) - below - ankle
        above = fade(height, 0.91, soft) - shaft - below - ankle
        return {
            "ankle": ankle,
            "lower_metaphysis": below,
            "shaft": shaft,
            "upper_metaphysis": above,
            "plateau": 1 - ankle - below - shaft - above,
        }
