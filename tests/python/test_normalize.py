"""What the detector sees of an image does not depend on how the image was stored."""

from __future__ import annotations

import numpy as np
import pytest

from osteoform._normalize import CLIP, INPUT_PX, normalize, pad_to_multiple, shrink


def bumps(rows: int, columns: int) -> np.ndarray:
    """A smooth image with contrast everywhere, in [0, 1]."""
    v, u = np.mgrid[:rows, :columns] / max(rows, columns)
    image = 0.5 + 0.2 * np.sin(17 * u) * np.cos(23 * v) + 0.2 * np.sin(5 * u + 3 * v)
    return image.astype(np.float32)


def test_shrink_averages_areas():
    image = bumps(640, 512)
    small, scale = shrink(image, 64)
    assert small.shape == (64, 51)
    assert scale == pytest.approx((10.0, 10.0))
    assert small[3, 5] == pytest.approx(image[30:40, 50:60].mean(), abs=5e-3)
    assert small.mean() == pytest.approx(image[:, :510].mean(), abs=1e-4)


@pytest.mark.parametrize("shape", [(1760, 1760), (800, 400), (300, 700), (90, 40)])
def test_a_dot_maps_back_to_where_it_was(shape):
    v, u = 0.3 * shape[0], 0.6 * shape[1]
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    width = 4 * max(1.0, max(shape) / INPUT_PX)
    dot = np.exp(-((rows - v) ** 2 + (columns - u) ** 2) / (2 * width**2)).astype(np.float32)
    small, scale = shrink(dot, INPUT_PX)
    weight = small / small.sum()
    found = [(weight.sum(i) * np.arange(small.shape[1 - i])).sum() for i in (0, 1)]
    back = (np.array(found) + 0.5) * scale - 0.5
    np.testing.assert_allclose(back, [u, v], atol=0.6 * max(scale))


@pytest.mark.parametrize(("gain", "offset"), [(255.0, 0.0), (65535.0, 0.0), (0.3, -7.0)])
def test_gain_and_offset_do_not_matter(gain, offset):
    image = bumps(500, 400)
    expected = normalize(image, dark_is_dense=True).values
    stretched = normalize((image * gain + offset).astype(np.float32), dark_is_dense=True).values
    np.testing.assert_allclose(stretched, expected, atol=2e-2)


def test_inverted_image_reads_the_same():
    image = bumps(500, 400)
    expected = normalize(image, dark_is_dense=True).values
    inverted = normalize(1.0 - image, dark_is_dense=False).values
    np.testing.assert_allclose(inverted, expected, atol=1e-3)


def test_dense_is_bright():
    image = np.full((256, 256), 0.8, np.float32) + 0.01 * bumps(256, 256)
    image[100:150, 100:150] *= 0.5
    values = normalize(image, dark_is_dense=True).values
    assert values[125, 125] > values[125, 60] + 1


def test_saturated_air_does_not_drown_the_bone_beside_it():
    image = 0.4 + 0.02 * bumps(256, 256)
    image[:, 128:] = 1.0
    values = normalize(image, dark_is_dense=True).values
    assert values[30:-30, 70:120].std() > 0.4


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (300, 300), (2, 3)])
def test_images_without_content_are_harmless(shape):
    constant = normalize(np.full(shape, 7.0, np.float32), dark_is_dense=True).values
    assert np.isfinite(constant).all()
    assert np.abs(constant).max() <= CLIP
    broken = normalize(np.full(shape, np.nan, np.float32), dark_is_dense=True).values
    assert np.isfinite(broken).all()


def test_padding_is_at_the_bottom_right():
    padded = pad_to_multiple(np.ones((65, 64), np.float32), 64)
    assert padded.shape == (128, 64)
    assert padded[:65].all()
    assert not padded[65:].any()
