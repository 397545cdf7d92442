"""How far the mean bone of the atlas lies from another mean bone, region by region."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from osteoform._distance import sample_surface
from osteoform._errors import InputError
from osteoform._models import load_model, shipped_models
from osteoform._types import F32, F64, Mesh
from osteoform.atlas._family import Family
from osteoform.atlas.build import build_template, family_of
from osteoform.modeling.procrustes import apply_rigid
from osteoform.modeling.rigid_fit import align_surface, signed_distances

WHOLE = "whole bone"
_NUM_POINTS = 20_000


@dataclass(frozen=True, kw_only=True)
class RegionGap:
    """The gap over one region, weighted by area [mm].

    Attributes
    ----------
    area_share
        Of the bone's surface.
    mean_mm, p95_mm
        Of the unsigned gap.
    bias_mm
        Mean of the signed gap: positive where the atlas stands out.
    """

    region: str
    area_share: float
    mean_mm: float
    p95_mm: float
    bias_mm: float


@dataclass(frozen=True, kw_only=True)
class MeanGap:
    """Two mean bones, the other one laid on the atlas, and the gap between them.

    Attributes
    ----------
    atlas, other
        In the frame of the atlas table [mm].
    signed_mm
        (N,) at the vertices of the atlas: positive where it stands out of the other.
    regions
        The whole bone first, then each region of the family.
    """

    bone: str
    atlas: Mesh = field(repr=False)
    other: Mesh = field(repr=False)
    signed_mm: F64 = field(repr=False)
    regions: tuple[RegionGap, ...]


def atlas_mean(bone: str, *, rebuild: bool = False) -> Mesh:
    """The mean bone of the atlas, a right one, in the frame of its table [mm].

    It is the shipped one, or else, and with `rebuild`, made from the table as it now is.
    """
    family = family_of(bone)
    if rebuild or bone not in shipped_models():
        vertices, faces = build_template(family)
        return Mesh(vertices=vertices.astype(np.float32), faces=faces)
    model = load_model(bone)
    return Mesh(vertices=_in_table_frame(family, model.mean.astype(np.float64)), faces=model.faces)


def _in_table_frame(family: Family, centered: F64) -> F32:
    """Vertices of a shipped mean, moved to where the family's field vanishes on them."""
    low, high = family.box
    points = centered + 0.5 * (low + high) - 0.5 * (centered.min(axis=0) + centered.max(axis=0))
    for _ in range(20):
        slope, value = family.slope(points)
        shift = -np.linalg.lstsq(slope, value, rcond=None)[0]
        points = points + shift
        if np.abs(shift).max() < 1e-4:
            break
    _, value = family.slope(points)
    if np.sqrt(np.mean(value**2)) > 0.5:
        raise InputError(
            f"the shipped {family.table.bone} is not the mean of its table: build the atlas again"
        )
    return np.asarray(points, np.float32)


def measure_gap(family: Family, atlas: Mesh, other: Mesh) -> MeanGap:
    """Measure the gap between two mean bones after the best rigid alignment.

    Distances are taken from points spread evenly over each surface to the other surface.

    Parameters
    ----------
    atlas
        In the frame of the family's table [mm].
    other
        A right bone, x medial, y posterior, z proximal [mm], anywhere.
    """
    moved = apply_rigid(align_surface(other, atlas), other.vertices.astype(np.float64))
    other = Mesh(vertices=moved.astype(np.float32), faces=other.faces)
    here, there = (sample_surface(mesh, _NUM_POINTS) for mesh in (atlas, other))
    signed = np.concatenate([signed_distances(here, other), -signed_distances(there, atlas)])
    shares = family.regions(np.concatenate([here, there]))
    return MeanGap(
        bone=family.table.bone,
        atlas=atlas,
        other=other,
        signed_mm=signed_distances(atlas.vertices.astype(np.float64), other),
        regions=(
            _summary(WHOLE, signed, np.ones(len(signed))),
            *(_summary(name, signed, share) for name, share in shares.items()),
        ),
    )


def _summary(region: str, signed_mm: F64, weight: F64) -> RegionGap:
    size: F64 = np.abs(signed_mm)
    order = np.argsort(size)
    below = np.cumsum(weight[order]) / weight.sum()
    at = min(int(np.searchsorted(below, 0.95)), len(size) - 1)
    return RegionGap(
        region=region,
        area_share=float(weight.mean()),
        mean_mm=float(np.average(size, weights=weight)),
        p95_mm=float(size[order[at]]),
        bias_mm=float(np.average(signed_mm, weights=weight)),
    )
