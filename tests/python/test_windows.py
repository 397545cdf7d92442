"""Long images are read in windows, and told as one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import osteoform
from osteoform import Detection, _windows, demo
from osteoform._detect import OnnxDetector
from osteoform._leg import points_in_world
from osteoform._trial import take_views
from osteoform._types import BONES
from osteoform._windows import joined_windows, windows_of


@pytest.mark.parametrize("shape", [(512, 512), (600, 250), (250, 600), (1, 1)])
def test_most_images_are_a_single_window(shape):
    (window,) = windows_of(shape)
    pixels = np.zeros(shape, np.float32)
    assert window.of(pixels).shape == shape
    seen = detection([[-0.4, 3.0], [0.0, 5000.0]])
    np.testing.assert_array_equal(window.told(seen).points_px, seen.points_px)


@pytest.mark.parametrize(("shape", "count"), [((1000, 400), 2), ((300, 1500), 4), ((2000, 20), 6)])
def test_windows_overlap_and_share_the_image_out(shape, count):
    windows = windows_of(shape)
    assert len(windows) == count
    length = max(shape)
    axis = shape.index(length)
    sides = [window.of(np.zeros(shape)).shape for window in windows]
    assert len(set(sides)) == 1
    assert sides[0][1 - axis] == shape[1 - axis]
    assert windows[0].start == 0
    assert windows[-1].stop == length
    for first, second in pairwise(windows):
        overlap = first.stop - second.start
        assert overlap >= sides[0][axis] / 3 - 1
        assert first.high == second.low == pytest.approx(second.start + overlap / 2)
    at = np.zeros((length, 2))
    at[:, 1 - axis] = np.arange(length)
    told = np.concatenate([w.told(detection(at - offset(w))).points_px for w in windows])
    np.testing.assert_array_equal(told, at)


def offset(window) -> np.ndarray:
    shift = np.zeros(2)
    shift[1 - window.axis] = window.start
    return shift


def detection(points, box=(np.nan,) * 4, confidence=0.0, ellipses=()) -> Detection:
    at = np.array(points, np.float64).reshape(-1, 2)
    centers = np.array(ellipses, np.float64).reshape(-1, 2)
    return Detection(
        bone="femur",
        box_px=np.array(box, np.float64),
        box_confidence=confidence,
        points_px=at,
        sigma_px=np.ones(len(at)),
        class_probability=np.ones((len(at), 1)),
        ellipse_ids=np.arange(len(centers), dtype=np.int32),
        ellipse_center_px=centers,
        ellipse_shape_px2=np.tile(np.eye(2), (len(centers), 1, 1)),
        ellipse_sigma_px=np.ones(len(centers)),
    )


def test_each_window_tells_its_part_and_boxes_are_joined():
    windows = windows_of((1000, 400))  # rows 0 to 800 and 200 to 1000, shared at 500
    above = detection([[50, 100], [60, 700]], (40, 90, 80, 800), 0.6, [[50, 450]])
    below = detection([[70, 310], [80, 200]], (30, 0, 90, 320), 0.9, [[50, 250], [60, 500]])
    told = joined_windows(windows, [above, below])
    np.testing.assert_array_equal(told.points_px, [[50, 100], [70, 510]])
    np.testing.assert_array_equal(told.ellipse_center_px, [[50, 450], [60, 700]])
    np.testing.assert_array_equal(told.box_px, [30, 90, 90, 800])
    assert told.box_confidence == 0.9


def test_a_window_that_shows_nothing_has_no_say_in_the_box():
    windows = windows_of((1000, 400))
    above = detection([[50, 100]], (40, 90, 80, 300), 0.6)
    below = detection([], (0, 0, 400, 800), 0.3)
    told = joined_windows(windows, [above, below])
    np.testing.assert_array_equal(told.box_px, [40, 90, 80, 300])
    assert told.box_confidence == 0.6
    nothing = joined_windows(windows, [detection([]), detection([])])
    assert np.isnan(nothing.box_px).all()
    assert nothing.points_px.shape == (0, 2)


def test_a_whole_leg_is_read_better_in_windows(monkeypatch):
    """Both ends of it, in a strip that is five times as long as wide."""
    models = {bone: osteoform.load_model(bone=bone) for bone in BONES}
    leg = demo._draw_leg(models, np.random.default_rng(0))
    drawn = demo._posed(leg, np.eye(4), "right")
    view = take_views(
        [bone.mesh for bone in drawn.values()],
        np.random.default_rng(0),
        view_names=("ap",),
        source_detector_mm=2400.0,
        source_object_mm=2100.0,
    )[0]
    assert view.pixels.shape[0] > 3 * view.pixels.shape[1]
    truth = {}
    for bone, model in models.items():
        pose = drawn[bone].world_from_bone
        local = (drawn[bone].mesh.vertices - pose[:3, 3]) @ pose[:3, :3]
        b = model.coefficients(local, noise_mm=0.5)
        points = points_in_world(model, "right", b, pose)
        truth[bone] = view.geometry.project(np.stack(list(points.values())))

    def seen(detector: OnnxDetector) -> dict[tuple[str, str], float]:
        """How far off [px] each feature point is that was told; the image has 1.9 px per mm."""
        reading = detector(view, side="right", bones=BONES)[0]
        off = {}
        for bone, found in reading.items():
            names = found.class_probability.argmax(axis=1)
            gaps = np.linalg.norm(found.points_px - truth[bone][names], axis=1)
            for name, gap in zip(names, gaps, strict=True):
                key = bone, models[bone].point_names[name]
                off[key] = min(gap, off.get(key, np.inf))
        return off

    windowed = seen(OnnxDetector(num_threads=1))
    monkeypatch.setattr(_windows, "_LONGEST", 9.0)
    whole = seen(OnnxDetector(num_threads=1))
    assert windowed["femur", "femoral_head_center"] < 20.0
    assert windowed["tibia", "plafond_center"] < 20.0
    assert np.median(list(windowed.values())) < 0.6 * np.median(list(whole.values()))
