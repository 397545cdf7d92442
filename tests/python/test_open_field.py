"""The collimator's shadow is cut off before an image is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import osteoform
from osteoform._detect import OnnxDetector
from osteoform._open_field import open_field
from osteoform._trial import simulate_trial
from osteoform._types import Mesh


def leg(rng: np.random.Generator, shape=(600, 300)) -> np.ndarray:
    """A dark strip in bright air, with noise."""
    image = np.full(shape, 0.9)
    image[:, shape[1] // 3 : 2 * shape[1] // 3] = 0.3
    return (image + rng.normal(0.0, 0.01, shape)).astype(np.float32)


def shadowed(image: np.ndarray, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    """The image between margins of shadow, which is dark."""
    return np.pad(image, (rows, columns), constant_values=0.0)


@pytest.mark.parametrize("margins", [((0, 0), (0, 0)), ((37, 0), (0, 150)), ((80, 90), (200, 210))])
@pytest.mark.parametrize("dark_is_dense", [True, False])
def test_what_lies_within_the_shadow_is_kept(rng, margins, dark_is_dense):
    image = shadowed(leg(rng), *margins)
    field = open_field(image if dark_is_dense else 1.0 - image, dark_is_dense=dark_is_dense)
    step = max(image.shape) // 256
    for found, (before, after), length in zip(
        (field.rows, field.columns), margins, image.shape, strict=True
    ):
        assert before - step <= found[0] <= before
        assert length - after <= found[1] <= length - after + step
    assert field.of(image).shape == (np.ptp(field.rows), np.ptp(field.columns))
    np.testing.assert_array_equal(field.offset_px, [field.columns[0], field.rows[0]])


def test_air_and_a_bright_letter_are_no_shadow(rng):
    image = np.pad(leg(rng), ((0, 0), (150, 150)), constant_values=0.95)
    image[250:280, 20:40] = 0.0  # a lead letter beside the leg
    field = open_field(image, dark_is_dense=True)
    assert field.rows == (0, image.shape[0])
    assert field.columns == (0, image.shape[1])


@pytest.mark.parametrize("image", [np.zeros((50, 40)), np.full((40, 50), np.nan), np.eye(60)])
def test_images_of_hardly_anything_stay_whole(image):
    pixels = image.astype(np.float32)
    field = open_field(pixels, dark_is_dense=True)
    assert field.of(pixels).shape == image.shape


def test_places_are_told_in_the_whole_image(rng):
    """With shadow around it, the same network sees the same: only further right and down."""
    model = osteoform.load_model(bone="femur")
    bone = Mesh(vertices=model.instance(np.zeros(model.num_modes)), faces=model.faces)
    view = simulate_trial(bone, rng, view_names=("ap",)).views[0]
    wide = replace(view, pixels=shadowed(view.pixels, (0, 0), (100, 80)))
    detector = OnnxDetector(num_threads=1)
    alone, within = (detector(v, side="right", bones=("femur",))[0]["femur"] for v in (view, wide))
    places = [
        dict(zip(found.class_probability.argmax(axis=1).tolist(), found.points_px, strict=True))
        for found in (alone, within)
    ]
    shared = set(places[0]) & set(places[1])
    off = [np.linalg.norm(places[1][n] - places[0][n] - [100, 0]) for n in shared]
    assert len(shared) >= 10
    assert np.median(off) < 15.0  # of 1300 px; the shadow is 100 wide
