"""Bones as a photographer would light them: smooth surfaces, soft shadows, no jagged edges."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from osteoform._core import gaussian_blur
from osteoform._render import Camera, rasterise, vertex_normals
from osteoform._types import F32, F64, Mesh

IVORY = (0.94, 0.89, 0.80)
_OVERSAMPLING = 3
_GAMMA = 2.2
# Directions in the view (right, up, towards the viewer), and how strong the light is.
_KEY, _KEY_STRENGTH = np.array([-0.56, 0.58, 0.59]), 0.92
_FILL, _FILL_STRENGTH = np.array([0.80, 0.05, 0.60]), 0.26
_AMBIENT = 0.13
_WRAP = 0.22  # light bleeds round the edge of translucent things
_GLOSS, _GLOSS_STRENGTH = 26.0, 0.055
_HOLLOWS_MM = (1.2, 4.0, 11.0)  # widths of the hollows that keep light out
_HOLLOW_STRENGTH = 0.55
_HAZE, _HAZE_MM = 0.85, 80.0  # at most, and how soon
_ROUNDING = 0.75  # of Phong tessellation, as its authors set it


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What a picture shows: the point in its middle (3,) [mm], its size and its scale; and how far
    behind the nearest point things are seen clearly, before haze hides them.
    """

    center: F64 = field(repr=False)
    size_px: tuple[int, int]
    pixel_mm: float
    clear_mm: float = np.inf


@dataclass(frozen=True)
class _Surface:
    """What each pixel of an oversampled picture sees: mask (P,), and for the pixels that see the
    bone normals (n, 3) in the view, colours (n, 3) linear in light, and depth (n,) [mm].
    """

    mask: NDArray[np.bool_]
    normal: F64
    colour: F64
    depth: F64


def shade(mesh: Mesh, colours: NDArray[np.floating], camera: Camera, frame: Frame) -> F32:
    """Render a closed mesh in colours (N, 3) or (3,), 0 to 1 as on the screen.

    Returns
    -------
    (height, width, 4) float32 in 0 to 1: red, green and blue, multiplied by the last, which is
    the share of each pixel that the bone covers.
    """
    width, height = (n * _OVERSAMPLING for n in frame.size_px)
    per_vertex = np.broadcast_to(np.asarray(colours, np.float64), mesh.vertices.shape)
    seen = _visible(mesh, per_vertex, camera, frame, width, height)
    rgba = np.zeros((height * width, 4), np.float32)
    rgba[seen.mask, :3] = _lit(seen, _openness(seen, frame), frame)
    rgba[seen.mask, 3] = 1.0
    return np.asarray(_blocks(rgba, frame), np.float32)


def over_white(rgba: F32) -> NDArray[np.uint8]:
    """A rendered picture on white paper, (height, width, 3)."""
    rgb = rgba[..., :3] + (1.0 - rgba[..., 3:])
    return np.asarray(np.clip(rgb * 255.0 + 0.5, 0.0, 255.0), np.uint8)


def _visible(
    mesh: Mesh, colours: F64, camera: Camera, frame: Frame, width: int, height: int
) -> _Surface:
    axes = np.array([camera.right, camera.up, np.cross(camera.right, camera.up)])
    x = (mesh.vertices.astype(np.float64) - frame.center) @ axes.T
    step = frame.pixel_mm / _OVERSAMPLING
    xy = x[:, :2] / step * [1.0, -1.0] + [0.5 * width - 0.5, 0.5 * height - 0.5]
    faces = mesh.faces[_facing(xy[mesh.faces])]
    fragments = rasterise(xy, faces, width, height)
    corners = faces[fragments.face]
    depth = np.einsum("nk,nk->n", x[corners, 2], fragments.weights)
    nearest = np.full(height * width, -1, np.int64)
    order = np.argsort(depth, kind="stable")  # far to near: the last one written stays
    nearest[fragments.pixel[order]] = order
    mask = nearest >= 0
    top = nearest[mask]
    corners, weights = corners[top], fragments.weights[top]
    normal = np.einsum("nkc,nk->nc", (vertex_normals(mesh) @ axes.T)[corners], weights)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    colour = np.einsum("nkc,nk->nc", (colours**_GAMMA)[corners], weights)
    return _Surface(mask, normal, colour, depth[top])


def _facing(corners: F64) -> NDArray[np.bool_]:
    """Which triangles (M,) with corners (M, 3, 2) in pixels, v down, show their outer side."""
    (ux, uy), (vx, vy) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    return np.asarray(ux * vy - uy * vx < 0.0)


