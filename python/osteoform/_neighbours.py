"""Where a bone must be, told by the bones it is jointed with.

One view hardly tells depth and tilt. There, bones are compared as that view shows them: where their
rays pass, and how they are turned about them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from osteoform._confidence import UNSURE
from osteoform._core import FitStatus
from osteoform._leg import (
    Joint,
    anatomical_frame,
    has_frame,
    in_world,
    joints,
    mirrored_pose,
    parent_from_child,
    places_in_world,
    points_of,
    size_deviation,
    size_loadings,
    size_mm,
    with_size,
)
from osteoform._result import BoneReconstruction
from osteoform._shape_model import ShapeModel
from osteoform._types import F64, Detection, Side, XrayView

_PLAY_SHARE = 0.4  # the play is two and a half standard deviations
_SURE = 0.95
_MET_BY_CHANCE = 0.2  # how often a wrong bone lies where a joint may have it; an assumption
_FLEXIONS_RAD = np.deg2rad([5.0, 35.0, 65.0, 95.0])


@dataclass(frozen=True, kw_only=True)
class _Placed:
    """Where a bone lies and how long it is; of a left leg, in a mirrored world.

    `beam` (3,) is the direction of the ray that shows it, where a single view does.
    """

    world_from_anatomy: F64 = field(repr=False)
    size_mm: float
    beam: F64 | None


@dataclass(frozen=True, kw_only=True)
class ExpectedBone:
    """A bone of the likeliest shape where its neighbours say it must be.

    Attributes
    ----------
    b, world_from_bone
        (K,); (4, 4) [mm].
    play_mm
        How far it may be from there.
    confidence
        That of the neighbour who says so.
    """

    model: ShapeModel = field(repr=False)
    side: Side
    b: F64 = field(repr=False)
    world_from_bone: F64
    play_mm: float
    confidence: float

    @property
    def sd_mm(self) -> float:
        """Standard deviation of where it is; all its points are off together."""
        return _PLAY_SHARE * self.play_mm

    def box_px(self, view: XrayView) -> F64:
        """(4,) u0, v0, u1, v1 of its image in a view."""
        vertices = self.model.instance(self.b).astype(np.float64)
        at = view.geometry.project(in_world(vertices, self.side, self.world_from_bone))
        return np.concatenate([at.min(axis=0), at.max(axis=0)])

    def detection(self, view: XrayView) -> Detection:
        """What a detector that is off by the play would say of it in a view."""
        empty = Detection.empty(self.model.bone, len(self.model.point_names))
        places = places_in_world(self.model, self.side, self.b, self.world_from_bone)
        at = view.geometry.project(places)
        box = self.box_px(view)
        scale = np.linalg.norm(box[2:] - box[:2]) / np.linalg.norm(np.ptp(self.model.mean, axis=0))
        return replace(
            empty,
            points_px=at,
            sigma_px=np.full(len(at), self.sd_mm * scale),
            class_probability=_SURE * np.eye(len(at)),
        )


def lost_bones(
    found: Mapping[str, BoneReconstruction],
    models: Mapping[str, ShapeModel],
    *,
    side: Side,
    views: Sequence[XrayView] = (),
) -> tuple[str, ...]:
    """Bones that were not found, or hardly, or not where their leg can have them in these views."""
    hardly = [bone for bone, result in found.items() if result.confidence < UNSURE]
    misplaced = misplaced_bones(found, models, side=side, views=views)
    return tuple(bone for bone in found if bone in hardly or bone in misplaced)


def misplaced_bones(
    found: Mapping[str, BoneReconstruction],
    models: Mapping[str, ShapeModel],
    *,
    side: Side,
    views: Sequence[XrayView] = (),
) -> tuple[str, ...]:
    """Bones that cannot be one leg's with those that are likelier right.

    Of all sets of bones that can, the likeliest is kept: what speaks for a bone is its confidence,
    and for two that a joint joins also that they lie as it has them, which by chance they seldom do.
    """
    there = _there(found, models, side, views)
    fits = {
        (joint.parent, bone): _plausible(joint, there[joint.parent], there[bone])
        for bone, joint in joints().items()
        if bone in there and joint.parent in there
    }

    def speaks_for(kept: tuple[str, ...]) -> float:
        inside = [plausible for pair, plausible in fits.items() if set(pair) <= set(kept)]
        if not all(inside):
            return -np.inf
        alone = sum(-np.log1p(-min(found[bone].confidence, _SURE)) for bone in kept)
        return float(alone - len(inside) * np.log(_MET_BY_CHANCE))

    sets = (kept for n in range(len(there) + 1) for kept in combinations(there, n))
    best = max(sets, key=speaks_for)
    return tuple(bone for bone in there if bone not in best)


def expected_bones(
    bone: str,
    found: Mapping[str, BoneReconstruction],
    models: Mapping[str, ShapeModel],
    *,
    side: Side,
    views: Sequence[XrayView] = (),
) -> Iterator[ExpectedBone]:
    """How the neighbours of a bone that were found expect it to lie; most usual flexion first.

    Where the knee's flexion matters and no other bone tells it, there are several.
    """
    model = models[bone]
    lost = (bone, *lost_bones(found, models, side=side, views=views))
    there = _there(found, models, side, views)
    usable = {name: placed for name, placed in there.items() if name not in lost}
    for joint in joints().values() if has_frame(model) else ():
        other = {joint.bone: joint.parent, joint.parent: joint.bone}.get(bone)
        if other is None or other not in usable:
            continue
        b = _expected_shape(model, models[other], found[other].b)
        points = points_of(model, b)
        parent_size = usable[other].size_mm if bone == joint.bone else size_mm(bone, points)
        for flexion in _flexions(joint, usable):
            relative = parent_from_child(joint, parent_size, flexion_rad=flexion)
            if other == joint.bone:
                relative = np.asarray(np.linalg.inv(relative), np.float64)
            pose = usable[other].world_from_anatomy @ relative
            world_from_bone = pose @ np.linalg.inv(anatomical_frame(bone, points))
            yield ExpectedBone(
                model=model,
                side=side,
                b=b,
                world_from_bone=mirrored_pose(np.asarray(world_from_bone), side),
                play_mm=joint.play_mm,
                confidence=found[other].confidence,
            )


def _expected_shape(model: ShapeModel, other: ShapeModel, other_b: F64) -> F64:
    """The mean bone of the size that goes with its neighbour's."""
    correlation = size_loadings()[model.bone] * size_loadings()[other.bone]
    deviation = correlation * size_deviation(other, other_b)
    return with_size(model, np.zeros(model.num_modes), deviation)


