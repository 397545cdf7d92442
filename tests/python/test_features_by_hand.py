"""Boxes, points and ellipses given by hand: beside the detector, or in its place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import osteoform
from osteoform import (
    Detection,
    FitStatus,
    HandEllipse,
    HandFeatures,
    HandPoint,
    InputError,
    Mesh,
    ShapeModel,
    XrayView,
    read_features,
    reconstruct,
)
from osteoform._cli.reconstruct import _detection_values
from osteoform._distance import surface_distance
from osteoform._readings import BoneReader
from osteoform._report import geometry_values
from osteoform._trial import Trial, simulate_trial, simulated_features
from osteoform._types import Reading
from osteoform.cli import app
from osteoform.modeling.features import define_features

SIX_POINTS = (
    "femoral_head_center",
    "greater_trochanter_tip",
    "lesser_trochanter_tip",
    "medial_epicondyle",
    "lateral_epicondyle",
    "intercondylar_notch",
)
HEAD, TIP = SIX_POINTS[:2]


class FakeDetector:
    """Says the same of every image, and remembers the shapes of those it was shown."""

    def __init__(self, seen: Detection) -> None:
        self.seen = seen
        self.shown: list[tuple[int, ...]] = []

    def __call__(
        self, view: XrayView, *, side: str, bones: Sequence[str]
    ) -> Sequence[Mapping[str, Detection]]:
        self.shown.append(view.pixels.shape)
        return [{bone: self.seen for bone in bones}]


@pytest.fixture(scope="module")
def model() -> ShapeModel:
    return osteoform.load_model(bone="femur")


@pytest.fixture
def view() -> XrayView:
    return XrayView(
        name="ap",
        pixels=np.zeros((300, 200), np.float32),
        geometry=osteoform.standard_views("cone", ("ap",))["ap"],
        polarity="dark_is_dense",
    )


@pytest.fixture
def seen(model: ShapeModel) -> Detection:
    """Two points, the second less sure and a little of the first as well; one ellipse."""
    probability = np.zeros((2, len(model.point_names)))
    probability[0, 0], probability[1, 1], probability[1, 0] = 0.9, 0.6, 0.3
    return Detection(
        bone="femur",
        box_px=np.array([10.0, 20.0, 110.0, 220.0]),
        box_confidence=0.8,
        points_px=np.array([[30.0, 40.0], [50.0, 60.0]]),
        sigma_px=np.array([3.0, 4.0]),
        class_probability=probability,
        ellipse_ids=np.array([0], np.int32),
        ellipse_center_px=np.array([[31.0, 41.0]]),
        ellipse_shape_px2=np.array([[[100.0, 10.0], [10.0, 81.0]]]),
        ellipse_sigma_px=np.array([3.0]),
    )


def _read(
    view: XrayView, model: ShapeModel, detector: FakeDetector, hand: HandFeatures
) -> list[Reading]:
    reader = BoneReader(
        side="right",
        models={"femur": model},
        detector=detector,
        by_hand={"ap": {"femur": hand}},
    )
    [view], seen = reader.see([view], {})
    return reader.corrected([view], seen).with_hand("femur", view, seen["femur"][0])


def test_a_point_takes_the_place_of_the_detected_one(
    view: XrayView, model: ShapeModel, seen: Detection
) -> None:
    hand = HandFeatures(points=[HandPoint(name=HEAD, px=(33.0, 44.0))])
    [reading] = _read(view, model, FakeDetector(seen), hand)
    both = reading["femur"]
    np.testing.assert_array_equal(both.points_px, [[50.0, 60.0], [33.0, 44.0]])
    np.testing.assert_array_equal(both.sigma_px, [4.0, 1.5])
    np.testing.assert_array_equal(both.class_probability[:, :2], [[0.0, 0.6], [1.0, 0.0]])
    np.testing.assert_array_equal(both.box_px, seen.box_px)
    np.testing.assert_array_equal(both.ellipse_ids, [0])


def test_points_and_ellipses_are_added(view: XrayView, model: ShapeModel, seen: Detection) -> None:
    condyle = HandEllipse(
        name="medial_condyle", center_px=(70.0, 200.0), semi_axes_px=(20.0, 10.0), angle_deg=90.0
    )
    points = [HandPoint(name="intercondylar_notch", px=(60.0, 210.0), sigma_px=2.0)]
    hand = HandFeatures(points=points, ellipses=[condyle])
    [reading] = _read(view, model, FakeDetector(seen), hand)
    both = reading["femur"]
    np.testing.assert_array_equal(both.points_px[:2], seen.points_px)
    np.testing.assert_array_equal(both.class_probability[:2], seen.class_probability)
    assert model.point_names[both.class_probability[2].argmax()] == "intercondylar_notch"
    assert [model.ellipsoid_names[i] for i in both.ellipse_ids] == [
        "femoral_head",
        "medial_condyle",
    ]
    np.testing.assert_allclose(both.ellipse_shape_px2[1], np.diag([100.0, 400.0]), atol=1e-9)


def test_what_replaces_asks_no_detector(view: XrayView, model: ShapeModel, seen: Detection) -> None:
    detector = FakeDetector(seen)
    points = [HandPoint(name=TIP, px=(50.0, 60.0))]
    hand = HandFeatures(points=points, box_px=(0.0, 0.0, 100.0, 100.0), replaces=True)
    [reading] = _read(view, model, detector, hand)
    assert detector.shown == []
    np.testing.assert_array_equal(reading["femur"].points_px, [[50.0, 60.0]])
    np.testing.assert_array_equal(reading["femur"].box_px, [0.0, 0.0, 100.0, 100.0])
    [nothing] = _read(view, model, detector, HandFeatures(replaces=True))
    assert detector.shown == []
    assert len(nothing["femur"].points_px) == 0


def _as_hand(detection: Detection, view: XrayView, model: ShapeModel) -> HandFeatures:
    """A detection, written and read again."""
    values = {"views": {view.name: {"femur": _detection_values(detection, model.point_names)}}}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "detections.json"
        file.write_text(json.dumps(values))
        return read_features(file, views=[view], models={"femur": model})[view.name]["femur"]


@pytest.mark.parametrize("replaces", [False, True])
def test_a_box_alone_is_read_closer(
    replaces: bool, view: XrayView, model: ShapeModel, seen: Detection
) -> None:
    detector = FakeDetector(seen)
    hand = HandFeatures(box_px=(60.0, 80.0, 160.0, 180.0), replaces=replaces)
    [reading] = _read(view, model, detector, hand)
    whole = [] if replaces else [(300, 200)]
    assert detector.shown[:-2] == [*whole, (146, 146)]  # 15 per cent and 8 pixels all round
    assert detector.shown[-1] == (300, 200)  # of two boxes about it: with all that is in the image
    np.testing.assert_array_equal(reading["femur"].points_px, seen.points_px + [37.0, 57.0])
    np.testing.assert_array_equal(reading["femur"].box_px, hand.box_px)


def test_what_was_seen_in_a_box_stays_beside_the_closer_look(
    view: XrayView, model: ShapeModel, seen: Detection
) -> None:
    hand = HandFeatures(box_px=(10.0, 20.0, 130.0, 140.0))
    readings = _read(view, model, FakeDetector(seen), hand)
    assert len(readings) == 2
    for reading in readings:
        np.testing.assert_array_equal(reading["femur"].points_px, seen.points_px)


def test_a_bone_is_fixed_where_the_detector_has_no_say_in_any_view(
    view: XrayView, model: ShapeModel, seen: Detection
) -> None:
    point = HandPoint(name=HEAD, px=(33.0, 44.0))
    whole = {"ap": {"femur": HandFeatures(points=[point], replaces=True)}}
    added = {"lateral": {"femur": HandFeatures(points=[point])}}
    reader = BoneReader(
        side="right", models={"femur": model}, detector=FakeDetector(seen), by_hand=whole | added
    )
    assert reader.fixed([view]) == ["femur"]
    assert reader.fixed([view, replace(view, name="lateral")]) == []


def test_a_box_in_which_nothing_is_seen_leaves_the_image(
    view: XrayView, model: ShapeModel, seen: Detection
) -> None:
    class OnlyWhole(FakeDetector):
        def __call__(
            self, view: XrayView, *, side: str, bones: Sequence[str]
        ) -> Sequence[Mapping[str, Detection]]:
            found = super().__call__(view, side=side, bones=bones)
            return found if view.pixels.shape == (300, 200) else []

    box = (90.0, 140.0, 110.0, 160.0)
    [reading] = _read(view, model, OnlyWhole(seen), HandFeatures(box_px=box))
    np.testing.assert_array_equal(reading["femur"].points_px, seen.points_px)
    [nothing] = _read(view, model, OnlyWhole(seen), HandFeatures(box_px=box, replaces=True))
    assert len(nothing["femur"].points_px) == 0


def test_what_the_detector_says_itself_is_no_correction(
    view: XrayView, model: ShapeModel, seen: Detection
) -> None:
    told = _as_hand(seen, view, model)
    detector = FakeDetector(seen)
    [same] = _read(view, model, detector, told)
    assert same["femur"] is seen
    assert detector.shown == [(300, 200)]
    moved = replace(told, points=[replace(told.points[0], px=(33.0, 44.0)), told.points[1]])
    [reading] = _read(view, model, detector, moved)
    np.testing.assert_array_equal(reading["femur"].points_px, [[50.0, 60.0], [33.0, 44.0]])
    surer = replace(told, points=[replace(told.points[0], sigma_px=0.5), told.points[1]])
    [reading] = _read(view, model, detector, surer)
    np.testing.assert_array_equal(reading["femur"].sigma_px, [4.0, 0.5])
    deleted = replace(told, points=told.points[:1], replaces=True)
    [reading] = _read(view, model, detector, deleted)
    np.testing.assert_array_equal(reading["femur"].points_px, [[30.0, 40.0]])


def test_an_ellipse_is_its_shape(rng: np.random.Generator) -> None:
    root = rng.normal(size=(2, 2))
    shape = root @ root.T + np.eye(2)
    ellipse = HandEllipse.of_shape("femoral_head", (1.0, 2.0), shape)
    np.testing.assert_allclose(ellipse.shape_px2, shape, atol=1e-12)
    turned = HandEllipse(
        name="femoral_head", center_px=(0.0, 0.0), semi_axes_px=(3.0, 1.0), angle_deg=45.0
    )
    np.testing.assert_allclose(turned.shape_px2, [[5.0, 4.0], [4.0, 5.0]])  # from u towards v


@pytest.fixture(scope="module")
def trial(model: ShapeModel) -> Trial:
    """Two X-rays of the model's mean, a right femur."""
    mean = Mesh(vertices=model.mean, faces=model.faces)
    return simulate_trial(mean, np.random.default_rng(11))


