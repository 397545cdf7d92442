"""Training: losses, scenes, and what is measured and told of a network."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from osteoform._errors import OsteoformError
from osteoform._rotation import rotation
from osteoform._split import held_out, learned_from
from osteoform.train.attitude_score import AttitudeScore, score_attitudes
from osteoform.train.card import card
from osteoform.train.confusion import fit_confusion, true_names
from osteoform.train.export import Calibration, export_onnx, metadata
from osteoform.train.legs import load_atlas, sample_leg
from osteoform.train.loop import TrainingReport
from osteoform.train.losses import losses
from osteoform.train.network import FeatureNet, Readout
from osteoform.train.scenes import sample_scene
from osteoform.train.validate import BoneScore, DetectorScore, validate
from training_batch import CHANNELS, random_batch


def test_loss_is_least_at_the_truth():
    batch = random_batch(1)
    rows = torch.arange(16)

    def readout_about(points):
        at = (points + 0.5) / 4 - 0.5
        heat = -0.5 * (
            (rows[None, None, :, None] - at[..., 1, None, None]) ** 2
            + (rows[None, None, None, :] - at[..., 0, None, None]) ** 2
        )
        return Readout(
            heat=heat,
            absent=torch.where(batch.visible > 0, -20.0, 20.0),
            shape=(batch.roots / 32)[..., None, None].expand(-1, -1, -1, 16, 16),
            box=batch.boxes / 32,
            presence=torch.full((1, 4), 20.0),
            turn=40.0 * batch.turn,
            direction=batch.direction,
        )

    there = losses(readout_about(batch.points), batch, torch.tensor(CHANNELS.ellipse_heat))
    beside = losses(readout_about(batch.points + 3.0), batch, torch.tensor(CHANNELS.ellipse_heat))
    assert there.heat < beside.heat
    assert float(there.shape) == pytest.approx(0.0, abs=1e-9)
    assert float(there.box) == pytest.approx(0.0, abs=1e-9)
    assert float(there.turn) == pytest.approx(0.0, abs=1e-9)
    assert float(there.direction) == pytest.approx(0.0, abs=1e-9)


def test_metadata_names_every_channel():
    stored = metadata(calibration=Calibration(), origin="test", seed=0)
    assert CHANNELS.num_heat == 53
    assert "femoral_head_center" in stored["points"]


def test_the_true_name_is_the_nearest_one_in_view():
    truth = np.array([[10.0, 10.0], [20.0, 10.0], [30.0, 10.0]], np.float32)
    places = np.array([[11.0, 9.0], [21.0, 12.0], [31.0, 10.0], [100.0, 100.0]])
    names = true_names(places, truth, np.array([1, 0, 1], np.float32))
    assert names.tolist() == [0, 2, 2, 3]


def test_fitted_confusion_tells_what_was_confused(rng):
    truly = np.array([[0.75, 0.25, 0.0], [0.1, 0.6, 0.1], [0.0, 0.0, 1.0]])
    meant = rng.dirichlet([0.2, 0.2, 0.2], 4000)
    chances = np.concatenate([meant @ truly, 1.0 - (meant @ truly).sum(1, keepdims=True)], 1)
    names = (rng.uniform(size=(4000, 1)) > chances.cumsum(1)[:, :-1]).sum(1)
    np.testing.assert_allclose(fit_confusion(meant, names), truly, atol=0.06)


def test_names_that_hold_stay_and_rare_ones_are_believed():
    meant = np.repeat(np.eye(3)[:2], [500, 1], axis=0)
    fitted = fit_confusion(meant, np.repeat([0, 2], [500, 1]))
    assert fitted[0, 0] > 0.99
    assert fitted[1, 1] > 0.9
    np.testing.assert_allclose(fitted[2], [0.0, 0.0, 1.0], atol=1e-9)


def test_validation_fits_a_confusion_that_the_file_keeps(shared_data, tmp_path):
    from osteoform._detect import OnnxDetector

    torch.manual_seed(1)
    net, path = FeatureNet(CHANNELS).eval(), tmp_path / "net.onnx"
    detector = OnnxDetector(num_threads=1)
    score = validate(detector, data=shared_data / "bones/llp26", num_images=12, seed=3)
    export_onnx(net, path, calibration=score.calibration, origin="test", seed=0)
    kept = OnnxDetector(path, num_threads=1).facts.confusion
    for bone, names in CHANNELS.points.items():
        assert kept[bone].shape == (len(names), len(names))
        assert kept[bone].diagonal().min() > 0.5
        assert kept[bone].sum(axis=1).max() <= 1.001


@pytest.fixture(scope="module")
def atlas(shared_data):
    return load_atlas(shared_data / "bones/llp26", learned_from())


def test_bending_the_knee_moves_the_foot_backwards(atlas):
    straight, bent = (
        sample_leg(atlas, np.random.default_rng(1), flexion_rad=angle) for angle in (0.0, 1.2)
    )
    ankle = [atlas.features["tibia"].points(leg.vertices["tibia"])[-2] for leg in (straight, bent)]
    assert ankle[1][1] - ankle[0][1] > 200
    np.testing.assert_allclose(bent.vertices["femur"], straight.vertices["femur"])


def test_a_feature_is_the_same_vertices_whoever_is_read(atlas, shared_data):
    others = load_atlas(shared_data / "bones/llp26", held_out())
    for bone, definition in atlas.features.items():
        weights = others.features[bone].point_weights
        np.testing.assert_array_equal(weights, definition.point_weights)


def test_a_collection_of_too_few_people_says_how_many_it_needs(tmp_path):
    people = np.zeros((3, 4, 3), np.float32)
    np.savez(tmp_path / "few_left_femur.npz", vertices=people, faces=np.zeros((1, 3), np.int32))
    with pytest.raises(OsteoformError, match=r"few_left_femur\.npz: need 26 people, found 3"):
        load_atlas(tmp_path, (0, 1))


def test_scene_is_the_same_for_the_same_seed(atlas):
    first, second = (
        sample_scene(atlas, np.random.default_rng(4), shape=(64, 64)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.layers, second.layers)
    assert first.truth.points_px.shape == (CHANNELS.num_heat, 2)
    assert np.isfinite(first.layers.astype(np.float32)).all()


def test_rotation_is_a_rotation():
    matrix = rotation(np.array([0.3, -1.2, 0.4]))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(
        rotation(np.array([0, 0, np.pi / 2])) @ [1, 0, 0], [0, 1, 0], atol=1e-9
    )


def test_card_states_what_was_measured(tmp_path):
    bone = BoneScore(
        bone="femur",
        num_points=10,
        median_px=1.234,
        median_mm=2.5,
        p90_mm=7.0,
        found_share=0.9,
        false_share=0.01,
        box_iou=0.8,
        size_error=None,
    )
    attitude = AttitudeScore(
        turn_share=0.97,
        turn_missed_share=0.003,
        direction_share=0.88,
        direction_median_deg=14.0,
        name_share=0.7,
    )
    score = DetectorScore(
        bones=(bone,),
        attitude=attitude,
        calibration=Calibration(spread_px=(3.0, 5.0), sd_px=(2.2, 9.1), together=1.9),
        num_images=123,
    )
    report = TrainingReport(
        steps=10,
        images=160,
        scenes=80,
        minutes=1.0,
        seed=0,
        threads=1,
        precision="single",
        people=(1, 2),
        losses={},
        history=("osteoform train --steps 10 --seed 0 --threads 1",),
        checkpoint=tmp_path,
    )
    text = card(report, score, "`osteoform train`, seed 0")
    assert "| femur | 10 | 1.23 | 2.5 | 7.0 | 90 % | 1 % | 0.80 | - |" in text
    assert "Measured on 123 simulated" in text
    assert "Seen in the last run: 160 images, each once, made of 80 scenes, in 10 steps" in text
    assert "quarter turn is right in 97.0 %" in text
    assert "2.2 to\n9.1 network px per axis, of which 1.90 times" in text


def test_attitudes_are_scored_against_the_turn_that_sets_the_image_upright():
    sure = np.eye(4, dtype=np.float32)[[0, 3, 2, 1]]
    wrong = np.roll(sure, 1, axis=1)
    ahead = (np.array([0.0, -0.5]), np.array([0.0, -1.0], np.float32))
    aside = (np.array([0.9, 0.0]), np.array([0.0, -1.0], np.float32))
    score = score_attitudes([sure, wrong], [ahead, ahead, ahead, aside])
    assert (score.turn_share, score.turn_missed_share) == (0.5, 0.5)
    assert (score.direction_share, score.name_share) == (0.75, 0.75)
    assert score.direction_median_deg == pytest.approx(0.0, abs=1e-3)
