"""Plane sections of a closed surface: their loops, areas and centroids as vertex weights."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from osteoform._errors import InputError
from osteoform.modeling.surface import F64, Surface

Ids = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One closed loop of a plane section: its area and the weights of its centroid."""

    area_mm2: float
    weights: F64 = field(repr=False)


def level_section(surface: Surface, fraction: float) -> Section:
    """The largest loop of the horizontal section at a fraction of the length from the lowest."""
    height = surface.low_mm + fraction * surface.length_mm
    loops = plane_sections(surface, np.array([0.0, 0.0, height]), (0.0, 0.0, 1.0))
    return max(loops, key=lambda loop: loop.area_mm2)


def height_segments(surface: Surface, height_mm: float) -> F64:
    """Segments (n, 2, 3) [mm] in which the triangles of a surface cross a height."""
    level = surface.vertices[:, 2] - height_mm
    ends = []
    for edges in _crossed_edges(surface, level >= 0.0):
        tail, head = edges.T
        fraction = (level[tail] / (level[tail] - level[head]))[:, None]
        ends.append(surface.vertices[tail] * (1.0 - fraction) + surface.vertices[head] * fraction)
    return np.stack(ends, axis=1)


def plane_sections(surface: Surface, origin: F64, normal: ArrayLike) -> list[Section]:
    """Every loop in which a plane cuts the surface.

    A crossing lies on an edge at a fixed fraction, and the area centroid of a polygon is linear
    in its corners when the areas of its triangles are held: so the centroid is linear in the
    vertices, exact on this surface and to first order on its neighbours.
    """
    unit = np.asarray(normal, dtype=np.float64)
    unit = unit / np.linalg.norm(unit)
    height = (surface.vertices - origin) @ unit
    rising, falling = _crossed_edges(surface, height >= 0.0)
    if len(rising) == 0:
        raise InputError("the plane does not meet the bone")
    num_vertices = len(surface.vertices)
    keys, corners = np.unique(
        np.concatenate([_edge_key(rising, num_vertices), _edge_key(falling, num_vertices)]),
        return_inverse=True,
    )
    start, end = corners[: len(rising)], corners[len(rising) :]
    tail, head = keys // num_vertices, keys % num_vertices
    fraction = height[tail] / (height[tail] - height[head])
    points = (
        surface.vertices[tail] * (1.0 - fraction[:, None])
        + surface.vertices[head] * fraction[:, None]
    )
    labels = _loops(len(keys), start, end)
    sections = []
    for label in np.unique(labels):
        segments = labels[start] == label
        area, share = _area_centroid(points, start[segments], end[segments], unit)
        weights = np.zeros(num_vertices)
        np.add.at(weights, tail, share * (1.0 - fraction))
        np.add.at(weights, head, share * fraction)
        sections.append(Section(area_mm2=area, weights=weights))
    return sections


def _crossed_edges(surface: Surface, over: NDArray[np.bool_]) -> tuple[Ids, Ids]:
    """For each crossed face the edge that rises through the plane and the one that falls."""
    corners = surface.faces.astype(np.int64)
    state = over[corners]
    crossed = state.any(axis=1) & ~state.all(axis=1)
    corners, state = corners[crossed], state[crossed]
    following = np.roll(state, -1, axis=1)
    rows = np.arange(len(corners))

    def edge(which: NDArray[np.bool_]) -> Ids:
        first = which.argmax(axis=1)
        return np.stack([corners[rows, first], corners[rows, (first + 1) % 3]], axis=1)

    return edge(~state & following), edge(state & ~following)


def _edge_key(edges: Ids, num_vertices: int) -> Ids:
    return np.asarray(edges.min(axis=1) * num_vertices + edges.max(axis=1), dtype=np.int64)


def _loops(num_corners: int, start: Ids, end: Ids) -> Ids:
    """The smallest corner of the loop each corner lies on."""
    labels = np.arange(num_corners)
    while True:
        lowest = np.minimum(labels[start], labels[end])
        joined = labels.copy()
        np.minimum.at(joined, start, lowest)
        np.minimum.at(joined, end, lowest)
        joined = joined[joined]
        if np.array_equal(joined, labels):
            return labels
        labels = joined


def _area_centroid(points: F64, start: Ids, end: Ids, unit: F64) -> tuple[float, F64]:
    """Area [mm^2] of one loop and each corner's share in its centroid."""
    share = np.zeros(len(points))
    hub_share = np.bincount(start, minlength=len(points)) / len(start)
    hub = hub_share @ points
    areas = 0.5 * np.cross(points[start] - hub, points[end] - hub) @ unit
    total = float(areas.sum())
    if abs(total) < 1e-9:
        return 0.0, hub_share
    thirds = areas / (3.0 * total)
    share += np.bincount(start, weights=thirds, minlength=len(points))
    share += np.bincount(end, weights=thirds, minlength=len(points))
    return abs(total), share + hub_share / 3.0
