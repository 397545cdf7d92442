"""Random X-ray geometry of a random leg, rendered to thickness layers with its ground truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from osteoform import _core
from osteoform._types import BONES, F64, I32
from osteoform.train.foot import draw_foot
from osteoform.train.legs import PELVIS, Leg, LegAtlas, knee_axis, sample_leg, vertex_normals
from osteoform.train.metal import draw_cast, draw_metal
from osteoform.train.rays import thickness
from osteoform.train.tissue import soft_tissue

F16 = NDArray[np.float16]

MARGIN_PX = 24
OUTLINE_STEP = 4

_SITES = ("knee", "femur", "hip", "ankle", "shank", "leg", "patella")
_SITE_SHARE = (0.38, 0.17, 0.08, 0.08, 0.12, 0.09, 0.08)
_FIELD_MM = {
    "knee": (180.0, 350.0),
    "femur": (440.0, 600.0),
    "hip": (180.0, 360.0),
    "ankle": (150.0, 300.0),
    "shank": (400.0, 560.0),
    "leg": (820.0, 1100.0),
    "patella": (70.0, 180.0),
}
_JITTER = {
    "knee": 0.13,
    "hip": 0.12,
    "ankle": 0.12,
    "femur": 0.04,
    "shank": 0.04,
    "leg": 0.03,
    "patella": 0.1,
}
# A bone by itself, as after dissection: nothing else tells where it lies.
_LONE_SHARE = {"femur": 0.2, "shank": 0.3, "patella": 0.35}
_LONE_BONES = {"femur": ("femur",), "shank": ("tibia", "fibula"), "patella": ("patella",)}
_FAR_PX = 1e6
_FOOT_SHARE = 0.8
# Cortical thickness [mm]: ends and middle of the shaft, each drawn from a range.
_CORTEX_MM = {
    "femur": ((0.6, 1.5), (4.0, 7.5)),
    "tibia": ((0.6, 1.5), (3.5, 6.5)),
    "fibula": ((0.6, 1.2), (1.8, 3.0)),
    "patella": ((0.6, 1.5), (0.6, 1.5)),
    PELVIS: ((0.8, 1.8), (0.8, 1.8)),
}


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is where, in pixels of the canvas.

    Attributes
    ----------
    points_px
        (P, 2): feature points and ellipsoid centres in the order of the heat channels.
    ellipse_root_px
        (E, 2, 2): symmetric root of the squared-semi-axes matrix of every ellipse.
    outline_px
        (V, 2): projected vertices of all bones; `bone_of` (V,) says whose they are.
    direction
        (2,): unit direction of the beam along the medial and the anterior axis of the leg.
    """

    points_px: F64
    ellipse_root_px: F64
    outline_px: F64
    bone_of: NDArray[np.int8]
    direction: F64


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Layers (3, H, W): thickness [mm] of compact bone, spongy bone and the whole body."""

    layers: F16 = field(repr=False)
    truth: Truth
    mm_per_px: float


def sample_site(rng: Generator, shape: tuple[int, int]) -> str:
    """Pick the body part; long bones like tall images."""
    share = np.array(_SITE_SHARE)
    tall = shape[0] / shape[1]
    if tall >= 2:
        share *= (0.25, 2.0, 0.1, 0.1, 2.0, 3.0, 0.1)
    elif tall <= 1:
        share *= (1.0, 0.7, 1.0, 1.0, 0.5, 0.2, 1.0)
    return str(rng.choice(_SITES, p=share / share.sum()))


def sample_scene(atlas: LegAtlas, rng: Generator, *, shape: tuple[int, int]) -> Scene:
    """Draw one X-ray of `shape` (rows, columns) plus a margin of MARGIN_PX all round."""
    site = sample_site(rng, shape)
    leg = sample_leg(atlas, rng, flexion_rad=_flexion(rng, site))
    field_mm = rng.uniform(*_FIELD_MM[site])
    canvas = (shape[0] + 2 * MARGIN_PX, shape[1] + 2 * MARGIN_PX)
    mm_per_px = field_mm / max(shape)
    view, azimuth = _sample_view(atlas, leg, rng, site=site, mm_per_px=mm_per_px, canvas=canvas)
    present = _present(rng, site)
    return Scene(
        layers=_render(atlas, leg, view, rng, parts=present, canvas=canvas),
        truth=project_truth(atlas, leg, view, azimuth_rad=azimuth, present=present),
        mm_per_px=mm_per_px,
    )


def _present(rng: Generator, site: str) -> tuple[str, ...]:
    """Which bones are in the scene: all that the site shows, or one alone."""
    if rng.uniform() < _LONE_SHARE.get(site, 0.0):
        return (str(rng.choice(_LONE_BONES[site])),)
    return (*BONES, PELVIS) if site in ("hip", "femur", "leg") else BONES


def project_truth(
    atlas: LegAtlas,
    leg: Leg,
    view: _core.ConeView | _core.SlotView,
    *,
    azimuth_rad: float = 0.0,
    present: Sequence[str] = BONES,
) -> Truth:
    """Feature points, ellipses (to first order in their size) and outlines in pixels.

    Bones that are not present lie far outside every image.
    """
    hidden = np.repeat([bone not in present for bone in BONES], _num_points(atlas))
    points, roots, outlines, owners = [], [], [], []
    for index, bone in enumerate(BONES):
        vertices, definition = leg.vertices[bone], atlas.features[bone]
        centers, shapes = definition.ellipsoids(vertices)
        points += [definition.points(vertices), centers]
        for center, shape in zip(centers, shapes, strict=True):
            jacobian = view.project_jacobian(center)
            roots.append(symmetric_root(jacobian @ shape @ jacobian.T))
        outlines.append(vertices[::OUTLINE_STEP])
        owners.append(np.full(len(outlines[-1]), index, np.int8))
    points_px = view.project(np.concatenate(points))
    outline_px = view.project(np.concatenate(outlines))
    bone_of = np.concatenate(owners)
    points_px[hidden] = _FAR_PX
    outline_px[[BONES[k] not in present for k in bone_of]] = _FAR_PX
    return Truth(
        points_px=points_px,
        ellipse_root_px=np.stack(roots),
        outline_px=outline_px,
        bone_of=bone_of,
        direction=np.array([np.cos(azimuth_rad), np.sin(azimuth_rad)]),
    )


def _num_points(atlas: LegAtlas) -> list[int]:
    """Feature points and ellipsoid centres of each bone."""
    names = [atlas.features[bone].names for bone in BONES]
    return [len(n.points) + len(n.ellipsoids) for n in names]


def symmetric_root(matrix: F64) -> F64:
    """The symmetric square root of a symmetric positive matrix."""
    values, vectors = np.linalg.eigh(matrix)
    root: F64 = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root


def _flexion(rng: Generator, site: str) -> float:
    bent = rng.uniform() < {"knee": 0.6, "leg": 0.1, "femur": 0.25, "shank": 0.25}.get(site, 0.3)
    degrees = rng.uniform(15.0, 110.0 if site == "knee" else 40.0) if bent else rng.normal(4, 5)
    return float(np.deg2rad(degrees))


def _sample_view(
    atlas: LegAtlas,
    leg: Leg,
    rng: Generator,
    *,
    site: str,
    mm_per_px: float,
    canvas: tuple[int, int],
) -> tuple[_core.ConeView | _core.SlotView, float]:
    """The view, and the beam's azimuth [rad] from the leg's medial to its anterior axis."""
    center, up, medial = _aim(atlas, leg, rng, site)
    rotation, azimuth = _orientation(rng, up, medial)
    distance = rng.uniform(700.0, 1500.0) * (1.8 if site == "leg" else 1.0)
    middle = np.array([canvas[1] - 1, canvas[0] - 1]) / 2
    aim_px = middle + rng.normal(0.0, _JITTER[site], 2) * (min(canvas) - 2 * MARGIN_PX)
    principal = middle + rng.normal(0.0, 20.0, 2)
    offset = (aim_px - principal) * mm_per_px
    view_from_world = np.eye(4)
    view_from_world[:3, :3] = rotation
    view_from_world[:3, 3] = np.array([*offset, distance]) - rotation @ center
    focal = distance / mm_per_px
    if site in ("leg", "femur", "shank") and rng.uniform() < 0.25:
        slot = _core.SlotView(
            focal_px=focal,
            principal_u_px=principal[0],
            row_pitch_mm=mm_per_px,
            first_row_mm=-principal[1] * mm_per_px,
            view_from_world=view_from_world,
        )
        return slot, azimuth
    K = np.array([[focal, 0.0, principal[0]], [0.0, focal, principal[1]], [0.0, 0.0, 1.0]])
    return _core.ConeView(K=K, view_from_world=view_from_world), azimuth


def _aim(atlas: LegAtlas, leg: Leg, rng: Generator, site: str) -> tuple[F64, F64, F64]:
    """Where to look: a point, the direction that shall be up, and the knee's medial axis."""
    knee, medial = knee_axis(atlas.features["femur"], leg.vertices["femur"])
    head = atlas.features["femur"].ellipsoids(leg.vertices["femur"])[0][0]
    ankle = atlas.features["tibia"].points(leg.vertices["tibia"])[-2]
    thigh, shank = head - knee, knee - ankle
    share = {"femur": 0.0, "hip": 0.0, "ankle": 1.0, "shank": 1.0, "leg": 0.5}.get(
        site, rng.uniform()
    )
    up = (1 - share) * thigh / np.linalg.norm(thigh) + share * shank / np.linalg.norm(shank)
    center = {
        "knee": knee,
        "femur": 0.5 * (knee + head),
        "hip": head,
        "ankle": ankle,
        "shank": 0.5 * (knee + ankle),
        "leg": 0.5 * (head + ankle),
        "patella": leg.vertices["patella"].mean(axis=0),
    }[site]
    return center, up / np.linalg.norm(up), medial


