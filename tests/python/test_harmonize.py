"""Harmonizing: an image's look is changed, its contents stay where they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from osteoform._cli.options import open_detector
from osteoform._core import ConeView
from osteoform._detect import OnnxDetector
from osteoform._errors import DetectionError, InputError
from osteoform._harmonize import Appearance, MatchAppearance, OnnxHarmonizer
from osteoform._types import XrayView


def xray(rng: np.random.Generator, shape: tuple[int, int] = (96, 128)) -> np.ndarray:
    """Noise whose amplitude falls with frequency, and a block to recognise, of unit deviation."""
    cycles = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=shape)) / (cycles + 0.02), s=shape)
    noise /= noise.std()
    noise[40:60, 50:90] += 2.0
    return (noise / noise.std()).astype(np.float32)


def exactly(look: Appearance) -> MatchAppearance:
    return MatchAppearance(least=look, greatest=look)


def test_an_image_that_has_the_look_stays_as_it_is(rng):
    image = xray(rng)
    same = exactly(Appearance.of(image))(image)
    np.testing.assert_allclose(same, image, atol=0.05)


def test_what_lies_within_the_range_is_left_alone(rng):
    image = xray(rng)
    look = Appearance.of(image)
    wide = MatchAppearance(
        least=Appearance(quantiles=look.quantiles - 1.0, amplitudes=0.5 * look.amplitudes),
        greatest=Appearance(quantiles=look.quantiles + 1.0, amplitudes=2.0 * look.amplitudes),
    )
    np.testing.assert_allclose(wide(image), image, atol=0.05)


def test_most_of_a_sharpening_and_a_stretch_is_undone(rng):
    image = xray(rng)
    spectrum = np.fft.rfft2(image)
    cycles = np.hypot(np.fft.fftfreq(96)[:, None], np.fft.rfftfreq(128))
    foreign = np.tanh(np.fft.irfft2(spectrum * (1.0 + cycles), s=image.shape)).astype(np.float32)
    back = exactly(Appearance.of(image))(foreign)
    assert np.abs(back - image).mean() < 0.5 * np.abs(foreign - image).mean()


def test_nothing_is_moved(rng):
    image, other = xray(rng), Appearance.of(3.0 * xray(rng))
    match = exactly(other)
    mirrored = match(np.ascontiguousarray(image[:, ::-1]))[:, ::-1]
    np.testing.assert_allclose(mirrored, match(image), atol=1e-4)
    assert np.corrcoef(match(image).ravel(), image.ravel())[0, 1] > 0.9


def test_the_amplitudes_of_white_noise_are_its_deviation(rng):
    look = Appearance.of(rng.normal(0.0, 0.7, (256, 256)).astype(np.float32))
    # The mean is taken off, and the first band has few frequencies.
    np.testing.assert_allclose(look.amplitudes[1:], 0.7, rtol=0.15)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (256, 9)])
def test_small_and_constant_images_are_harmless(shape):
    changed = MatchAppearance.simulated()(np.zeros(shape, np.float32))
    assert changed.shape == shape
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()


def test_the_shipped_range_is_one():
    match = MatchAppearance.simulated()
    assert (match.least.quantiles <= match.greatest.quantiles).all()
    assert (match.least.amplitudes < match.greatest.amplitudes).all()
    assert (np.diff(match.least.quantiles) >= 0).all()


def save_network(path, nodes, *, rank=4):
    onnx = pytest.importorskip("onnx")
    shape = ["b", "c", "h", "w"][:rank]
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name in ("look", "same")
    ]
    graph = onnx.helper.make_graph(nodes(onnx), "g", values[:1], values[1:])
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


def negation(onnx):
    return [onnx.helper.make_node("Neg", ["look"], ["same"])]


def turned(onnx):
    return [onnx.helper.make_node("Transpose", ["look"], ["same"], perm=[0, 1, 3, 2])]


def root(onnx):
    return [onnx.helper.make_node("Sqrt", ["look"], ["same"])]


def test_a_network_may_harmonize(tmp_path, rng):
    harmonizer = OnnxHarmonizer(save_network(tmp_path / "net.onnx", negation))
    image = xray(rng)
    np.testing.assert_array_equal(harmonizer(image), -image)
    np.testing.assert_array_equal(harmonizer(image[:50, ::2]), -image[:50, ::2])


def test_a_missing_network_is_named(tmp_path):
    with pytest.raises(DetectionError, match=r"harmonizer network .*no\.onnx does not exist"):
        OnnxHarmonizer(tmp_path / "no.onnx")


def test_a_network_of_another_rank_is_refused(tmp_path):
    path = save_network(tmp_path / "flat.onnx", negation, rank=2)
    with pytest.raises(DetectionError, match=r"need one of float \(1, 1, h, w\)"):
        OnnxHarmonizer(path)


def test_the_detector_s_own_network_is_no_harmonizer():
    from importlib.resources import as_file, files

    with (
        as_file(files("osteoform").joinpath("data/detector.onnx")) as path,
        pytest.raises(DetectionError, match="output is"),
    ):
        OnnxHarmonizer(path)


def test_an_answer_of_another_shape_is_refused(tmp_path, rng):
    harmonizer = OnnxHarmonizer(save_network(tmp_path / "net.onnx", turned))
    with pytest.raises(DetectionError, match=r"gives \(1, 1, 128, 96\), need \(1, 1, 96, 128\)"):
        harmonizer(xray(rng))


def test_an_answer_that_is_not_finite_is_refused(tmp_path, rng):
    harmonizer = OnnxHarmonizer(save_network(tmp_path / "net.onnx", root))
    with pytest.raises(DetectionError, match="not finite"):
        harmonizer(xray(rng))


def test_the_detector_reads_the_harmonized_image_of_either_polarity(rng):
    pixels = rng.uniform(size=(300, 200)).astype(np.float32)
    K = np.array([[1000.0, 0, 128], [0, 1000.0, 128], [0, 0, 1]])
    geometry = ConeView(K=K, view_from_world=np.eye(4))
    view = XrayView(name="v", pixels=pixels, geometry=geometry, polarity="dark_is_dense")
    given = []

    def blank(values):
        given.append(values.shape)
        return np.zeros_like(values)

    detector = OnnxDetector(harmonizer=blank)
    first = detector(view, side="right", bones=("femur",))[0]["femur"]
    other = detector(replace(view, pixels=pixels**2), side="right", bones=("femur",))[0]["femur"]
    np.testing.assert_array_equal(first.points_px, other.points_px)
    detector(replace(view, polarity=None), side="right", bones=("femur",))
    assert given == [(256, 171)] * 4


def test_the_command_line_names_what_it_cannot_take():
    assert open_detector(None, "none") is None
    with pytest.raises(InputError, match="must be none, classical or FILE.onnx, found 'clasical'"):
        open_detector(None, "clasical")
    with pytest.raises(DetectionError, match=r"harmonizer network nowhere\.onnx does not exist"):
        open_detector(None, "nowhere.onnx")