@pytest.fixture(scope="module")
def exact(model: ShapeModel, trial: Trial) -> list[Detection]:
    mean = Mesh(vertices=model.mean, faces=model.faces)
    definition = define_features("femur", model.mean, model.faces)
    return simulated_features(
        definition, mean, trial, np.random.default_rng(12), side="right", noise_px=1.5
    )


def _six_points(detection: Detection, names: Sequence[str]) -> dict[str, list[float]]:
    named = [names[k] for k in detection.class_probability.argmax(axis=1)]
    return {
        name: detection.points_px[row].tolist()
        for row, name in enumerate(named)
        if name in SIX_POINTS
    }


def test_six_points_in_two_views_are_enough(
    model: ShapeModel, trial: Trial, exact: list[Detection], tmp_path: Path
) -> None:
    values = {
        view.name: {"femur": {"points": _six_points(detection, model.point_names)}}
        for view, detection in zip(trial.views, exact, strict=True)
    }
    file = tmp_path / "features.json"
    file.write_text(json.dumps({"views": values}))
    blind = FakeDetector(Detection.empty("femur", len(model.point_names)))
    by_hand = read_features(file, views=trial.views, models={"femur": model})
    femur = ("femur",)
    without = reconstruct(trial.views, side="right", bones=femur, detector=blind)
    assert without.bones["femur"].status is FitStatus.NOT_FOUND
    found = reconstruct(
        trial.views, side="right", bones=femur, detector=blind, by_hand=by_hand
    ).bones["femur"]
    assert found.status is FitStatus.CONVERGED
    assert [len(detection.points_px) for detection in found.detections] == [6, 6]
    assert surface_distance(trial.truth, found.mesh).mean_mm < 0.6


