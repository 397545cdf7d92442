"""Correspondence for one raw mesh: side, orientation, the template's modes, then bending."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from osteoform._core import ClosestPointTree
from osteoform._distance import sample_surface
from osteoform._errors import InputError
from osteoform._placement import place_model
from osteoform._shape_model import ShapeModel
from osteoform._trial import mirrored
from osteoform._types import Mesh, Side
from osteoform.modeling.deform import deform
from osteoform.modeling.repair import length_of
from osteoform.modeling.surface import F64, triangle_quality
from osteoform.modeling.surface_fit import fit_surface

_NUM_SAMPLES = 10_000
_NUM_PLACED = 300  # points that are enough to find side and orientation
# What the placed template misses by more, with a few of its modes, is another bone or a part of one.
MISFIT_MM, MISFIT_OF_LENGTH = 1.5, 0.005
MAX_RESIDUAL_MM = 1.0
MIN_QUALITY = 0.1  # real bones keep 0.5 and more
_SIDES: tuple[Side, ...] = ("right", "left")
_CLEAR = 1.3  # one side is not looked at further when it is so many times worse


@dataclass(frozen=True, kw_only=True)
class Registration:
    """One bone in correspondence with a template.

    Attributes
    ----------
    vertices
        (N, 3) [mm] with the template's faces, right-sided, near the template's axes.
    side
        Of the mesh that was given; `side_said` tells whether by the caller, `side_sure` whether
        the other side fits clearly worse.
    rms_mm, max_mm
        Distance between the two surfaces, both ways together.
    min_quality
        Of the worst triangle, 1 for an equilateral one.
    """

    vertices: F64 = field(repr=False)
    side: Side
    side_said: bool
    side_sure: bool
    rms_mm: float
    max_mm: float
    min_quality: float


def register_bone(template: ShapeModel, mesh: Mesh, *, side: Side | None = None) -> Registration:
    """Bring a closed mesh [mm] of any axes and topology into correspondence with a template.

    Parameters
    ----------
    side
        Of the bone. None: the one whose template fits better.

    Raises
    ------
    InputError
        The mesh is no such bone, the template does not reach its surface, or it folds on the way.
    """
    placed = _place(template, mesh, (side,) if side else _SIDES)
    fits = [(fit_surface(template, one.mesh), one.side) for one in placed]
    fits.sort(key=lambda attempt: attempt[0].cost)
    fitted, found = fits[0]
    vertices = deform(fitted.vertices, template.faces, fitted.target)
    bent = Mesh(vertices=vertices.astype(np.float32), faces=template.faces)
    rms_mm, max_mm = surface_gap(bent, fitted.target)
    if rms_mm > MAX_RESIDUAL_MM:
        raise InputError(
            f"needed a {template.bone} that the template can be bent onto, {rms_mm:.1f} mm RMS "
            "are left"
        )
    min_quality = float(triangle_quality(vertices, template.faces).min())
    if min_quality < MIN_QUALITY:
        raise InputError(
            f"needed a whole {template.bone}, found a shape onto which the template folds "
            f"(triangle quality {min_quality:.3f}, {MIN_QUALITY} or more is taken)"
        )
    return Registration(
        vertices=vertices,
        side=found,
        side_said=side is not None,
        side_sure=len(fits) == 1 or fits[1][0].cost > _CLEAR * fitted.cost,
        rms_mm=rms_mm,
        max_mm=max_mm,
        min_quality=min_quality,
    )


def surface_gap(a: Mesh, b: Mesh) -> tuple[float, float]:
    """Root mean square and largest distance [mm] between two surfaces, both ways together."""
    distances = []
    for one, other in ((a, b), (b, a)):
        tree = ClosestPointTree(vertices=other.vertices, faces=other.faces)
        distances.append(tree.find(sample_surface(one, _NUM_SAMPLES))[1])
    both = np.concatenate(distances)
    return float(np.sqrt(np.mean(np.square(both)))), float(both.max())


@dataclass(frozen=True)
class _Placed:
    """The mesh as a right bone in the template's frame, if it is of this side."""

    side: Side
    mesh: Mesh
    misfit_mm: float


def _place(template: ShapeModel, mesh: Mesh, sides: tuple[Side, ...]) -> list[_Placed]:
    """Placements by side: the best, and another where it is not clearly worse."""
    tried = []
    for side in sides:
        right = mesh if side == "right" else mirrored(mesh)
        placement = place_model(template, right, side="right", num_points=_NUM_PLACED)
        tried.append(_Placed(side, placement.to_bone(right), placement.rms_mm))
    least_mm = min(one.misfit_mm for one in tried)
    allowed_mm = MISFIT_MM + MISFIT_OF_LENGTH * length_of(template.mean.astype(np.float64))
    if least_mm > allowed_mm:
        raise InputError(
            f"needed a whole {template.bone}, found a shape that the template misses by "
            f"{least_mm:.1f} mm RMS (up to {allowed_mm:.1f} mm are taken)"
        )
    return [one for one in tried if one.misfit_mm < _CLEAR * least_mm]
