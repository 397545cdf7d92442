"""Clinical measurements of a patella from its mesh alone, in the bone's own axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from osteoform._errors import InputError
from osteoform._types import F64
from osteoform.modeling.sections import height_segments
from osteoform.modeling.surface import Surface

_UP = np.array([0.0, 0.0, 1.0])
_LEVELS = (0.45, 0.5, 0.55, 0.6)  # of the height: through the facets, above the apex
_NEAR_END = 0.15  # of the height: where apex and base are measured
_FACET = (0.1, 0.34)  # of the section's width: from the ridge, where a facet's angle is taken
_REACH = 0.3  # of width or height: half the chord of the anterior bulge


def own_axes(vertices: F64, areas: F64) -> tuple[F64, F64]:
    """Centre (3,) and axes (3, 3; columns medial, posterior, proximal) of a patella itself.

    Posterior is the direction in which its surface spreads least, proximal is z at a right angle
    to it: in outline a patella is too round to have axes of its own.
    """
    share = areas / areas.sum()
    center = share @ vertices
    offset = vertices - center
    _, directions = np.linalg.eigh((offset * share[:, None]).T @ offset)
    back = directions[:, 0] * np.sign(directions[1, 0])
    up = _UP - (_UP @ back) * back
    up = up / np.linalg.norm(up)
    return center, np.stack([np.cross(back, up), back, up], axis=1)


def measure_patella(vertices: ArrayLike, faces: ArrayLike) -> dict[str, float]:
    """Measure a right patella.

    Parameters
    ----------
    vertices, faces
        (N, 3) [mm], x medial, y posterior, z proximal, within some 40 degrees; (M, 3), closed,
        wound outward.

    Returns
    -------
    dict
        What `patella.toml` names, and medial_facet_width, lateral_facet_width [mm],
        wiberg_angle [deg].
    """
    given = Surface.of(vertices, faces)
    center, axes = own_axes(given.vertices, given.areas)
    surface = Surface.of((given.vertices - center) @ axes, faces)
    low, high = surface.vertices.min(axis=0), surface.vertices.max(axis=0)
    width, _, height = (float(e) for e in high - low)
    middle, center_height = float(low[0] + high[0]) / 2, float(low[2] + high[2]) / 2
    apex_width, apex_thickness = _end(surface, float(low[2]) + _NEAR_END * height)
    base_width, base_thickness = _end(surface, float(high[2]) - _NEAR_END * height)
    apex, base = _tips(surface)
    levels = [_facets(surface, float(low[2]) + level * height) for level in _LEVELS]
    ridge, thickness, medial, lateral = (float(v) for v in np.mean(levels, axis=0))
    front, back = _depths(surface, center_height, np.array([middle]))
    return {
        "height": height,
        "width": width,
        "thickness": thickness,
        "apex_width": apex_width,
        "base_width": base_width,
        "apex_thickness": apex_thickness,
        "base_thickness": base_thickness,
        "apex_offset": float(apex[0]) - middle,
        "sagittal_bow": float(apex[1] + base[1] - front[0] - back[0]) / 2,
        "ridge_offset": ridge - middle,
        "medial_facet_angle": medial,
        "lateral_facet_angle": lateral,
        "transverse_bulge": _bulge(surface, middle, np.array([_REACH * width, 0.0])),
        "sagittal_bulge": _bulge(surface, middle, np.array([0.0, _REACH * height])),
        "medial_facet_width": float(high[0]) - ridge,
        "lateral_facet_width": ridge - float(low[0]),
        "wiberg_angle": 180.0 - medial - lateral,
    }


def _tips(surface: Surface) -> tuple[F64, F64]:
    """Apex and top of the base (3,) [mm]."""
    whole = np.ones(len(surface.vertices), dtype=np.bool_)
    apex = surface.tip(-_UP, whole, "apex")
    base = surface.tip(_UP, whole, "base")
    return surface.at(apex), surface.at(base)


def _across(surface: Surface, height_mm: float, places: F64) -> F64:
    """Coordinates x (n,) at the given places of a section: 0 its lateral end, 1 the medial."""
    x = height_segments(surface, height_mm)[..., 0]
    return np.asarray(x.min() + (x.max() - x.min()) * places)


def _depths(surface: Surface, height_mm: float, x: F64) -> tuple[F64, F64]:
    """Depth y of the front and of the back (n,) [mm] of a section at coordinates x (n,)."""
    start, end = height_segments(surface, height_mm).transpose(1, 0, 2)
    run = end[:, 0] - start[:, 0]
    part = (x[:, None] - start[:, 0]) / np.where(run == 0.0, np.inf, run)
    on = (part >= 0.0) & (part <= 1.0) & (run != 0.0)
    if not on.any(axis=1).all():
        raise InputError("no section where a patella has one: is the bone whole and z-up?")
    depth = start[:, 1] + part * (end[:, 1] - start[:, 1])
    front = np.where(on, depth, np.inf).min(axis=1)
    back = np.where(on, depth, -np.inf).max(axis=1)
    return front, back


def _end(surface: Surface, height_mm: float) -> tuple[float, float]:
    """Width of a section, and thickness over its middle third [mm]."""
    left, right = _across(surface, height_mm, np.array([0.0, 1.0]))
    places = _across(surface, height_mm, np.array([0.35, 0.5, 0.65]))
    front, back = _depths(surface, height_mm, places)
    return float(right - left), float(np.mean(back - front))


def _facets(surface: Surface, height_mm: float) -> tuple[float, float, float, float]:
    """Place of the ridge along x and the thickness there [mm]; angles of the medial and lateral
    facet to the frontal plane [deg], in one section.
    """
    place = np.linspace(0.06, 0.94, 89)
    x = _across(surface, height_mm, place)
    front, back = _depths(surface, height_mm, x)
    weight = np.exp((back - back.max()) / 0.4)
    weight /= weight.sum()
    ridge = float(x @ weight)
    angles = []
    for sign in (1.0, -1.0):
        away = sign * (place - place @ weight)
        facet = (away > _FACET[0]) & (away < _FACET[1])
        slope = np.polyfit(sign * x[facet], back[facet], 1)[0]
        angles.append(float(np.degrees(np.arctan(-slope))))
    return ridge, float((back - front) @ weight), angles[0], angles[1]


def _bulge(surface: Surface, middle: float, reach: F64) -> float:
    """How far the front rises over a chord through two points beside its middle [mm]."""
    center = np.array([middle, (surface.low_mm + surface.high_mm) / 2])
    lower, here, upper = (
        float(_depths(surface, height, np.array([x]))[0][0])
        for x, height in (center + k * reach for k in (-1.0, 0.0, 1.0))
    )
    return (lower + upper) / 2 - here