def test_what_detect_writes_comes_back(
    model: ShapeModel, trial: Trial, exact: list[Detection]
) -> None:
    doubtful = replace(exact[0], class_probability=0.7 * exact[0].class_probability)
    again = _as_hand(doubtful, trial.views[0], model).detection(model)
    for key in ("box_px", "points_px", "sigma_px", "class_probability", "ellipse_ids"):
        np.testing.assert_array_equal(getattr(again, key), getattr(doubtful, key))
    for key in ("ellipse_center_px", "ellipse_shape_px2", "ellipse_sigma_px"):
        np.testing.assert_allclose(getattr(again, key), getattr(doubtful, key), rtol=1e-9)
    nothing = _as_hand(Detection.empty("femur", 19), trial.views[0], model)
    assert nothing == HandFeatures(points=[], ellipses=[])


def test_what_is_wrong_in_the_values_is_said(
    model: ShapeModel, trial: Trial, exact: list[Detection]
) -> None:
    def refused(message: str, by_hand: Any, **options: Any) -> None:
        with pytest.raises(InputError, match=message):
            reconstruct(trial.views, side="right", bones=("femur",), by_hand=by_hand, **options)

    knee = HandFeatures(points=[HandPoint(name="knee", px=(1.0, 2.0))])
    refused(r"by_hand must name views out of \('ap', 'lateral'\), found 'oblique'", {"oblique": {}})
    refused(r"by_hand\['ap'\] must name bones out of \('femur',\)", {"ap": {"tibia": knee}})
    refused(r"by_hand\['ap'\]\['femur'\]: found the unknown feature", {"ap": {"femur": knee}})
    refused("must be a HandFeatures, found Detection", {"ap": {"femur": exact[0]}})
    given = {"femur": exact}
    refused("features gives it whole", {"ap": {"femur": HandFeatures()}}, features=given)
    same = [replace(view, name="ap") for view in trial.views]
    with pytest.raises(InputError, match="a different name for each view"):
        reconstruct(same, side="right", bones=("femur",), by_hand={"ap": {}})


def test_the_command_takes_a_features_file(
    model: ShapeModel, trial: Trial, exact: list[Detection], tmp_path: Path
) -> None:
    views, values = [], {}
    for view, detection in zip(trial.views, exact, strict=True):
        np.save(tmp_path / f"{view.name}.npy", view.pixels)
        views.append(
            {
                "name": view.name,
                "image": f"{view.name}.npy",
                "polarity": view.polarity,
                "geometry": geometry_values(view.geometry),
            }
        )
        points = _six_points(detection, model.point_names)
        values[view.name] = {"femur": {"points": points, "replaces": True}}
    study = {"study": 1, "side": "right", "bones": ["femur"], "views": views}
    (tmp_path / "study.json").write_text(json.dumps(study))
    file, out = tmp_path / "features.json", tmp_path / "out"
    file.write_text(json.dumps({"views": values}))
    arguments = ["reconstruct", str(tmp_path), "--out", str(out), "--features", str(file)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    found = json.loads((out / "reconstruction.json").read_text())["bones"]["femur"]
    assert found["status"] == "CONVERGED"
    file.write_text("{}")
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "features.json: needed the key 'views'" in done.stderr
