"""The detector: geometry of its answers, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from osteoform._core import ConeView
from osteoform._detect import OnnxDetector
from osteoform._errors import DetectionError
from osteoform._network_file import NetworkFacts, Tensor, read_facts
from osteoform._normalize import NORMALIZATION, normalize
from osteoform._peaks import Frame, NetworkOutput, Reading
from osteoform._types import XrayView

FACTS = NetworkFacts(
    points={"femur": ("a", "b"), "tibia": ("c",)},
    ellipsoids={"femur": ("ball",), "tibia": ()},
    input_px=64,
    multiple_px=32,
    stride_px=4,
    heat_sigma_px=4.0,
    spread_px=np.array([1.0, 4.0, 16.0]),
    sd_px=np.array([1.0, 4.0, 16.0]),
    origin="test",
    tells_attitude=True,
)
SAME = Frame(matrix=np.eye(2), offset=np.zeros(2), size_px=(64.0, 64.0))


def gaussian(u_px: float, v_px: float, mass: float = 1.0) -> np.ndarray:
    """Heat (16, 16) of one place in network pixels."""
    rows, columns = np.mgrid[:16, :16]
    u, v = ((x + 0.5) / 4 - 0.5 for x in (u_px, v_px))
    heat = np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / 2)
    return mass * heat / heat.sum()


def reading(*heat: np.ndarray, upright: float = 1.0) -> Reading:
    shape = np.broadcast_to(np.array([8.0, 6.0, 1.0])[:, None, None], (1, 3, 16, 16))
    box = np.array([[10, 12, 40, 50, 0.9], [0, 0, 0, 0, 0.0]], np.float32)
    output = NetworkOutput(
        heat=np.stack(heat).astype(np.float32),
        shape=shape.astype(np.float32),
        box=box,
        upright=upright,
    )
    return Reading.of(output, 4)


NOTHING = np.zeros((16, 16))


def test_features_are_told_as_if_the_image_were_upright():
    faint = gaussian(30.0, 22.0, mass=0.08)
    unsure, sure = (reading(faint, NOTHING, NOTHING, NOTHING, upright=p) for p in (0.1, 1.0))
    assert not len(sure.detection("femur", SAME, FACTS).points_px)
    told = unsure.detection("femur", SAME, FACTS)
    np.testing.assert_allclose(told.points_px, [[30.0, 22.0]], atol=0.3)
    assert told.class_probability[0, 0] == pytest.approx(0.8, abs=0.02)
    assert told.box_confidence == 1.0


def test_a_reading_counts_as_far_as_its_image_is_upright():
    seen = gaussian(30.0, 22.0, mass=0.9)
    sure = reading(seen, NOTHING, NOTHING, NOTHING)
    torn = reading(seen, NOTHING, NOTHING, NOTHING, upright=0.1)
    unlikely = reading(0.1 * seen, NOTHING, NOTHING, NOTHING, upright=0.1)
    assert sure.score == pytest.approx(0.9, abs=0.02)
    assert torn.score == pytest.approx(0.5, abs=0.02)
    assert unlikely.score == pytest.approx(0.09, abs=0.01)


def test_peaks_are_found_between_the_cells():
    seen = reading(gaussian(30.3, 21.9), NOTHING, gaussian(25.0, 40.5), NOTHING)
    femur = seen.detection("femur", SAME, FACTS)
    np.testing.assert_allclose(femur.points_px, [[30.3, 21.9]], atol=0.3)
    np.testing.assert_allclose(femur.ellipse_center_px, [[25.0, 40.5]], atol=0.3)
    root = np.array([[8.0, 1.0], [1.0, 6.0]])
    np.testing.assert_allclose(femur.ellipse_shape_px2, [root @ root], rtol=1e-6)
    np.testing.assert_allclose(femur.box_px, [10, 12, 40, 50])
    assert 3.0 < femur.sigma_px[0] < 5.0


def test_a_bone_that_is_not_there_is_empty():
    tibia = reading(*[NOTHING] * 4).detection("tibia", SAME, FACTS)
    assert tibia.points_px.shape == (0, 2)
    assert tibia.class_probability.shape == (0, 1)
    assert tibia.ellipse_shape_px2.shape == (0, 2, 2)
    assert np.isnan(tibia.box_px).all()


def test_class_probabilities_tell_two_names_for_one_place():
    femur = reading(
        gaussian(30, 22, 0.5) + gaussian(50, 50, 0.4),
        gaussian(30, 22, 0.4) + gaussian(50, 50, 0.5),
        NOTHING,
        NOTHING,
    ).detection("femur", SAME, FACTS)
    np.testing.assert_allclose(femur.points_px, [[30, 22], [50, 50]], atol=0.5)
    np.testing.assert_allclose(femur.class_probability, [[0.5, 0.4], [0.4, 0.5]], atol=0.03)
    assert (femur.class_probability.sum(1) <= 1 + 1e-12).all()


def test_measured_confusion_moves_probability_to_other_names():
    seen = reading(gaussian(30, 22, 0.8), NOTHING, NOTHING, NOTHING)
    own = seen.detection("femur", SAME, FACTS).class_probability
    confused = replace(FACTS, confusion={"femur": np.array([[0.7, 0.2], [0.0, 1.0]])})
    shared = seen.detection("femur", SAME, confused).class_probability
    np.testing.assert_allclose(shared, own @ [[0.7, 0.2], [0.0, 1.0]])
    assert shared.sum() < own.sum()


def stored(**changes: str) -> dict[str, str]:
    """Metadata of a network for FACTS."""
    names = ("input_px", "multiple_px", "stride_px", "heat_sigma_px")
    return {
        **{name: str(getattr(FACTS, name)) for name in (*names, "origin")},
        **{name: json.dumps(getattr(FACTS, name)) for name in ("points", "ellipsoids")},
        **{name: json.dumps(getattr(FACTS, name).tolist()) for name in ("spread_px", "sd_px")},
        "format": "osteoform detector",
        "version": "3",
        "normalization": NORMALIZATION,
        **changes,
    }


def tensors() -> list[Tensor]:
    shapes = {"image": (1, 1, 64, 64), "heat": (1, 4, 16, 16), "shape": (1, 3, 16, 16)}
    shapes |= {"box": (1, 2, 5), "attitude": (1, 6)}
    return [Tensor(name=n, type="tensor(float)", shape=shape) for n, shape in shapes.items()]


def test_a_file_without_confusion_takes_names_as_they_are():
    facts = read_facts(stored(), tensors())
    probability = np.array([[0.6, 0.3]])
    np.testing.assert_array_equal(facts.renamed("femur", probability), probability)


def test_confusion_is_read_per_bone():
    facts = read_facts(stored(confusion='{"femur": [[0.9, 0.1], [0.2, 0.7]]}'), tensors())
    np.testing.assert_allclose(facts.renamed("femur", np.array([[0.5, 0.5]])), [[0.55, 0.4]])
    np.testing.assert_array_equal(facts.renamed("tibia", np.array([[0.5]])), [[0.5]])


@pytest.mark.parametrize(
    "confusion", ["[[0.9]]", "[[0.9, 0.2], [0.0, 1.0]]", "[[-0.1, 0.2], [0.0, 1.0]]"]
)
def test_confusion_that_is_none_is_refused(confusion):
    with pytest.raises(DetectionError, match="confusion of the femur"):
        read_facts(stored(confusion=f'{{"femur": {confusion}}}'), tensors())


def test_deviations_are_measured_ones_and_between_them_in_proportion():
    facts = read_facts(stored(spread_px="[3.0, 4.0]", sd_px="[1.0, 4.0]"), tensors())
    told = facts.sd_of(np.array([0.0, 3.0, 3.5, 4.0, 9.0]))
    np.testing.assert_allclose(told, [1.0, 1.0, 2.0, 4.0, 4.0])


def test_older_files_have_a_formula_for_deviations():
    formula = {"sigma_scale": "0.5", "sigma_floor_px": "1.2"}
    facts = read_facts(stored(version="2", **formula), tensors())
    spread = np.array([0.0, 3.1, 4.7])
    np.testing.assert_allclose(facts.sd_of(spread), np.hypot(0.5 * spread, 1.2), rtol=1e-2)
    with pytest.raises(DetectionError, match="sigma_scale"):
        read_facts(stored(version="2"), tensors())


@pytest.mark.parametrize(
    ("spread", "sd"),
    [("[]", "[]"), ("[1.0]", "[1.0, 2.0]"), ("[2.0, 1.0]", "[1.0, 2.0]"), ("[1.0]", "[0.0]")],
)
def test_deviations_that_are_none_are_refused(spread, sd):
    with pytest.raises(DetectionError, match="metadata cannot be read"):
        read_facts(stored(spread_px=spread, sd_px=sd), tensors())


def test_a_second_place_of_one_feature_is_reported():
    both = gaussian(20, 20, 0.6) + gaussian(44, 44, 0.35)
    femur = reading(both, NOTHING, NOTHING, NOTHING).detection("femur", SAME, FACTS)
    np.testing.assert_allclose(femur.points_px, [[20, 20], [44, 44]], atol=0.5)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_frame_undoes_turn_mirror_and_shrinking(turns, mirrored):
    rng = np.random.default_rng(turns)
    image = normalize(rng.uniform(size=(640, 400)).astype(np.float32), dark_is_dense=True)
    upright = image.values[:, ::-1] if mirrored else image.values
    turned = np.rot90(upright, turns)
    frame = Frame.of(image, quarter_turns=turns, mirrored=mirrored)
    for v, u in [(3, 7), (90, 20), (10, 100)]:
        source = (frame.points(np.array([u, v], float)) + 0.5) / image.source_px_per_px - 0.5
        column, row = np.round(source).astype(int)
        np.testing.assert_allclose(source, [column, row], atol=1e-9)
        assert image.values[row, column] == turned[v, u]


def test_frame_turns_ellipses_too():
    image = normalize(np.random.default_rng(0).uniform(size=(256, 256)), dark_is_dense=True)
    frame = Frame.of(image, quarter_turns=1, mirrored=False)
    np.testing.assert_allclose(frame.shapes(np.diag([9.0, 4.0])), np.diag([4.0, 9.0]), atol=1e-9)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DetectionError, match=r"nowhere\.onnx does not exist"):
        OnnxDetector(str(tmp_path / "nowhere.onnx"))


def test_garbage_is_refused(tmp_path):
    path = tmp_path / "garbage.onnx"
    path.write_bytes(b"not a network" * 100)
    with pytest.raises(DetectionError, match="not a readable ONNX network"):
        OnnxDetector(path)


def test_foreign_network_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [value], [out])
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    path = tmp_path / "other.onnx"
    onnx.save(model, str(path))
    with pytest.raises(DetectionError, match="format is None"):
        OnnxDetector(path)


@pytest.fixture(scope="module")
def shipped() -> OnnxDetector:
    if not files("osteoform").joinpath("data/detector.onnx").is_file():
        pytest.skip("no detector is shipped")
    return OnnxDetector()


def view(pixels: np.ndarray, polarity: str | None = "dark_is_dense") -> XrayView:
    K = np.array([[1000.0, 0, 128], [0, 1000.0, 128], [0, 0, 1]])
    geometry = ConeView(K=K, view_from_world=np.eye(4))
    return XrayView(name="v", pixels=pixels, geometry=geometry, polarity=polarity)


def test_shipped_network_answers_in_the_contract_s_shapes(shipped):
    pixels = np.random.default_rng(1).uniform(size=(300, 200)).astype(np.float32)
    readings = shipped(view(pixels), side="right", bones=("femur", "patella"))
    assert 1 <= len(readings) <= 4  # the quarter turns that are likely enough
    for found in readings:
        assert set(found) == {"femur", "patella"}
        for bone, detection in found.items():
            count = len(detection.points_px)
            assert detection.points_px.shape == (count, 2)
            assert detection.sigma_px.shape == (count,)
            assert detection.class_probability.shape == (count, len(shipped.facts.points[bone]))


def test_unknown_polarity_reads_both(shipped):
    pixels = np.random.default_rng(1).uniform(size=(300, 200)).astype(np.float32)
    told = {
        polarity: shipped(view(pixels, polarity), side="left", bones=("femur",))
        for polarity in ("dark_is_dense", "bright_is_dense", None)
    }
    assert len(told[None]) == len(told["dark_is_dense"]) + len(told["bright_is_dense"])
    assert 2 <= len(told[None]) <= 8


def test_left_is_the_mirror_of_right(shipped):
    pixels = np.random.default_rng(2).uniform(size=(256, 256)).astype(np.float32)
    pixels[:, 90:160] *= 0.6
    right = shipped(view(pixels), side="right", bones=("femur",))[0]["femur"]
    mirrored = np.ascontiguousarray(pixels[:, ::-1])
    left = shipped(view(mirrored), side="left", bones=("femur",))[0]["femur"]
    flipped = left.points_px * [-1, 1] + [255, 0]
    np.testing.assert_allclose(flipped, right.points_px, atol=1e-3)


def test_unknown_bone_is_named(shipped):
    pixels = np.random.default_rng(1).uniform(size=(64, 64)).astype(np.float32)
    with pytest.raises(DetectionError, match="skull"):
        shipped(view(pixels), side="right", bones=("skull",))
