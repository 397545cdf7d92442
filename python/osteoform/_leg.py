"""The bones of one leg together: how big, and where one lies when another is known.

Every bone carries an anatomical frame that its feature points make, so that bones of any model can
be jointed: x medial, y posterior, z proximal of the right leg. Left legs are mirrored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.random import Generator

from osteoform._rotation import rotation
from osteoform._shape_model import ShapeModel
from osteoform._tables import shipped_table
from osteoform._types import F64, Side

_MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
_FLEXION_DEG = (0.0, 20.0)
# Origin: the middle of these points; the far end of the z axis; x along the last pair.
_FRAMES: dict[str, tuple[tuple[str, ...], str, tuple[str, str] | None]] = {
    "femur": (
        ("medial_condyle_center", "lateral_condyle_center"),
        "femoral_head_center",
        ("lateral_condyle_center", "medial_condyle_center"),
    ),
    "tibia": (
        ("medial_plateau_center", "lateral_plateau_center"),
        "plafond_center",
        ("lateral_plateau_center", "medial_plateau_center"),
    ),
    "fibula": (("fibular_head_tip",), "lateral_malleolus_tip", None),
    "patella": (("patella_center",), "inferior_pole", ("lateral_edge", "medial_edge")),
}


@dataclass(frozen=True, kw_only=True)
class Joint:
    """Where a bone lies in the anatomical frame of its neighbour, knee straight.

    Attributes
    ----------
    offset_mm
        (3,) of its origin, for a neighbour of `parent_size_mm`; grows with the neighbour.
    rotation_deg
        (3,) rotation vector of its axes.
    flexion_share
        Part of the knee's flexion that it follows, about the femur's x axis.
    play_mm, play_deg
        How far bones of real legs may be from this.
    """

    bone: str
    parent: str
    offset_mm: F64
    rotation_deg: F64
    parent_size_mm: float
    flexion_share: float
    play_mm: float
    play_deg: float


@cache
def joints() -> dict[str, Joint]:
    """The joints of the leg, by the bone that hangs on them."""
    return {bone: _joint(bone, row) for bone, row in shipped_table("leg")["joint"].items()}


def _joint(bone: str, row: Mapping[str, Any]) -> Joint:
    values = {
        name: np.array(value, dtype=np.float64) if isinstance(value, list) else value
        for name, value in row.items()
        if name != "source"
    }
    return Joint(bone=bone, **values)  # type: ignore[arg-type]


@cache
def size_loadings() -> dict[str, float]:
    """Correlation of each bone's size with the common size of the leg."""
    return {
        bone: float(row) for bone, row in shipped_table("leg")["size"].items() if bone != "source"
    }


@cache
def standing_turns() -> dict[str, F64]:
    """Rotations (3, 3) of bones' anatomical frames in the axes of a leg that stands."""
    turns = {b: row for b, row in shipped_table("leg")["standing"].items() if b != "source"}
    return {bone: rotation(np.deg2rad(row)) for bone, row in turns.items()}


def points_of(model: ShapeModel, b: F64) -> dict[str, F64]:
    """Feature points (3,) [mm] of a bone of this shape, by name, in the model's axes."""
    return dict(zip(model.point_names, _places_of(model, b), strict=True))


def _places_of(model: ShapeModel, b: F64) -> F64:
    return np.asarray(model.point_mean + np.tensordot(b, model.point_modes, 1))


def in_world(points: F64, side: Side, world_from_bone: F64) -> F64:
    """Points (N, 3) of a right bone as those of the bone on its side, in the world [mm]."""
    own = points * [-1.0, 1.0, 1.0] if side == "left" else points
    return np.asarray(own @ world_from_bone[:3, :3].T + world_from_bone[:3, 3])


def places_in_world(model: ShapeModel, side: Side, b: F64, world_from_bone: F64) -> F64:
    """A bone's feature points (F, 3) in the world [mm], in the model's order; it may have none.

    `b` may hold the first coefficients only.
    """
    every = np.zeros(model.num_modes)
    every[: len(b)] = b
    return in_world(_places_of(model, every), side, world_from_bone)


def points_in_world(model: ShapeModel, side: Side, b: F64, world_from_bone: F64) -> dict[str, F64]:
    """The same (3,) by name."""
    places = places_in_world(model, side, b, world_from_bone)
    return dict(zip(model.point_names, places, strict=True))


def has_frame(model: ShapeModel) -> bool:
    """Whether a model has the points that make an anatomical frame; without, nothing joints it."""
    middle, end, across = _FRAMES[model.bone]
    return {*middle, end, *(across or ())} <= set(model.point_names)


