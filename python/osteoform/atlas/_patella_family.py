"""The patellae of `patella.toml`: deformations of the mean, mixed until each parameter is its own."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from osteoform._types import F64, I32
from osteoform.atlas._family import Carry, Values
from osteoform.atlas._measure_patella import measure_patella
from osteoform.atlas._patella import Patella
from osteoform.atlas._regions import fade
from osteoform.atlas._table import AtlasTable, load_table
from osteoform.modeling.kernel_modes import KernelOptions
from osteoform.modeling.surface import face_normals, triangle_quality

_LEAST_QUALITY = 0.12
_BOX = np.array([27.0, 20.0, 27.0])


class PatellaFamily:
    """See `Family`."""

    voxel_mm = 1.5
    edge_mm = 1.5
    kernel = KernelOptions(sd_mm=0.8, length_mm=11.0, num_modes=80)

    def __init__(self) -> None:
        self.table: AtlasTable = load_table("patella")

    @cached_property
    def mean(self) -> Patella:
        """The mean solid."""
        return Patella(self.table.means, self.table.form)

    @property
    def box(self) -> tuple[F64, F64]:
        """See `Family.box`."""
        return -_BOX, _BOX

    def field(self, points: F64) -> F64:
        """See `Family.field`."""
        return self.mean.field(points)

    def slope(self, points: F64) -> tuple[F64, F64]:
        """See `Family.slope`."""
        return self.mean.slope(points)

    def edge_ratio(self, points: F64) -> F64:
        """See `Family.edge_ratio`: one size all over."""
        return np.ones(len(points))

    def bind(self, template: F64, faces: I32) -> Carry:
        """See `Family.bind`.

        A few patellae far out in several parameters at once would press the surface into a fold:
        they are taken from the way between it and the mean, as far out as it stays sound.
        """
        moves = self.mean.deformations(template)
        pure = _unmixed(template, faces, moves)
        means, normals = self.table.means, face_normals(template, faces)

        def carry(values: Values) -> F64:
            change = np.array([values[name] - means[name] for name in moves])
            way = np.tensordot(change, pure, axes=1)
            shares = (1.0 - 0.05 * step for step in range(15))
            shapes = (template + share * way for share in shares)
            return next((s for s in shapes if _is_sound(s, faces, normals)), template)

        return carry

    def regions(self, points: F64) -> dict[str, F64]:
        """See `Family.regions`."""
        own = points @ self.mean.axes
        _, _, along = self.mean.place(own)
        back = own[:, 1] / np.linalg.norm(own, axis=1)
        apex = fade(along, -0.65, 0.1)
        anterior = fade(back, -0.35, 0.12)
        articular = 1 - fade(back, 0.35, 0.12)
        return {
            "apex": apex,
            "anterior": (1 - apex) * anterior,
            "articular": (1 - apex) * articular,
            "rim": (1 - apex) * (1 - anterior - articular),
        }


def _is_sound(shape: F64, faces: I32, normals: F64) -> bool:
    """Whether no triangle is a sliver or turned against the template's `normals` (M, 3)."""
    upright = np.einsum("ij,ij->i", face_normals(shape, faces), normals)
    return bool(upright.min() > 0.0 and triangle_quality(shape, faces).min() > _LEAST_QUALITY)


def _unmixed(template: F64, faces: I32, moves: dict[str, F64], *, step: float = 0.5) -> F64:
    """Displacements (P, N, 3) per unit of each parameter.

    By what the measuring tool finds on the moved template: to first order each changes its own
    measurement by one and no other.
    """
    change = np.empty((len(moves), len(moves)))
    for column, move in enumerate(moves.values()):
        ahead = measure_patella(template + step * move, faces)
        behind = measure_patella(template - step * move, faces)
        change[:, column] = [(ahead[name] - behind[name]) / (2 * step) for name in moves]
    return np.tensordot(np.linalg.inv(change).T, np.stack(list(moves.values())), axes=1)
