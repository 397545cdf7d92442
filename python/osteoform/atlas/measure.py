"""Clinical measurements of leg bones from their meshes alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from osteoform._models import load_model
from osteoform._placement import place_model
from osteoform._trial import mirrored
from osteoform._types import F64, Mesh, Side
from osteoform.atlas._measure_fibula import measure_fibula
from osteoform.atlas._measure_patella import measure_patella
from osteoform.atlas._measure_tibia import measure_tibia
from osteoform.atlas._table import load_table
from osteoform.modeling.features import define_features
from osteoform.modeling.sections import height_segments, level_section
from osteoform.modeling.surface import Surface

_AXIS_LEVELS = (0.6, 0.745)


def measure_femur(vertices: ArrayLike, faces: ArrayLike) -> dict[str, float]:
    """Measure a right femur that stands on its mechanical axis.

    Parameters
    ----------
    vertices, faces
        (N, 3) [mm], x medial, y posterior, z proximal; (M, 3), closed, wound outward.

    Returns
    -------
    dict
        length, head_radius, neck_offset, bicondylar_width, medial_depth, lateral_depth,
        shaft_width, shaft_depth [mm]; neck_shaft_angle, anteversion, valgus_angle [deg].
    """
    surface = Surface.of(vertices, faces)
    points = surface.vertices
    features = define_features("femur", points, surface.faces)
    names = features.names.points
    found = dict(zip(names, features.points(points), strict=True))
    centers, shapes = features.ellipsoids(points)
    head = centers[0]
    low, high = (surface.at(level_section(surface, f).weights) for f in _AXIS_LEVELS)
    shaft = (high - low) / np.linalg.norm(high - low)
    neck = head - found["neck_center"]
    neck /= np.linalg.norm(neck)
    from_axis = head - low
    from_axis = from_axis - (from_axis @ shaft) * shaft
    behind = found["medial_condyle_posterior"] - found["lateral_condyle_posterior"]
    knee = points[surface.below(0.11)]
    middle = (knee[:, 0].min() + knee[:, 0].max()) / 2
    depth = {
        side: float(np.ptp(knee[mask, 1]))
        for side, mask in (("medial", knee[:, 0] > middle), ("lateral", knee[:, 0] < middle))
    }
    across, through = _mid_shaft(surface)
    return {
        "length": surface.length_mm,
        "head_radius": float(np.sqrt(shapes[0, 0, 0])),
        "neck_shaft_angle": float(180.0 - np.degrees(np.arccos(neck @ shaft))),
        "anteversion": _turn_deg(behind) - _turn_deg(neck),
        "neck_offset": float(np.linalg.norm(from_axis)),
        "valgus_angle": float(np.degrees(np.arctan2(-shaft[0], shaft[2]))),
        "bicondylar_width": float(np.ptp(knee[:, 0])),
        "medial_depth": depth["medial"],
        "lateral_depth": depth["lateral"],
        "shaft_width": across,
        "shaft_depth": through,
    }


def _turn_deg(direction: F64) -> float:
    """Turn of a direction about z, from x [deg]."""
    return float(np.degrees(np.arctan2(direction[1], direction[0])))


def _mid_shaft(surface: Surface) -> tuple[float, float]:
    """Width and depth of the section at mid length [mm]."""
    cut = height_segments(surface, (surface.low_mm + surface.high_mm) / 2).reshape(-1, 3)
    return float(np.ptp(cut[:, 0])), float(np.ptp(cut[:, 1]))


MEASURERS: dict[str, Callable[[ArrayLike, ArrayLike], dict[str, float]]] = {
    "femur": measure_femur,
    "fibula": measure_fibula,
    "tibia": measure_tibia,
    "patella": measure_patella,
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One parameter of one bone beside the atlas; `z` is in standard deviations from the mean."""

    name: str
    unit: str
    value: float
    mean: float
    sd: float
    z: float


def measure_mesh(mesh: Mesh, bone: str, *, side: Side) -> tuple[Measured, ...]:
    """Measure a whole bone in any axes [mm] by the parameters of the atlas.

    Raises
    ------
    InputError
        The mesh is not a whole bone of this kind, or a feature cannot be found on it.
    """
    placed = place_model(load_model(bone), mesh, side=side).to_bone(mesh)
    right = placed if side == "right" else mirrored(placed)
    found = MEASURERS[bone](right.vertices.astype(np.float64), right.faces)
    return tuple(
        Measured(
            name=p.name,
            unit=p.unit,
            value=found[p.name],
            mean=p.mean,
            sd=p.sd,
            z=(found[p.name] - p.mean) / p.sd,
        )
        for p in load_table(bone).parameters
        if p.name in found
    )
