"""Correspondence for one raw mesh: side, orientation, the template's modes, then bending."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from osteoform._core import ClosestPointTree
from osteoform._distance import sample_surface
from osteoform._errors import InputError
from osteoform._placement import place_model
from osteoform._shape_model import ShapeModel
from osteoform._types import Mesh, Side
from osteoform.modeling.deform import deform, triangle_quality
from osteoform.modeling.surface import F64
from osteoform.modeling.surface_fit import Target, fit_surface

_NUM_SAMPLES = 10_000
_MIRROR = np.array([-1.0, 1.0, 1.0])
# A bone that a template and a few of its modes miss by more than this share of its length is
# another bone, or a part of one.
MAX_MISFIT = 0.02
MAX_RESIDUAL_MM = 1.0


@dataclass(frozen=True, kw_only=True)
class Registration:
    """One bone in correspondence with a template.

    Attributes
    ----------
    vertices
        (N, 3) [mm] with the template's faces, right-sided, near the template's axes.
    side
        Of the mesh that was given; `side_found` says whether its shape told it.
    rms_mm, max_mm
        Distance between the two surfaces, both ways together.
    min_quality
        Of the worst triangle, 1 for an equilateral one.
    placement_rms_mm
        How far the template, placed and with a few modes, was from the bone.
    """

    vertices: F64 = field(repr=False)
    side: Side
    side_found: bool
    rms_mm: float
    max_mm: float
    min_quality: float
    placement_rms_mm: float


def register_bone(template: ShapeModel, mesh: Mesh, *, side: Side | None = None) -> Registration:
    """Bring a closed mesh [mm] of any axes and topology into correspondence with a template.

    Parameters
    ----------
    side
        Of the bone. None: the one whose template fits better.

    Raises
    ------
    InputError
        The mesh is no such bone, or the template does not reach its surface.
    """
    tried = [_place(template, mesh, name) for name in ((side,) if side else ("right", "left"))]
    found, placed, misfit_mm = min(tried, key=lambda attempt: attempt[2])
    length_mm = float(np.ptp(template.mean[:, 2]))
    if misfit_mm > MAX_MISFIT * length_mm:
        raise InputError(
            f"needed a whole {template.bone}, found a shape that the template misses by "
            f"{misfit_mm:.1f} mm RMS after placement"
        )
    fitted = fit_surface(template, placed)
    target = Target(fitted.target)
    vertices = deform(fitted.vertices, template.faces, target)
    rms_mm, max_mm = surface_gap(
        Mesh(vertices=vertices.astype(np.float32), faces=template.faces), fitted.target
    )
    if rms_mm > MAX_RESIDUAL_MM:
        raise InputError(
            f"needed a {template.bone} that the template can be bent onto, {rms_mm:.1f} mm RMS "
            "are left"
        )
    return Registration(
        vertices=vertices,
        side=found,
        side_found=side is None,
        rms_mm=rms_mm,
        max_mm=max_mm,
        min_quality=float(triangle_quality(vertices, template.faces).min()),
        placement_rms_mm=misfit_mm,
    )


def surface_gap(a: Mesh, b: Mesh) -> tuple[float, float]:
    """Root mean square and largest distance [mm] between two surfaces, both ways together."""
    distances = []
    for one, other in ((a, b), (b, a)):
        tree = ClosestPointTree(vertices=other.vertices, faces=other.faces)
        distances.append(tree.find(sample_surface(one, _NUM_SAMPLES))[1])
    both = np.concatenate(distances)
    return float(np.sqrt(np.mean(np.square(both)))), float(both.max())


def _place(template: ShapeModel, mesh: Mesh, side: Side) -> tuple[Side, Mesh, float]:
    """The mesh as a right bone in the template's frame, and how far it is from the template."""
    right = mesh
    if side == "left":
        right = Mesh(
            vertices=np.ascontiguousarray(mesh.vertices * _MIRROR, np.float32),
            faces=np.ascontiguousarray(mesh.faces[:, ::-1]),
        )
    placement = place_model(template, right, side="right")
    return side, placement.to_bone(right), placement.rms_mm
