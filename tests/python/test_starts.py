"""Parts of the study of automatic starts: what is compared, and how features are spoilt."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from answers import Answer, by_outline
from corrupt import misnamed, without
from osteoform import Detection, Mesh, XrayView, load_model, standard_views
from osteoform._core import ConeView, closest_points
from osteoform._leg import points_of
from osteoform._rotation import rotation
from osteoform.modeling.procrustes import rigid_transform
from osteoform.simulate import simulate_view
from outline import outline_shown
from pose_gap import Counterparts, PoseGap
from shown import Shown

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


def a_bone(name: str = "femur") -> Mesh:
    model = load_model(bone=name)
    return Mesh(vertices=model.mean, faces=model.faces)


def gap(bone: Mesh, pose: np.ndarray, shift=(0.0, 0.0, 0.0), *, name="femur", seen=None) -> PoseGap:
    """Of a bone moved from where it truly is."""
    truth = bone.vertices.astype(np.float64)
    found = Mesh(vertices=(truth @ pose.T + shift).astype(np.float32), faces=bone.faces)
    seen = np.ones(len(truth), np.bool_) if seen is None else seen
    return PoseGap.of(name, found, truth, axis=pose @ AXIS, seen=seen)


def turned(*degrees: float) -> np.ndarray:
    return rotation(np.deg2rad(degrees))


def test_swing_and_twist_are_told_apart():
    found = gap(a_bone(), turned(4.0, 0.0, 0.0))
    assert found.swing_deg == pytest.approx(4.0, abs=1e-2)
    assert found.twist_deg == pytest.approx(0.0, abs=1e-2)
    found = gap(a_bone(), turned(0.0, 0.0, -170.0))
    assert found.twist_deg == pytest.approx(170.0, abs=1e-2)
    assert found.swing_deg == pytest.approx(0.0, abs=1e-2)
    assert found.rotation_deg == pytest.approx(170.0, abs=1e-2)


def test_a_shift_counts_where_the_bone_is_seen():
    bone = a_bone()
    there = gap(bone, np.eye(3), (3.0, 0.0, 4.0))
    assert there.shift_mm == pytest.approx(5.0, abs=1e-2)
    assert there.position_mm == pytest.approx(5.0, abs=1e-4)
    seen = bone.vertices[:, 2] < np.percentile(bone.vertices[:, 2], 40)
    bent = bone.vertices.copy()
    bent[bone.vertices[:, 2] > 0.0] += 30.0
    truth = bone.vertices.astype(np.float64)
    found = Mesh(vertices=bent, faces=bone.faces)
    unseen = PoseGap.of("femur", found, truth, axis=AXIS, seen=seen)
    assert max(unseen.shift_mm, unseen.position_mm, unseen.surface_mm) < 1e-3


def test_vertices_that_slide_along_the_surface_do_not_turn_the_bone():
    """A twist of the counterparts about the shaft, which stay on the surface."""
    bone = a_bone("tibia")
    slid, _, _ = closest_points(
        points=bone.vertices @ turned(0.0, 0.0, 6.0).T, vertices=bone.vertices, faces=bone.faces
    )
    seen = np.ones(len(slid), np.bool_)
    found = PoseGap.of("tibia", bone, slid, axis=AXIS, seen=seen)
    met = rigid_transform(slid, bone.vertices.astype(np.float64))
    assert np.rad2deg(Rotation.from_matrix(met[:3, :3]).magnitude()) > 1.5
    assert found.rotation_deg < 0.1
    assert found.position_mm > 1.0


def test_a_bone_upside_down_is_not_aligned_however_well_it_lies():
    found = gap(a_bone("patella"), turned(0.0, 175.0, 0.0), name="patella")
    assert found.swing_deg > 150.0
    assert not found.aligned


def test_a_patella_tilted_within_its_surface_is_aligned():
    patella = a_bone("patella")
    tilted = gap(patella, turned(8.0, 0.0, 0.0), name="patella")
    assert tilted.turn_deg > 5.0
    assert tilted.aligned == (tilted.surface_mm <= 1.7)
    assert tilted.aligned
    far = gap(patella, turned(30.0, 0.0, 0.0), name="patella")
    assert far.rotation_deg < 45.0
    assert not far.aligned


def test_a_twist_spoils_the_alignment_of_bones_that_show_it():
    assert not gap(a_bone("tibia"), turned(0.0, 0.0, 20.0), name="tibia").aligned
    fibula = a_bone("fibula")
    assert gap(fibula, turned(0.0, 0.0, 20.0), name="fibula").aligned
    assert not gap(fibula, turned(6.0, 0.0, 0.0), name="fibula").aligned
    assert gap(fibula, turned(6.0, 0.0, 0.0), name="fibula").within(2.0)


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


class PlacedBone:
    """What a comparison asks of a result: the mean bone moved by a shift [mm]."""

    side = "right"

    def __init__(self, shift_mm: np.ndarray) -> None:
        model = load_model(bone="patella")
        self.b = np.zeros(model.num_modes)
        self.world_from_bone = np.eye(4)
        self.world_from_bone[:3, 3] = shift_mm
        vertices = model.mean + shift_mm.astype(np.float32)
        self.mesh = Mesh(vertices=vertices, faces=model.faces)


@pytest.mark.parametrize("enlarged", [1, 2])
def test_points_count_in_pixels_of_an_image_of_512_and_boxes_by_their_overlap(enlarged):
    """10 mm aside, where such an image has 2 pixels per millimetre."""
    model = load_model(bone="patella")
    rows, columns = 300 * enlarged, 512 * enlarged
    focal = 1000.0 * enlarged
    K = np.array([[focal, 0.0, columns / 2], [0.0, focal, rows / 2], [0.0, 0.0, 1.0]])
    half_a_metre_away = np.eye(4)
    half_a_metre_away[2, 3] = 500.0
    view = XrayView(
        name="ap",
        pixels=np.zeros((rows, columns), np.float32),
        geometry=ConeView(K=K, view_from_world=half_a_metre_away),
        polarity="dark_is_dense",
    )
    points = np.stack(list(points_of(model, np.zeros(model.num_modes)).values()))
    in_view = np.ones(len(points), np.bool_)
    in_view[0] = False

    def shown(shift_mm: float) -> Shown:
        return Shown.of(
            PlacedBone(np.array([shift_mm, 0.0, 0.0])),
            model,
            view,
            points=points,
            in_view=in_view,
            vertices=model.mean.astype(np.float64),
        )

    there, aside = shown(0.0), shown(10.0)
    assert len(there.points_px) == len(points) - 1
    np.testing.assert_allclose(there.points_px, 0.0, atol=1e-6)
    assert there.box_iou == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(aside.points_px, 20.0, rtol=0.1)
    width = np.ptp(model.mean[:, 0])
    assert aside.box_iou == pytest.approx((width - 10.0) / (width + 10.0), abs=0.03)


def test_an_outline_shows_as_far_as_the_image_has_edges_where_the_collimator_is_open():
    bone = a_bone("patella")
    geometry = standard_views("cone", ("ap",), size_px=(256, 256))["ap"]
    xray = simulate_view([bone], geometry, size_px=(256, 256), soft=())
    truth = bone.vertices.astype(np.float64)

    def outline(pixels: np.ndarray, in_field: np.ndarray) -> float:
        view = XrayView(name="ap", pixels=pixels, geometry=geometry, polarity="dark_is_dense")
        return outline_shown(view, in_field, truth, bone.faces)

    every, none = np.ones((256, 256), np.bool_), np.zeros((256, 256), np.bool_)
    assert outline(xray, every) > 0.95
    assert outline(np.full_like(xray, 0.5), every) == 0.0
    assert outline(xray, none) == 0.0
    half = np.where(np.arange(256) < 128, xray, xray.max())
    assert 0.3 < outline(half, every) < 0.7
    assert outline(half, every & (np.arange(256) < 126)) > 0.95


def test_bones_are_counted_by_what_shows_of_their_outlines():
    """One whose outline shows in full belongs to the last, one of 0.3 to the second."""
    right = gap(a_bone("patella"), np.eye(3), name="patella")
    wrong = gap(a_bone("patella"), np.eye(3), (20.0, 0.0, 0.0), name="patella")

    def answer(found: PoseGap, outline: float, *, doubted: bool) -> Answer:
        return Answer(study=0, site="knee", gap=found, doubted=doubted, outline=outline)

    little, some, most = by_outline(
        [
            answer(wrong, 0.0, doubted=True),
            answer(wrong, 0.29, doubted=False),
            answer(right, 0.3, doubted=False),
            answer(right, 1.0, doubted=True),
        ]
    )
    assert (little["cases"], some["cases"], most["cases"]) == (2, 1, 1)
    assert (little["aligned"], some["aligned"], most["aligned"]) == (0.0, 1.0, 1.0)
    assert (little["far_and_doubted"], most["aligned_but_doubted"]) == (0.5, 1.0)
    assert some["wrong_and_doubted"] is None


def test_an_answer_that_was_not_reconstructed_has_no_outline_and_is_plain_json():
    start = Answer(study=0, site="knee", gap=gap(a_bone(), np.eye(3)), doubted=False)
    assert sum(row["cases"] for row in by_outline([start])) == 0
    assert json.loads(json.dumps(start.plain(), allow_nan=False))["outline"] is None