def anatomical_frame(bone: str, points: Mapping[str, F64]) -> F64:
    """(4, 4) [mm] of a right bone from its feature points (3,) by name.

    The fibula has none beside its axis: its x is the frame's in which the points are given.
    """
    across = _FRAMES[bone][2]
    origin, end = _ends(bone, points)
    z = (end - origin if bone == "femur" else origin - end) / np.linalg.norm(end - origin)
    x = np.array([1.0, 0.0, 0.0]) if across is None else points[across[1]] - points[across[0]]
    x = x - (x @ z) * z
    x = x / np.linalg.norm(x)
    frame = np.eye(4)
    frame[:3, :3] = np.column_stack([x, np.cross(z, x), z])
    frame[:3, 3] = origin
    return frame


def size_mm(bone: str, points: Mapping[str, F64]) -> float:
    """Distance between the two ends of a bone's z axis."""
    origin, end = _ends(bone, points)
    return float(np.linalg.norm(origin - end))


def _ends(bone: str, points: Mapping[str, F64]) -> tuple[F64, F64]:
    """Origin and far end (3,) of a bone's z axis: the far end is below, the femur's above."""
    middle, end, _ = _FRAMES[bone]
    return np.asarray(np.mean([points[name] for name in middle], axis=0)), points[end]


def parent_from_child(joint: Joint, parent_size_mm: float, *, flexion_rad: float = 0.0) -> F64:
    """(4, 4) [mm]: the parent's anatomical frame from that of the bone that hangs on it."""
    pose, bent = np.eye(4), np.eye(4)
    pose[:3, :3] = rotation(np.deg2rad(joint.rotation_deg))
    pose[:3, 3] = joint.offset_mm * parent_size_mm / joint.parent_size_mm
    bent[:3, :3] = rotation(np.array([joint.flexion_share * flexion_rad, 0.0, 0.0]))
    return np.asarray(bent @ pose)


def leg_poses(
    models: Mapping[str, ShapeModel],
    shapes: Mapping[str, F64],
    *,
    flexion_rad: float = 0.0,
    play: Mapping[str, F64] | None = None,
) -> dict[str, F64]:
    """Pose (4, 4) [mm] of each bone of a right leg; the femur's anatomical frame is the world.

    Parameters
    ----------
    models, shapes
        Femur, tibia, fibula and patella, and their coefficients (K,).
    play
        Per bone a small motion (4, 4) of its anatomical frame at its joint.
    """
    anatomy, world_from_bone = {"femur": np.eye(4)}, {}
    points = {bone: points_of(model, shapes[bone]) for bone, model in models.items()}
    for bone, joint in joints().items():  # parents come first
        size = size_mm(joint.parent, points[joint.parent])
        relative = parent_from_child(joint, size, flexion_rad=flexion_rad)
        anatomy[bone] = anatomy[joint.parent] @ relative @ (play or {}).get(bone, np.eye(4))
    for bone, pose in anatomy.items():
        world_from_bone[bone] = pose @ np.linalg.inv(anatomical_frame(bone, points[bone]))
    return world_from_bone


def with_size(model: ShapeModel, b: F64, deviation: float) -> F64:
    """The shape nearest to `b` (K,) whose size is so many standard deviations above the mean."""
    slope = _size_slope(model)
    slope /= np.linalg.norm(slope)
    return np.asarray(b + (deviation - slope @ b) * slope)


def size_deviation(model: ShapeModel, b: F64) -> float:
    """How many of the model's standard deviations the size of a shape (K,) is above the mean."""
    slope = _size_slope(model)
    return float(slope @ b / np.linalg.norm(slope))


def _size_slope(model: ShapeModel) -> F64:
    """(K,) derivative of the size [mm] by the coefficients; kernel modes do not count."""
    slope = np.zeros(model.num_modes)
    for k in range(model.num_pca):
        step = np.zeros(model.num_modes)
        step[k] = 0.5
        ahead, behind = (size_mm(model.bone, points_of(model, s * step)) for s in (1.0, -1.0))
        slope[k] = ahead - behind
    return slope


def mirrored_pose(world_from_bone: F64, side: Side) -> F64:
    """The pose of a left bone as that of the right one in a mirrored world, and back."""
    return world_from_bone if side == "right" else np.asarray(_MIRROR @ world_from_bone @ _MIRROR)


def draw_flexion_rad(rng: Generator) -> float:
    """Flexion of the knee of somebody who stands or lies."""
    return float(np.deg2rad(rng.uniform(*_FLEXION_DEG)))