def _orientation(rng: Generator, up: F64, medial: F64) -> tuple[F64, float]:
    """Rotation view_from_world of a beam from any side of the leg, tilted and rolled a little.

    Returned with the beam's azimuth.
    """
    side = medial - up * (medial @ up)
    side /= np.linalg.norm(side)
    front = np.cross(side, up)
    azimuth = float(rng.uniform(0.0, 2 * np.pi))
    if rng.uniform() < 0.5:
        azimuth = float(rng.integers(4) * np.pi / 2 + rng.normal(0.0, 0.2))
    tilt = np.clip(rng.normal(0.0, 0.17), -0.45, 0.45)
    beam = np.cos(tilt) * (np.cos(azimuth) * side + np.sin(azimuth) * front) + np.sin(tilt) * up
    down = -(up - beam * (up @ beam))
    down /= np.linalg.norm(down)
    right = np.cross(down, beam)
    roll = np.clip(rng.normal(0.0, 0.22), -0.6, 0.6)
    c, s = np.cos(roll), np.sin(roll)
    return np.stack([c * right + s * down, c * down - s * right, beam]), azimuth


def _render(
    atlas: LegAtlas,
    leg: Leg,
    view: _core.ConeView | _core.SlotView,
    rng: Generator,
    *,
    parts: Sequence[str],
    canvas: tuple[int, int],
) -> F16:
    outer, inner, faces = [], [], []
    for part in parts:
        vertices = leg.vertices[part]
        outer.append(vertices)
        inner.append(_endosteum(vertices, atlas.faces[part], rng, part))
        faces.append(atlas.faces[part])
    body = soft_tissue(atlas, leg, rng, with_trunk=PELVIS in parts)
    if "tibia" in parts and "fibula" in parts and rng.uniform() < _FOOT_SHARE:
        bones, flesh = draw_foot(atlas, leg, rng)
        body[0].append(flesh[0])
        body[1].append(flesh[1])
        for vertices, triangles in bones:
            outer.append(vertices)
            inner.append(vertices - vertex_normals(vertices, triangles) * rng.uniform(0.6, 1.5))
            faces.append(triangles)
    if rng.uniform() < 0.12:
        mirror = _other_leg(leg, rng)
        outer += [mirror(v) for v in outer]
        inner += [mirror(v) for v in inner]
        faces += [f[:, ::-1] for f in faces]
    bone = thickness(outer, faces, view, canvas)
    spongy = np.clip(thickness(inner, faces, view, canvas), 0.0, bone)
    whole = np.maximum(thickness(*body, view, canvas), bone)
    metal = draw_metal(atlas, leg, view, rng, canvas=canvas, bones=parts)
    cast = draw_cast(body, view, rng, canvas=canvas)
    return np.stack([bone - spongy + metal, spongy, whole + cast]).astype(np.float16)


def _endosteum(vertices: F64, faces: I32, rng: Generator, part: str) -> F64:
    """The inner surface of the cortex: thick along the shaft, thin at the ends."""
    ends, middle = (rng.uniform(*limits) for limits in _CORTEX_MM[part])
    along = vertices @ np.linalg.svd(vertices - vertices.mean(0), full_matrices=False)[2][0]
    along = (along - along.min()) / np.ptp(along)
    shaft = np.clip(np.minimum(along, 1 - along) / 0.3 - 0.4, 0.0, 1.0)
    thickness = ends + (middle - ends) * shaft * shaft * (3 - 2 * shaft)
    inner: F64 = vertices - vertex_normals(vertices, faces) * thickness[:, None]
    return inner


def _other_leg(leg: Leg, rng: Generator) -> Callable[[F64], F64]:
    """Mirror about the body's middle, roughly."""
    middle = leg.vertices[PELVIS][:, 0].mean() + rng.normal(0.0, 15.0)
    shift = np.array([2 * middle, 0.0, 0.0]) + rng.normal(0.0, [5.0, 40.0, 15.0])

    def mirror(vertices: F64) -> F64:
        mirrored: F64 = vertices * [-1.0, 1.0, 1.0] + shift
        return mirrored

    return mirror
