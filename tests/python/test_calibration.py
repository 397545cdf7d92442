"""What a network's deviations are measured as, and how a file keeps them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from osteoform._detect import OnnxDetector
from osteoform._errors import InputError
from osteoform._peaks import NetworkOutput, Reading
from osteoform.train.export import recalibrate
from osteoform.train.validate import Case, _calibrate, _off_together

FACTS = OnnxDetector(num_threads=1).facts
COUNT = FACTS.num_heat
POINTS, _ = FACTS.heat_channels("femur")
CELLS = 32  # a side, of 4 px each


def told(at_px: np.ndarray, blur_cells: np.ndarray) -> Reading:
    """What a network says that puts each channel's probability about a place, spread so far."""
    along = (np.arange(CELLS) + 0.5) * FACTS.stride_px - 0.5
    off = (along[None, :] - at_px.T[..., None]) / (FACTS.stride_px * blur_cells[:, None])
    u, v = np.exp(-0.5 * off**2)
    heat = v[:, :, None] * u[:, None, :]
    output = NetworkOutput(
        heat=(heat / heat.sum((1, 2), keepdims=True)).astype(np.float32),
        shape=np.zeros((FACTS.num_ellipses, 3, CELLS, CELLS), np.float32),
        box=np.zeros((4, 5), np.float32),
    )
    return Reading.of(output, FACTS.stride_px)


def cases(rng: np.random.Generator, *, together: float, num: int) -> list[tuple[Case, Reading]]:
    """Half of the places are sharp and 1 px off, half vague and 4 px; a case's also together."""
    pairs = []
    for _ in range(num):
        truth = rng.uniform(30.0, 98.0, (COUNT, 2))
        vague = rng.uniform(size=COUNT) < 0.5
        sd = np.where(vague, 4.0, 1.0)
        off = sd[:, None] * rng.standard_normal((COUNT, 2)) + together * rng.standard_normal(2)
        reading = told(truth + off, np.where(vague, 1.6, 0.8))
        seen = {"points": truth.astype(np.float32), "visible": np.ones(COUNT, np.float32)}
        values = np.zeros((4 * CELLS, 4 * CELLS), np.float32)
        pairs.append((Case(values=values, truth=seen, mm_per_px=1.0), reading))
    return pairs


def test_deviations_follow_how_far_probability_spreads(rng):
    found = _calibrate(cases(rng, together=0.0, num=40), FACTS)
    assert found.together == pytest.approx(1.0, abs=0.1)
    assert list(found.spread_px) == sorted(set(found.spread_px))
    facts = replace(FACTS, spread_px=np.array(found.spread_px), sd_px=np.array(found.sd_px))
    sharp, vague = (told(np.full((COUNT, 2), 60.0), np.full(COUNT, b)) for b in (0.8, 1.6))
    np.testing.assert_allclose(facts.sd_of(sharp.peaks[0].spread_px), found.together, rtol=0.1)
    np.testing.assert_allclose(facts.sd_of(vague.peaks[0].spread_px), 4 * found.together, rtol=0.1)


def test_features_that_are_off_together_are_believed_less(rng):
    """With n equal points the mean is off by sd / sqrt(n) alone, and by as much more together."""
    pairs = cases(rng, together=1.0, num=60)
    even = replace(FACTS, spread_px=np.array([1.0]), sd_px=np.array([4.0]))
    count = POINTS.stop - POINTS.start
    alone = [(c, r) for c, r in cases(rng, together=0.0, num=60)]
    assert _off_together(alone, replace(even, points={"femur": FACTS.points["femur"]})) == 1.0
    wanted = np.hypot(np.sqrt(8.5), np.sqrt(count)) / 4.0  # 8.5: mean of 1 and 16 px^2
    found = _off_together(pairs, replace(even, points={"femur": FACTS.points["femur"]}))
    assert found == pytest.approx(wanted, rel=0.25)
    assert _calibrate(pairs, FACTS).together > 1.5


def test_a_bone_with_few_points_tells_nothing_of_it(rng):
    (case, reading), *_ = cases(rng, together=50.0, num=1)
    visible = np.zeros(COUNT, np.float32)
    visible[POINTS.start : POINTS.start + 4] = 1.0
    few = replace(case, truth={**case.truth, "visible": visible})
    assert _off_together([(few, reading)], FACTS) == 1.0


def test_a_file_gets_another_calibration_and_keeps_the_rest(rng, tmp_path):
    from importlib.resources import files

    path = tmp_path / "detector.onnx"
    path.write_bytes(files("osteoform").joinpath("data/detector.onnx").read_bytes())
    calibration = _calibrate(cases(rng, together=0.5, num=6), FACTS)
    recalibrate(path, calibration)
    before, after = OnnxDetector(num_threads=1), OnnxDetector(path, num_threads=1)
    np.testing.assert_array_equal(after.facts.spread_px, calibration.spread_px)
    np.testing.assert_array_equal(after.facts.sd_px, calibration.sd_px)
    np.testing.assert_array_equal(after.facts.confusion["femur"], calibration.confusion["femur"])
    assert (after.facts.points, after.facts.origin) == (FACTS.points, FACTS.origin)
    model = onnx.load(str(path))
    del model.graph.output[-1]
    onnx.save(model, str(tmp_path / "first.onnx"))
    with pytest.raises(InputError, match="first.onnx does not tell how a leg is seen"):
        recalibrate(tmp_path / "first.onnx", calibration)
    image = rng.normal(size=(1, 128, 128)).astype(np.float32)
    np.testing.assert_array_equal(after.run(image)[0].heat, before.run(image)[0].heat)