def _openness(seen: _Surface, frame: Frame) -> F64:
    """How freely light reaches each visible point: less where its neighbours stand before it
    (depth against its own blur: T. Luft et al., ACM Trans. Graph. 25 (2006) 1206).
    """
    middle = float(seen.depth.mean()) if len(seen.depth) else 0.0
    there = _shrunk(seen.mask, np.ones(len(seen.depth)), frame)
    depth = _shrunk(seen.mask, seen.depth - middle, frame)
    openness = np.ones(len(seen.depth))
    for sigma_mm in _HOLLOWS_MM:
        blurred, weight = (
            gaussian_blur(plane, sigma_px=sigma_mm / frame.pixel_mm) for plane in (depth, there)
        )
        coarse = blurred / np.maximum(weight, 1e-6) + middle
        around = coarse.repeat(_OVERSAMPLING, axis=0).repeat(_OVERSAMPLING, axis=1)
        hidden = np.clip((around.reshape(-1)[seen.mask] - seen.depth) / sigma_mm, 0.0, 1.0)
        openness *= np.exp(-_HOLLOW_STRENGTH * hidden)
    return openness


def _shrunk(mask: NDArray[np.bool_], values: F64, frame: Frame) -> F32:
    """Values of the visible points as a picture (height, width), means over what is oversampled."""
    full = np.zeros(len(mask), np.float32)
    full[mask] = values
    return np.asarray(_blocks(full[:, None], frame)[..., 0], np.float32)


def _blocks(pixels: NDArray[np.floating], frame: Frame) -> NDArray[np.floating]:
    """Means (height, width, C) over the pixels (P, C) of an oversampled picture."""
    width, height = frame.size_px
    split = pixels.reshape(height, _OVERSAMPLING, width, _OVERSAMPLING, -1)
    return np.asarray(split.mean(axis=(1, 3)))


def _lit(seen: _Surface, openness: F64, frame: Frame) -> F64:
    key, fill = (light / np.linalg.norm(light) for light in (_KEY, _FILL))
    half = key + [0.0, 0.0, 1.0]
    half /= np.linalg.norm(half)
    wrapped = np.clip((seen.normal @ key + _WRAP) / (1.0 + _WRAP), 0.0, 1.0)
    sideways = np.clip(seen.normal @ fill, 0.0, 1.0)
    gloss = np.clip(seen.normal @ half, 0.0, 1.0) ** _GLOSS
    facing = np.clip(seen.normal[:, 2], 0.0, 1.0)
    rim = 0.45 + 0.55 * np.clip(facing / 0.45, 0.0, 1.0) ** 0.8
    light = (_AMBIENT + _KEY_STRENGTH * wrapped + _FILL_STRENGTH * sideways) * openness * rim
    linear = seen.colour * light[:, None] + (_GLOSS_STRENGTH * gloss * openness)[:, None]
    haze = _haze(seen.depth, frame.clear_mm)[:, None]
    linear = linear * (1.0 - haze) + haze
    return np.asarray(np.clip(linear, 0.0, 1.0) ** (1.0 / _GAMMA))


def _haze(depth: F64, clear_mm: float) -> F64:
    """Share of white in what lies far behind the nearest point: seen along the shaft, the other
    end of a bone must not be taken for this one.
    """
    behind = depth.max(initial=-np.inf) - depth
    return np.asarray(_HAZE * np.clip((behind - clear_mm) / _HAZE_MM, 0.0, 1.0))


def rounded(mesh: Mesh, colours: NDArray[np.floating]) -> tuple[Mesh, F64]:
    """Cut every triangle in four and bow it as its normals say, so that no outline is angular.

    Midpoints go most of the way to their projections on the tangent planes at both ends
    (Phong tessellation: T. Boubekeur and M. Alexa, ACM Trans. Graph. 27 (2008) 141).

    Returns
    -------
    The mesh, with the given vertices first, and its colours (N, 3).
    """
    x, normal = mesh.vertices.astype(np.float64), vertex_normals(mesh)
    sides = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    edges, index = np.unique(sides, axis=0, return_inverse=True)
    a, b = edges.T
    middle = 0.5 * (x[a] + x[b])
    onto = [
        middle - np.einsum("nc,nc->n", middle - x[end], normal[end])[:, None] * normal[end]
        for end in (a, b)
    ]
    bowed = middle + _ROUNDING * (0.5 * (onto[0] + onto[1]) - middle)
    m = (index.reshape(-1, 3) + len(x)).T
    p = mesh.faces.T
    quarters = [(p[0], m[0], m[2]), (m[0], p[1], m[1]), (m[2], m[1], p[2]), (m[0], m[1], m[2])]
    faces = np.concatenate([np.stack(corners, axis=1) for corners in quarters])
    painted = np.broadcast_to(np.asarray(colours, np.float64), x.shape)
    fine = Mesh(
        vertices=np.concatenate([x, bowed]).astype(np.float32), faces=faces.astype(np.int32)
    )
    return fine, np.concatenate([painted, 0.5 * (painted[a] + painted[b])])