def _flexions(joint: Joint, usable: Mapping[str, _Placed]) -> tuple[float, ...]:
    if joint.flexion_share == 0.0:
        return (0.0,)
    if {"femur", "tibia"} <= usable.keys():
        return (_flexion(usable["femur"], usable["tibia"]),)
    return tuple(_FLEXIONS_RAD)


def _flexion(femur: _Placed, tibia: _Placed) -> float:
    """Turn of the tibia about the femur's x axis [rad]."""
    z_in_femur = femur.world_from_anatomy[:3, :3].T @ tibia.world_from_anatomy[:3, 2]
    straight = parent_from_child(joints()["tibia"], femur.size_mm)[:3, 2]
    angle = np.arctan2(-z_in_femur[1], z_in_femur[2]) - np.arctan2(-straight[1], straight[2])
    return float(angle)


def _plausible(joint: Joint, parent: _Placed, child: _Placed) -> bool:
    """Whether two bones are within the joint's play of where the leg has them."""
    flexions: tuple[float, ...] = (0.0,)
    if joint.bone == "tibia":
        flexions = (_flexion(parent, child),)
    elif joint.flexion_share > 0.0:
        flexions = tuple(np.deg2rad(np.arange(0.0, 140.0, 10.0)))
    return any(_within(joint, parent, child, flexion) for flexion in flexions)


def _within(joint: Joint, parent: _Placed, child: _Placed, flexion_rad: float) -> bool:
    relative = parent_from_child(joint, parent.size_mm, flexion_rad=flexion_rad)
    wanted, actual = parent.world_from_anatomy @ relative, child.world_from_anatomy
    gap = actual[:3, 3] - wanted[:3, 3]
    if child.beam is not None:
        gap = gap - (gap @ child.beam) * child.beam
    angle = _angle(actual[:3, :3] @ wanted[:3, :3].T, child.beam)
    near = float(np.linalg.norm(gap)) <= joint.play_mm
    return near and float(np.rad2deg(angle)) <= joint.play_deg


def _angle(turn: F64, about: F64 | None) -> float:
    """Angle [rad] of a rotation (3, 3), or of its part (the twist) about a unit vector (3,)."""
    trace = float(np.trace(turn))
    if about is None:
        return float(np.arccos(np.clip((trace - 1.0) / 2.0, -1.0, 1.0)))
    skew = (turn - turn.T)[[2, 0, 1], [1, 2, 0]]
    return float(2.0 * abs(np.arctan2(about @ skew, 1.0 + trace)))


def _there(
    found: Mapping[str, BoneReconstruction],
    models: Mapping[str, ShapeModel],
    side: Side,
    views: Sequence[XrayView],
) -> dict[str, _Placed]:
    """Bones that were found, of models that can be jointed."""
    return {
        bone: _placed(result, models[bone], side, views)
        for bone, result in found.items()
        if result.status is not FitStatus.NOT_FOUND and has_frame(models[bone])
    }


def _placed(
    result: BoneReconstruction, model: ShapeModel, side: Side, views: Sequence[XrayView]
) -> _Placed:
    points = points_of(model, result.b)
    frame = anatomical_frame(model.bone, points)
    beam = None
    if len(views) == 1:
        beam = views[0].geometry.rays((result.world_from_bone @ frame)[None, :3, 3])[0]
        beam = beam * [-1.0 if side == "left" else 1.0, 1.0, 1.0] / np.linalg.norm(beam)
    return _Placed(
        world_from_anatomy=mirrored_pose(result.world_from_bone, side) @ frame,
        size_mm=size_mm(model.bone, points),
        beam=beam,
    )
