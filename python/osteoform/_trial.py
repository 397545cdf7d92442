"""A bone whose truth is known: simulated X-rays of it, and what a perfect detector would say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from osteoform._core import ConeView, InputError, SlotView
from osteoform._rotation import rotation
from osteoform._types import F64, Detection, Mesh, Side, XrayView
from osteoform.geometry import standard_views
from osteoform.modeling.features import FeatureDefinition
from osteoform.simulate import Physics, simulate_view

GeometryKind = Literal["cone", "slot"]

POSE_SD_DEG = 6.0
POSE_SD_MM = 8.0
_MARGIN_PX = 40
_MIN_SIDE_PX = 320
_FILM_SIDE_PX = 640  # 32 cm: what shows a bone with its neighbours


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Simulated views of one bone.

    Attributes
    ----------
    truth
        The bone in the world [mm].
    world_from_bone
        (4, 4) [mm].
    views
        Images with their geometry.
    """

    truth: Mesh = field(repr=False)
    world_from_bone: F64 = field(repr=False)
    views: tuple[XrayView, ...]


def transformed(mesh: Mesh, target_from_source: F64) -> Mesh:
    """Move a mesh by a rigid transform (4, 4)."""
    moved = mesh.vertices.astype(np.float64) @ target_from_source[:3, :3].T
    vertices = np.ascontiguousarray(moved + target_from_source[:3, 3], np.float32)
    return Mesh(vertices=vertices, faces=mesh.faces)


def mirrored(mesh: Mesh) -> Mesh:
    """The bone of the other leg: x negated, faces wound outward again."""
    return Mesh(
        vertices=mesh.vertices * np.array([-1.0, 1.0, 1.0], np.float32),
        faces=np.ascontiguousarray(mesh.faces[:, ::-1]),
    )


def random_pose(rng: Generator) -> F64:
    """Draw world_from_bone (4, 4): a rotation vector and a shift, the same sd on every axis."""
    vector = rng.normal(0.0, np.deg2rad(POSE_SD_DEG), 3)
    pose = np.eye(4)
    pose[:3, :3] = rotation(vector)
    pose[:3, 3] = rng.normal(0.0, POSE_SD_MM, 3)
    return pose


def simulate_trial(
    bone: Mesh,
    rng: Generator,
    *,
    geometry: GeometryKind = "cone",
    view_names: Sequence[str] = ("ap", "lateral"),
    physics: Physics | None = None,
    others: Sequence[Mesh] = (),
) -> Trial:
    """X-ray a bone, given in its bone frame [mm], in a random pose near that frame's.

    The bone is whole in every image: the detector's size follows from it. `others` are in the same
    frame, move along, and are in the image as far as they reach.
    """
    world_from_bone = random_pose(rng)
    truth = transformed(bone, world_from_bone)
    views = take_views(
        [truth],
        rng,
        geometry=geometry,
        view_names=view_names,
        physics=physics,
        others=[transformed(other, world_from_bone) for other in others],
    )
    return Trial(truth=truth, world_from_bone=world_from_bone, views=views)


def take_views(
    meshes: Sequence[Mesh],
    rng: Generator,
    *,
    geometry: GeometryKind = "cone",
    view_names: Sequence[str] = ("ap", "lateral"),
    physics: Physics | None = None,
    others: Sequence[Mesh] = (),
    source_detector_mm: float = 1250.0,
    source_object_mm: float = 950.0,
) -> tuple[XrayView, ...]:
    """X-ray meshes that lie about the world's origin [mm], whole in every image.

    `others` are in the image as far as they reach.
    """

    def place(name: str, size_px: tuple[int, int]) -> ConeView | SlotView:
        return standard_views(
            geometry,
            (name,),
            size_px=size_px,
            source_detector_mm=source_detector_mm,
            source_object_mm=source_object_mm,
        )[name]

    points = np.concatenate([mesh.vertices for mesh in meshes]).astype(np.float64)
    views = []
    for name in view_names:
        size_px = _size_to_cover(
            place(name, (1, 1)).project(points), _FILM_SIDE_PX if others else _MIN_SIDE_PX
        )
        view = place(name, size_px)
        pixels = simulate_view(
            [*meshes, *others],
            view,
            size_px=size_px,
            physics=physics,
            seed=int(rng.integers(2**31)),
        )
        views.append(XrayView(name=name, pixels=pixels, geometry=view, polarity="dark_is_dense"))
    return tuple(views)


