"""The bones of one leg: where joints put them, and what neighbours say of a lost bone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

import osteoform
from implant_pose import zero_mode_model_of
from osteoform._confidence import Evidence, probability_right
from osteoform._core import FitStatus
from osteoform._fit_bones import BoneFitter
from osteoform._leg import (
    anatomical_frame,
    joints,
    leg_poses,
    points_of,
    size_deviation,
    size_loadings,
    size_mm,
    with_size,
)
from osteoform._neighbours import expected_bones, lost_bones, misplaced_bones
from osteoform._reconstruct import _Fits
from osteoform._result import BoneReconstruction
from osteoform._rotation import rotation
from osteoform._second_look import _as_told
from osteoform._shape_model import ShapeModel
from osteoform._trial import simulate_trial
from osteoform._types import BONES, F64, Detection, Mesh, Side, XrayView
from osteoform.demo import demonstrate

MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def models() -> dict[str, ShapeModel]:
    return {bone: osteoform.load_model(bone=bone) for bone in BONES}


def found_leg(
    models: Mapping[str, ShapeModel], *, side: Side, flexion_deg: float
) -> dict[str, BoneReconstruction]:
    """A leg of mean bones somewhere in the world, as if it had been reconstructed."""
    shapes = {bone: np.zeros(model.num_modes) for bone, model in models.items()}
    poses = leg_poses(models, shapes, flexion_rad=np.deg2rad(flexion_deg))
    world = np.eye(4)
    world[:3, :3] = rotation(np.array([0.2, -0.3, 0.4]))
    world[:3, 3] = 12.0, -40.0, 300.0
    if side == "left":
        poses = {bone: MIRROR @ pose @ MIRROR for bone, pose in poses.items()}
    return {bone: _found(models[bone], world @ pose, side) for bone, pose in poses.items()}


def _found(model: ShapeModel, pose: F64, side: Side) -> BoneReconstruction:
    return BoneReconstruction(
        bone=model.bone,
        side=side,
        status=FitStatus.CONVERGED,
        confidence=0.8,
        evidence=Evidence(
            num_views=2,
            found=0.9,
            rms_mm=0.5,
            uneven_mm=0.0,
            shape=0.0,
            start=1.0,
            features=0.9,
            seen=1.0,
        ),
        mesh=Mesh(vertices=model.mean, faces=model.faces),
        world_from_bone=pose,
        b=np.zeros(model.num_modes),
        vertex_sd_mm=np.zeros(0, np.float32),
        corrections=np.zeros((0, 6)),
        boundary_rms_mm=0.5,
        boundary_found=0.9,
        match_quality=1.0,
        num_matched=10.0,
        iterations=5,
        detections=(Detection.empty(model.bone, len(model.point_names)),),
        rims=(),
        boundary_px=(),
    )


def _view_from_front(found: Mapping[str, BoneReconstruction]) -> XrayView:
    """An empty image of wherever the leg is."""
    middle = np.mean([bone.world_from_bone[:3, 3] for bone in found.values()], axis=0)
    geometry = osteoform.standard_views("cone", ("ap",), center=middle)["ap"]
    return XrayView(name="ap", pixels=np.zeros((64, 64), np.float32), geometry=geometry)


def test_a_straight_leg_stands_as_legs_do(models: dict[str, ShapeModel]) -> None:
    shapes = {bone: np.zeros(model.num_modes) for bone, model in models.items()}
    poses = leg_poses(models, shapes)
    surface = {b: m.mean @ poses[b][:3, :3].T + poses[b][:3, 3] for b, m in models.items()}
    gap = surface["femur"][:, 2].min() - np.percentile(surface["tibia"][:, 2], 99.5)
    assert -6.0 < gap < 8.0  # the spines reach into the notch
    assert surface["fibula"][:, 0].mean() < surface["tibia"][:, 0].mean()
    assert surface["patella"][:, 1].max() < surface["femur"][:, 1].mean()
    assert surface["fibula"][:, 2].min() < surface["tibia"][:, 2].min() + 5.0


def test_bending_the_knee_turns_the_shank_backwards(models: dict[str, ShapeModel]) -> None:
    shapes = {bone: np.zeros(model.num_modes) for bone, model in models.items()}
    straight = leg_poses(models, shapes)["tibia"]
    bent = leg_poses(models, shapes, flexion_rad=np.pi / 2)["tibia"]
    assert bent[1, 3] > straight[1, 3] + 100.0
    turn = bent[:3, :3] @ straight[:3, :3].T
    assert np.rad2deg(np.arccos((np.trace(turn) - 1) / 2)) == pytest.approx(90.0, abs=1e-6)


def test_a_bone_of_a_wanted_size_has_it(models: dict[str, ShapeModel]) -> None:
    model = models["tibia"]
    b = np.random.default_rng(3).standard_normal(model.num_modes)
    large = with_size(model, b, 1.5)
    assert size_deviation(model, large) == pytest.approx(1.5)
    assert size_deviation(model, large) - size_deviation(model, b) != 0.0
    assert size_mm("tibia", points_of(model, large)) > size_mm(
        "tibia", points_of(model, with_size(model, b, -1.5))
    )
    assert set(size_loadings()) == set(BONES)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("lost", BONES)
@pytest.mark.parametrize("flexion_deg", [3.0, 50.0])
def test_neighbours_tell_where_a_lost_bone_is(
    models: dict[str, ShapeModel], side: Side, lost: str, flexion_deg: float
) -> None:
    found = found_leg(models, side=side, flexion_deg=flexion_deg)
    assert lost_bones(found, models, side=side) == ()
    truth = found[lost].world_from_bone
    found[lost] = replace(found[lost], world_from_bone=np.eye(4)).rejected()
    assert lost_bones(found, models, side=side) == (lost,)
    expected = list(expected_bones(lost, found, models, side=side))
    off = [np.linalg.norm(e.world_from_bone[:3, 3] - truth[:3, 3]) for e in expected]
    told = lost in ("fibula", "patella") or flexion_deg < 10  # the hip tells no flexion
    assert min(off) < (10.0 if told else 60.0)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_bone_where_it_cannot_be_is_misplaced(models: dict[str, ShapeModel], side: Side) -> None:
    found = found_leg(models, side=side, flexion_deg=20.0)
    moved = found["fibula"].world_from_bone.copy()
    moved[:3, 3] += 30.0
    found["fibula"] = replace(found["fibula"], world_from_bone=moved, confidence=0.45)
    assert misplaced_bones(found, models, side=side) == ("fibula",)
    # The less confident yields.
    found["fibula"] = replace(found["fibula"], confidence=0.7)
    found["tibia"] = replace(found["tibia"], confidence=0.6)
    pair = {bone: found[bone] for bone in ("tibia", "fibula")}
    assert misplaced_bones(pair, models, side=side) == ("tibia",)
    # But the femur and the patella vouch for this one.
    assert misplaced_bones(found, models, side=side) == ("fibula",)


def test_what_a_neighbour_tells_is_worth_what_the_neighbour_is(
    models: dict[str, ShapeModel],
) -> None:
    """Many points that are off together do not make a start certain."""
    found = found_leg(models, side="right", flexion_deg=20.0)
    told_by = next(iter(expected_bones("fibula", found, models, side="right")))
    fit = replace(found["fibula"], evidence=replace(found["fibula"].evidence, start=0.3))
    views = [_view_from_front(found)]
    fitter = cast(BoneFitter, SimpleNamespace(side="right", views=views))
    told = _as_told(fit, told_by, fit, fitter)
    assert told.evidence.features == fit.evidence.features
    assert told.evidence.start == pytest.approx(np.log(told_by.sd_mm))
    assert told.confidence == pytest.approx(
        told_by.confidence * probability_right("fibula", told.evidence)
    )
    open_start = replace(fit, evidence=replace(fit.evidence, start=2.9))
    assert _as_told(open_start, told_by, fit, fitter).evidence.start == 2.9
    assert _as_told(fit.rejected(), told_by, fit, fitter).confidence == 0.0


@pytest.mark.parametrize(("likely", "worth"), [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)])
def test_what_a_neighbour_tells_must_meet_features_that_are_likely_right(
    models: dict[str, ShapeModel], likely: float, worth: float
) -> None:
    found = found_leg(models, side="right", flexion_deg=20.0)
    told_by = next(iter(expected_bones("tibia", found, models, side="right")))
    view = _view_from_front(found)
    fitter = cast(BoneFitter, SimpleNamespace(side="right", views=[view]))
    tibia, pose = found["tibia"], found["tibia"].world_from_bone.copy()
    pose[:3, 3] += [0.0, 0.0, 400.0]
    elsewhere = replace(tibia, world_from_bone=pose)
    seen = replace(told_by, world_from_bone=tibia.world_from_bone, b=tibia.b).detection(view)
    seen = replace(seen, sigma_px=np.full(len(seen.points_px), 2.0))
    before = replace(tibia, detections=(seen,), confidence=likely)
    features = _as_told(elsewhere, told_by, before, fitter).evidence.features
    assert features == pytest.approx(worth * tibia.evidence.features, abs=1e-3)
    there = _as_told(tibia, told_by, before, fitter).evidence.features
    assert there == pytest.approx(tibia.evidence.features)


def test_two_doubtful_bones_do_not_outvote_a_sure_one(models: dict[str, ShapeModel]) -> None:
    found = found_leg(models, side="right", flexion_deg=20.0)
    for bone, confidence in (("femur", 0.33), ("patella", 0.4), ("tibia", 0.96), ("fibula", 0.7)):
        pose = found[bone].world_from_bone.copy()
        pose[:3, 3] += 80.0 if bone in ("femur", "patella") else 0.0
        found[bone] = replace(found[bone], world_from_bone=pose, confidence=confidence)
    assert misplaced_bones(found, models, side="right") == ("femur",)


@pytest.mark.parametrize("side", ["left", "right"])
def test_with_one_view_bones_may_differ_in_what_it_does_not_show(
    models: dict[str, ShapeModel], side: Side
) -> None:
    found = found_leg(models, side=side, flexion_deg=20.0)
    middle = found["tibia"].world_from_bone[:3, 3]
    lone, *_ = views = [
        osteoform.XrayView(name=name, pixels=np.zeros((64, 64), np.float32), geometry=geometry)
        for name, geometry in osteoform.standard_views(
            "cone", ("ap", "lateral"), center=middle
        ).items()
    ]
    pose = found["fibula"].world_from_bone
    model, mirror = models["fibula"], [-1.0 if side == "left" else 1.0, 1.0, 1.0]
    tip = points_of(model, found["fibula"].b)["fibular_head_tip"]
    head = pose[:3, :3] @ (tip * mirror) + pose[:3, 3]
    beam = lone.geometry.rays(head[None])[0]
    across = np.cross(beam, [0.0, 0.0, 1.0])
    for turn, along, misplaced in (
        (np.zeros(3), 0.1 * beam, False),
        (np.zeros(3), 60.0 * across / np.linalg.norm(across), True),
        (across, np.zeros(3), False),
        (beam, np.zeros(3), True),
    ):
        moved = pose.copy()
        turned = 0.6 * turn / max(float(np.linalg.norm(turn)), 1e-9)
        moved[:3] = rotation(turned) @ pose[:3]
        moved[:3, 3] += along + head - rotation(turned) @ head
        leg = found | {"fibula": replace(found["fibula"], world_from_bone=moved, confidence=0.45)}
        assert bool(misplaced_bones(leg, models, side=side, views=[lone])) is misplaced
        assert misplaced_bones(leg, models, side=side, views=views) == ("fibula",)


def test_an_expected_bone_lies_in_its_box(models: dict[str, ShapeModel]) -> None:
    found = found_leg(models, side="left", flexion_deg=5.0)
    view = osteoform.XrayView(
        name="ap",
        pixels=np.zeros((64, 64), np.float32),
        geometry=osteoform.standard_views(
            "cone", ("ap",), center=found["tibia"].world_from_bone[:3, 3]
        )["ap"],
    )
    found["fibula"] = found["fibula"].rejected()
    [expected] = expected_bones("fibula", found, models, side="left")
    box, seen = expected.box_px(view), expected.detection(view)
    assert (seen.points_px >= box[:2] - 1.0).all()
    assert (seen.points_px <= box[2:] + 1.0).all()
    assert (seen.sigma_px > 1.0).all()


def test_frames_do_not_depend_on_the_model_s_axes(models: dict[str, ShapeModel]) -> None:
    points = points_of(models["femur"], np.zeros(models["femur"].num_modes))
    turn = rotation(np.array([0.1, 0.2, -0.3]))
    turned = {name: turn @ point + 5.0 for name, point in points.items()}
    frame = anatomical_frame("femur", turned)
    np.testing.assert_allclose(
        frame[:3, :3], turn @ anatomical_frame("femur", points)[:3, :3], atol=1e-12
    )
    assert set(joints()) | {"femur"} == set(BONES)


def test_a_whole_leg_comes_back(models: dict[str, ShapeModel]) -> None:
    pytest.importorskip("onnxruntime")
    shown = demonstrate(models, side="right", seed=5)
    for bone, truth in shown.truth.items():
        result = shown.reconstruction.bones[bone]
        assert result.status is not FitStatus.NOT_FOUND, bone
        assert truth.error.mean_mm < 2.5, bone


def test_a_rigid_shape_without_features_is_fitted_from_a_start_beside_bones_that_have_them():
    """As an implant is: nothing says how it is jointed, and it has no feature point to meet."""
    patella = osteoform.load_model(bone="patella")
    rigid = zero_mode_model_of(patella.mean, patella.faces, bone="patella")
    trial = simulate_trial(
        Mesh(vertices=patella.mean, faces=patella.faces), np.random.default_rng(3)
    )
    unseen = Detection.empty("femur", len(osteoform.load_model(bone="femur").point_names))
    start = trial.world_from_bone.copy()
    start[:3, 3] += [1.0, -1.0, 1.0]
    found = osteoform.reconstruct(
        trial.views,
        side="right",
        bones=("femur", "patella"),
        models={"patella": rigid},
        features={"femur": [unseen] * 2},
        starts={"patella": start},
    ).bones
    assert found["femur"].status is FitStatus.NOT_FOUND
    fitted = found["patella"]
    assert fitted.status is not FitStatus.NOT_FOUND
    assert np.linalg.norm(fitted.world_from_bone[:3, 3] - trial.world_from_bone[:3, 3]) < 0.5
    assert fitted.evidence.features == 1.0


@pytest.fixture(scope="module")
def left_leg(models) -> list[XrayView]:
    return list(demonstrate(models, side="left", seed=0).views)


def test_the_side_of_a_leg_is_found_out(left_leg):
    known = osteoform.reconstruct(left_leg, side="left")
    asked = osteoform.reconstruct(left_leg, side=None)
    assert asked.side == "left"
    for bone, found in known.bones.items():
        np.testing.assert_array_equal(asked.bones[bone].mesh.vertices, found.mesh.vertices)
        assert asked.bones[bone].confidence == found.confidence
    assert asked.timings_ms["fit"] > 0.0


def test_the_side_is_the_one_whose_bones_explain_more_of_what_is_detected():
    """Small bones that look alike on either side do not outvote a large one that does not."""

    def fits(*bones: tuple[float, float]) -> _Fits:
        found = {
            str(k): SimpleNamespace(confidence=confidence, match_quality=0.9, num_matched=matched)
            for k, (confidence, matched) in enumerate(bones)
        }
        return _Fits(found=cast("dict[str, BoneReconstruction]", found), fitter=None, reader=None)

    right, wrong = (
        fits((0.9, 35.0), (0.0, 5.0), (0.2, 5.0)),
        fits((0.6, 30.0), (0.4, 6.0), (0.4, 5.0)),
    )
    assert right.explained > wrong.explained
    without_features = fits((0.8, 0.0)), fits((0.7, 0.0))
    assert without_features[0].explained > without_features[1].explained > 0.0
