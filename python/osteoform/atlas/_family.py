"""What every parametric bone offers: a mean solid, and how its surface follows the parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from osteoform._types import F64, I32
from osteoform.atlas._table import AtlasTable
from osteoform.modeling.kernel_modes import KernelOptions

Values = Mapping[str, float]
Carry = Callable[[Values], F64]


class Family(Protocol):
    """All bones that a table describes. Points are (N, 3) in the table's frame [mm]."""

    @property
    def table(self) -> AtlasTable:
        """The parameters, the mean form and the inadequacy by region."""
        ...

    @property
    def box(self) -> tuple[F64, F64]:
        """Lower and upper corner (3,) of a box around the mean bone."""
        ...

    @property
    def voxel_mm(self) -> float:
        """Grid at which the mean bone's surface is first found, finer than its thinnest part."""
        ...

    @property
    def edge_mm(self) -> float:
        """Length of the shortest edges of its mesh."""
        ...

    @property
    def kernel(self) -> KernelOptions:
        """The smooth local modes that the finished model adds to the anatomical ones."""
        ...

    def field(self, points: F64) -> F64:
        """Signed field (N,) of the mean bone, negative inside."""
        ...

    def slope(self, points: F64) -> tuple[F64, F64]:
        """Gradient (N, 3) and value (N,) of the mean bone's field."""
        ...

    def edge_ratio(self, points: F64) -> F64:
        """Wanted length of edges at points of the surface, over `edge_mm`."""
        ...

    def bind(self, template: F64, faces: I32) -> Carry:
        """A function from parameter values to the vertices (N, 3) of the bone that has them, in
        correspondence with `template`, a mesh of the mean bone.
        """
        ...

    def regions(self, points: F64) -> dict[str, F64]:
        """How much (N,) of each point belongs to each region of the table; sums to 1."""
        ...
