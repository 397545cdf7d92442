"""Random X-ray geometry of a random leg, rendered to thickness layers with its ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from osteoform._types import BONES, F64
from osteoform.train.legs import PELVIS, Leg, LegAtlas, sample_leg
from osteoform.train.rays import View
from osteoform.train.solids import draw_solids
from osteoform.train.views import sample_view

F16 = NDArray[np.float16]

MARGIN_PX = 24
OUTLINE_STEP = 4

_SITES = ("knee", "femur", "hip", "ankle", "shank", "leg", "patella")
_SITE_SHARE = (0.3, 0.13, 0.17, 0.15, 0.1, 0.08, 0.07)
_FIELD_MM = {
    "knee": (180.0, 350.0),
    "femur": (440.0, 600.0),
    "hip": (180.0, 360.0),
    "ankle": (150.0, 300.0),
    "shank": (400.0, 560.0),
    "leg": (820.0, 1100.0),
    "patella": (70.0, 180.0),
}
# Hip and thigh of a leg as a phantom or an anatomist has it.
_WITHOUT_PELVIS_SHARE = 0.35
# A bone by itself, as after dissection: nothing else tells where it lies.
_LONE_SHARE = {"femur": 0.2, "shank": 0.3, "patella": 0.35}
_LONE_BONES = {"femur": ("femur",), "shank": ("tibia", "fibula"), "patella": ("patella",)}
_FAR_PX = 1e6


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


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Whose X-ray is taken, of which body part, at which scale."""

    site: str
    leg: Leg = field(repr=False)
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
    setting = sample_setting(atlas, rng, shape=shape)
    site, leg, mm_per_px = setting.site, setting.leg, setting.mm_per_px
    view, azimuth = sample_view(
        atlas, leg, rng, site=site, mm_per_px=mm_per_px, shape=shape, margin_px=MARGIN_PX
    )
    present = sample_present(rng, site)
    solids = draw_solids(atlas, leg, rng, parts=present)
    canvas = (shape[0] + 2 * MARGIN_PX, shape[1] + 2 * MARGIN_PX)
    return Scene(
        layers=solids.render(view, canvas).astype(np.float16),
        truth=project_truth(atlas, leg, view, azimuth_rad=azimuth, present=present),
        mm_per_px=mm_per_px,
    )


def sample_setting(atlas: LegAtlas, rng: Generator, *, shape: tuple[int, int]) -> Setting:
    """Draw the body part, a leg bent as such legs are, and how much an image shows of it."""
    site = sample_site(rng, shape)
    leg = sample_leg(atlas, rng, flexion_rad=_flexion(rng, site))
    field_mm = rng.uniform(*_FIELD_MM[site])
    return Setting(site=site, leg=leg, mm_per_px=field_mm / max(shape))


def sample_present(rng: Generator, site: str) -> tuple[str, ...]:
    """Which bones are in the scene: all that the site shows, or one alone."""
    if rng.uniform() < _LONE_SHARE.get(site, 0.0):
        return (str(rng.choice(_LONE_BONES[site])),)
    whole = site in ("hip", "femur", "leg") and rng.uniform() >= _WITHOUT_PELVIS_SHARE
    return (*BONES, PELVIS) if whole else BONES


def project_truth(
    atlas: LegAtlas,
    leg: Leg,
    view: View,
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