def _size_to_cover(points_px: F64, min_side_px: int) -> tuple[int, int]:
    """(width, height) of an image about the pixel (0, 0) that shows all of (N, 2) points."""
    size = np.maximum(2 * (np.ceil(np.abs(points_px).max(axis=0)) + _MARGIN_PX), min_side_px)
    width, height = size.astype(int)
    return int(width), int(height)


def simulated_features(
    definition: FeatureDefinition,
    corresponded: Mesh,
    trial: Trial,
    rng: Generator,
    *,
    side: Side,
    noise_px: float = 3.0,
) -> list[Detection]:
    """What a detector with Gaussian errors and no doubt about names would see, one per view.

    Parameters
    ----------
    definition
        Where the features lie on `corresponded`.
    corresponded
        The bone as a right one, in the bone frame [mm].
    """
    flip = np.array([1.0 if side == "right" else -1.0, 1.0, 1.0])
    points = definition.points(corresponded.vertices) * flip
    centers, shapes = definition.ellipsoids(corresponded.vertices)
    rotation, shift = trial.world_from_bone[:3, :3], trial.world_from_bone[:3, 3]
    turn = rotation * flip
    world = _WorldFeatures(
        points=points @ rotation.T + shift,
        centers=centers @ turn.T + shift,
        shapes=turn @ shapes @ turn.T,
        surface=trial.truth.vertices.astype(np.float64),
    )
    return [_detection(definition.bone, world, view, rng, noise_px) for view in trial.views]


@dataclass(frozen=True)
class _WorldFeatures:
    points: F64
    centers: F64
    shapes: F64
    surface: F64


def _detection(
    bone: str, world: _WorldFeatures, view: XrayView, rng: Generator, noise_px: float
) -> Detection:
    points = view.geometry.project(world.points)
    points = points + rng.normal(0.0, noise_px, points.shape)
    inside = _inside(points, view)
    outlines = [
        _noisy_ellipse(view.geometry, center, shape, rng, noise_px)
        for center, shape in zip(world.centers, world.shapes, strict=True)
    ]
    ellipse_centers = np.array([center for center, _ in outlines]).reshape(-1, 2)
    seen = _inside(ellipse_centers, view)
    outline = view.geometry.project(world.surface)
    shapes_px2 = np.array([shape for _, shape in outlines]).reshape(-1, 2, 2)
    return Detection(
        bone=bone,
        box_px=np.concatenate([outline.min(axis=0), outline.max(axis=0)]),
        box_confidence=1.0,
        points_px=points[inside],
        sigma_px=np.full(int(inside.sum()), noise_px),
        class_probability=np.eye(len(points))[inside],
        ellipse_ids=np.flatnonzero(seen).astype(np.int32),
        ellipse_center_px=ellipse_centers[seen],
        ellipse_shape_px2=shapes_px2[seen],
        ellipse_sigma_px=np.full(int(seen.sum()), noise_px),
    )


def _inside(points_px: F64, view: XrayView) -> NDArray[np.bool_]:
    height, width = view.pixels.shape
    inside = (points_px >= 0.0) & (points_px <= [width - 1, height - 1])
    return np.asarray(inside.all(axis=1))


def _noisy_ellipse(
    geometry: ConeView | SlotView, center: F64, shape: F64, rng: Generator, noise_px: float
) -> tuple[F64, F64]:
    """An ellipsoid's outline to first order, J S J^T, with errors of centre and semi-axes."""
    jacobian = geometry.project_jacobian(center)
    values, axes = np.linalg.eigh(jacobian @ shape @ jacobian.T)
    semi_axes = np.sqrt(values) + rng.normal(0.0, noise_px, 2)
    if not np.all(semi_axes > 0.0):
        raise InputError(f"noise_px must be small against the ellipses, found {noise_px}")
    center_px = geometry.project(center[None])[0] + rng.normal(0.0, noise_px, 2)
    return center_px, (axes * np.square(semi_axes)) @ axes.T
