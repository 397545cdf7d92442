"""Parts of the study of automatic starts: what is compared, and how features are spoilt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from corrupt import misnamed, without
from osteoform import Detection, Mesh, load_model
from osteoform._rotation import rotation
from pose_gap import Counterparts, PoseGap

AXIS = np.array([0.0, 0.0, 1.0])


def a_detection(count: int = 10) -> Detection:
    rng = np.random.default_rng(0)
    return replace(
        Detection.empty("femur", count),
        points_px=rng.uniform(0.0, 100.0, (count, 2)),
        sigma_px=rng.uniform(1.0, 2.0, count),
        class_probability=0.9 * np.eye(count),
        ellipse_ids=np.arange(2, dtype=np.int32),
        ellipse_center_px=rng.uniform(0.0, 100.0, (2, 2)),
        ellipse_shape_px2=np.tile(np.eye(2), (2, 1, 1)),
        ellipse_sigma_px=np.ones(2),
    )


def meshed(vertices: np.ndarray) -> Mesh:
    """Triangles anyhow."""
    faces = np.arange(len(vertices) // 3 * 3, dtype=np.int32).reshape(-1, 3)
    return Mesh(vertices=vertices.astype(np.float32), faces=faces)


def gap(bone: str, truth: np.ndarray, pose: np.ndarray, shift=(0.0, 0.0, 0.0)) -> PoseGap:
    found, seen = meshed(truth @ pose.T + shift), np.ones(len(truth), np.bool_)
    return PoseGap.of(bone, found, truth, axis=pose @ AXIS, seen=seen)


def test_swing_and_twist_are_told_apart(rng):
    truth = rng.normal(0.0, [10.0, 10.0, 100.0], (50, 3))
    found = gap("femur", truth, rotation(np.deg2rad([4.0, 0.0, 0.0])))
    assert found.swing_deg == pytest.approx(4.0, abs=1e-3)
    assert found.twist_deg == pytest.approx(0.0, abs=1e-3)
    found = gap("femur", truth, rotation(np.deg2rad([0.0, 0.0, -170.0])))
    assert found.twist_deg == pytest.approx(170.0, abs=1e-3)
    assert found.swing_deg == pytest.approx(0.0, abs=1e-2)
    assert found.rotation_deg == pytest.approx(170.0, abs=1e-3)


def test_a_shift_counts_where_the_bone_is_seen(rng):
    truth = rng.normal(0.0, 50.0, (40, 3))
    found, seen = truth.copy(), np.arange(40) < 20
    found[~seen] += 30.0
    there = PoseGap.of("tibia", meshed(found), truth, axis=AXIS, seen=seen)
    assert there.position_mm < 1e-4
    assert gap("tibia", truth, np.eye(3), (3.0, 0.0, 4.0)).position_mm == pytest.approx(
        5.0, abs=1e-4
    )


def test_what_slides_along_the_surface_is_no_distance_to_it():
    square = np.array([[0.0, 0.0, 0.0], [100.0, 0.0, 0.0], [0.0, 100.0, 0.0]])
    truth = np.array([[10.0, 10.0, 3.0], [30.0, 20.0, 3.0], [20.0, 30.0, 3.0]])
    found = PoseGap.of("tibia", meshed(square), truth, axis=AXIS, seen=np.ones(3, np.bool_))
    assert found.surface_mm == pytest.approx(3.0)
    assert found.position_mm > 10.0


def test_a_twist_spoils_the_alignment_of_bones_that_show_it(rng):
    truth = rng.normal(0.0, [4.0, 4.0, 100.0], (60, 3))
    twisted = rotation(np.deg2rad([0.0, 0.0, 20.0]))
    assert not gap("tibia", truth, twisted).aligned
    assert gap("fibula", truth, twisted).aligned
    assert not gap("fibula", truth, rotation(np.deg2rad([6.0, 0.0, 0.0]))).aligned


def test_a_share_of_the_features_goes():
    whole = a_detection()
    kept = without(whole, 0.4, np.random.default_rng(1))
    assert len(kept.points_px) == len(kept.sigma_px) == len(kept.class_probability) == 6
    assert len(kept.ellipse_ids) == len(kept.ellipse_shape_px2) == 1
    row = whole.points_px.tolist().index(kept.points_px[2].tolist())
    np.testing.assert_array_equal(kept.class_probability[2], whole.class_probability[row])
    np.testing.assert_array_equal(
        without(whole, 0.0, np.random.default_rng(1)).points_px, whole.points_px
    )


def test_names_are_exchanged_and_as_certain_as_before():
    whole = a_detection()
    spoilt = misnamed(whole, 0.3, np.random.default_rng(2))
    wrong = (spoilt.class_probability != whole.class_probability).any(axis=1)
    assert wrong.sum() == 3
    np.testing.assert_array_equal(spoilt.points_px, whole.points_px)
    np.testing.assert_allclose(spoilt.class_probability.sum(axis=0), 0.9)
    np.testing.assert_allclose(spoilt.class_probability.max(axis=1), 0.9)


def test_counterparts_lie_where_the_model_s_vertices_do():
    """A bone of the model itself, moved and turned a little, numbered otherwise."""
    model = load_model(bone="patella")
    order = np.random.default_rng(0).permutation(len(model.mean))
    place = np.argsort(order)
    moved = model.mean.astype(np.float64) @ rotation(np.array([0.1, 0.0, -0.1])).T + [5.0, 80.0, 0]
    mesh = Mesh(vertices=moved[order].astype(np.float32), faces=place[model.faces].astype(np.int32))
    found = Counterparts.of(model, mesh).on(moved[order])
    assert np.linalg.norm(found - moved, axis=1).mean() < 1.0
