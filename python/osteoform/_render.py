"""A small z-buffer renderer: shaded views of a mesh coloured by a value per vertex."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteoform._types import F32, F64, Mesh

_BACKGROUND = 1.0
_AMBIENT = 0.35

# Value 0 to 1 -> colour: pale to dark red, readable in grey print too.
_STOPS = np.array(
    [
        [0.90, 0.92, 0.94],
        [0.99, 0.87, 0.55],
        [0.98, 0.58, 0.25],
        [0.84, 0.19, 0.15],
        [0.42, 0.02, 0.14],
    ]
)


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A parallel view: `right`, `up` (3,) are the image axes in the mesh frame."""

    name: str
    right: tuple[float, float, float]
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Fragments:
    """Pixels covered by triangles: flat pixel index, depth, and the triangle's weights there."""

    pixel: NDArray[np.int64] = field(repr=False)
    face: NDArray[np.int64] = field(repr=False)
    weights: F64 = field(repr=False)


def colours(values: NDArray[Any]) -> F64:
    """Colours (..., 3) in 0 to 1 of values in 0 to 1; values beyond are clipped."""
    position = np.clip(values, 0.0, 1.0) * (len(_STOPS) - 1)
    low = np.minimum(position.astype(int), len(_STOPS) - 2)
    part = (position - low)[..., None]
    return np.asarray(_STOPS[low] * (1.0 - part) + _STOPS[low + 1] * part)


def vertex_normals(mesh: Mesh) -> F64:
    """Unit vertex normals (N, 3), weighted by area."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    area = np.cross(b - a, c - a)
    normals = np.zeros((len(mesh.vertices), 3))
    for k in range(3):
        np.add.at(normals, mesh.faces[:, k], area)
    return np.asarray(normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-30))


def rasterise(xy: F64, faces: NDArray[Any], width: int, height: int) -> Fragments:
    """Every pixel that every triangle covers, from corners (N, 2) in pixels (u, v)."""
    corners = xy[faces]
    low = np.maximum(np.ceil(corners.min(axis=1)), 0).astype(np.int64)
    high = np.floor(corners.max(axis=1)).astype(np.int64)
    high = np.minimum(high, [width - 1, height - 1])
    columns, rows = np.maximum(high - low + 1, 0).T
    counts = columns * rows
    face = np.repeat(np.arange(len(faces)), counts)
    inside_box = np.arange(len(face)) - np.repeat(np.cumsum(counts) - counts, counts)
    u = low[face, 0] + inside_box % np.maximum(columns[face], 1)
    v = low[face, 1] + inside_box // np.maximum(columns[face], 1)

    a, b, c = (corners[:, k] for k in range(3))
    ab, ac = b - a, c - a
    double_area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    p = np.stack([u, v], axis=1) - a[face]
    with np.errstate(divide="ignore", invalid="ignore"):
        wb = (p[:, 0] * ac[face, 1] - p[:, 1] * ac[face, 0]) / double_area[face]
        wc = (ab[face, 0] * p[:, 1] - ab[face, 1] * p[:, 0]) / double_area[face]
    inside = (wb >= 0.0) & (wc >= 0.0) & (wb + wc <= 1.0)
    weights = np.stack([1.0 - wb - wc, wb, wc], axis=1)[inside]
    return Fragments(pixel=(v * width + u)[inside], face=face[inside], weights=weights)


def render(
    mesh: Mesh, values: NDArray[Any], camera: Camera, *, pixel_mm: float, size_px: tuple[int, int]
) -> F32:
    """Render a mesh, centred, coloured by `values` (N,) in 0 to 1 and lit from the viewer.

    Returns
    -------
    (height, width, 3) float32 in 0 to 1, white where there is no mesh.
    """
    width, height = size_px
    axes = np.array([camera.right, camera.up, np.cross(camera.right, camera.up)])
    x = mesh.vertices.astype(np.float64) @ axes.T
    middle = 0.5 * (x.min(axis=0) + x.max(axis=0))
    xy = (x[:, :2] - middle[:2]) / pixel_mm * [1.0, -1.0] + [0.5 * width, 0.5 * height]
    fragments = rasterise(xy, mesh.faces, width, height)
    corner_ids = mesh.faces[fragments.face]

    depth = np.einsum("nk,nk->n", x[corner_ids, 2], fragments.weights)
    order = np.argsort(depth, kind="stable")  # far to near: the last one written stays
    toward_viewer = (vertex_normals(mesh) @ axes[2])[corner_ids]
    light = np.clip(np.einsum("nk,nk->n", toward_viewer, fragments.weights), 0.0, 1.0)
    value = np.einsum("nk,nk->n", np.asarray(values, np.float64)[corner_ids], fragments.weights)
    shade = colours(value) * (_AMBIENT + (1.0 - _AMBIENT) * light)[:, None]

    image = np.full((height * width, 3), _BACKGROUND, np.float32)
    image[fragments.pixel[order]] = shade[order]
    return image.reshape(height, width, 3)
