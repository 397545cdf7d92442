"""The femora of `femur.toml`: vertices follow the parts' frames, then the solid's surface."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from osteoform._types import F64, I32
from osteoform.atlas._family import Carry, Values
from osteoform.atlas._femur import Femur
from osteoform.atlas._regions import fade
from osteoform.atlas._skin import Skin
from osteoform.atlas._table import AtlasTable, load_table
from osteoform.modeling.kernel_modes import KernelOptions

_LOW, _HIGH = np.array([-82.0, -52.0, -8.0]), np.array([66.0, 60.0, 12.0])


class FemurFamily:
    """See `Family`."""

    voxel_mm = 2.5
    edge_mm = 4.3
    kernel = KernelOptions(sd_mm=1.0, length_mm=25.0, num_modes=60)

    def __init__(self) -> None:
        self.table: AtlasTable = load_table("femur")

    @cached_property
    def mean(self) -> Femur:
        """The solid at the mean of every parameter."""
        return self.at(self.table.means)

    def at(self, values: Values) -> Femur:
        """The solid with these parameter values."""
        return Femur(values, self.table.means, self.table.form)

    @property
    def box(self) -> tuple[F64, F64]:
        """See `Family.box`."""
        return _LOW, _HIGH + np.array([0.0, 0.0, self.table.means["length"]])

    def field(self, points: F64) -> F64:
        """See `Family.field`."""
        return self.mean.field(points)

    def slope(self, points: F64) -> tuple[F64, F64]:
        """See `Family.slope`."""
        return self.mean.slope(points)

    def edge_ratio(self, points: F64) -> F64:
        """See `Family.edge_ratio`: the shaft is a fifth coarser than the ends."""
        length = self.table.means["length"]
        end = np.minimum(points[:, 2], length - points[:, 2]) / length
        return np.asarray(1 + 0.2 * np.clip((end - 0.15) / 0.1, 0, 1))

    def bind(self, template: F64, faces: I32) -> Carry:
        """See `Family.bind`."""
        skin = Skin.of(template, faces, self.mean)
        return lambda values: skin.carry(self.at(values))

    def regions(self, points: F64) -> dict[str, F64]:
        """See `Family.regions`."""
        femur = self.mean
        from_head = np.linalg.norm(points - femur.head_center, axis=1)
        height = points[:, 2] / femur.values["length"]
        soft = 5.0 / femur.values["length"]
        head = fade(from_head, femur.values["head_radius"] + 2.0, 1.0)
        near = fade(from_head, femur.values["head_radius"] + 18.0, 5.0) * (1 - head)
        rest = 1 - head - near
        knee = fade(height, 0.12, soft)
        flare = fade(height, 0.25, soft) - knee
        shaft = fade(height, 0.75, soft) - knee - flare
        hip = 1 - knee - flare - shaft
        return {
            "head": head,
            "neck": near,
            "trochanters": rest * hip,
            "shaft": rest * shaft,
            "metaphysis": rest * flare,
            "condyles": rest * knee,
        }
