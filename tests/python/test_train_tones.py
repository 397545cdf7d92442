"""Training: dice, and sums over the pixels of a batch."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch")

from osteoform.train import tones
from osteoform.train.dice import Dice
from osteoform.train.tones import (
    enlarged,
    gaussian_taps,
    of_each,
    percentiles,
    smoothed,
    veiled,
    window_taps,
)


def throws(dice: Dice) -> list[torch.Tensor]:
    return [
        dice.uniform(-1.0, 2.0, 3),
        dice.log_uniform(0.1, 10.0),
        dice.normal(2.0, 4),
        dice.chance(0.3),
        dice.below(7),
        dice.choice((1.0, 2.0, 5.0)),
    ]


def test_dice_fall_alike_for_the_same_seed_only():
    first, again, other = (throws(Dice.seeded(seed, 50)) for seed in (3, 3, 4))
    for one, same, different in zip(first, again, other, strict=True):
        assert len(one) == 50
        assert torch.equal(one, same)
        assert not torch.equal(one, different)


def test_numbers_lie_between_their_bounds_and_fill_them():
    dice = Dice.seeded(0, 4000)
    low = torch.linspace(-5.0, 5.0, 4000)
    share = (dice.uniform(low, low + 2.0) - low) / 2.0
    logarithm = dice.log_uniform(0.01, 100.0).log10() / 4 + 0.5
    for values in (share, logarithm):
        deciles = torch.histc(values, 10, 0.0, 1.0)
        assert deciles.sum() == 4000
        assert deciles.min() > 300
    assert float(dice.normal(3.0).std()) == pytest.approx(3.0, rel=0.05)
    assert float(dice.chance(0.2, 5).float().mean()) == pytest.approx(0.2, abs=0.02)


def test_whole_numbers_are_below_their_limits_and_reach_them():
    dice = Dice.seeded(1, 6000)
    limits = torch.tensor([1, 2, 3, 8, 50, 1_000_000]).repeat(1000)
    drawn = dice.below(limits)
    assert drawn.dtype == torch.int64
    assert ((drawn >= 0) & (drawn < limits)).all()
    for limit in (1, 2, 3, 8, 50):
        assert drawn[limits == limit].unique().tolist() == list(range(limit))
    counts = torch.bincount(dice.below(6))
    assert len(counts) == 6
    assert counts.min() > 850


def test_a_share_rounded_up_to_one_stays_below_the_limit(monkeypatch):
    dice = Dice.seeded(0, 1)
    monkeypatch.setattr(Dice, "uniform", lambda *_: torch.ones(1))
    assert dice.below(7).tolist() == [6]
    assert dice.below(torch.tensor([7])).tolist() == [6]


@pytest.mark.parametrize(
    ("shares", "want"), [(None, (1 / 3, 1 / 3, 1 / 3)), ((0.45, 0.35, 0.2), (0.45, 0.35, 0.2))]
)
def test_choices_come_in_their_shares(shares, want):
    chosen = Dice.seeded(2, 20000).choice((4.0, 0.0, -1.5), shares)
    found = [float((chosen == value).float().mean()) for value in (4.0, 0.0, -1.5)]
    assert found == pytest.approx(want, abs=0.015)
    assert sum(found) == pytest.approx(1.0)


@pytest.mark.parametrize("every", [1, 2])
def test_percentiles_are_of_the_pixels_inside(monkeypatch, rng, every):
    monkeypatch.setattr(tones, "_EVERY", every)
    images = rng.uniform(size=(3, 40, 30)).astype(np.float32)
    inside = rng.uniform(size=images.shape) < 0.6
    inside[1] = True
    each = rng.uniform(20.0, 80.0, 3).astype(np.float32)
    found = percentiles(*map(torch.from_numpy, (images, inside)), 0.2, torch.from_numpy(each), 99.8)
    for k in range(3):
        counted = images[k, ::every, ::every][inside[k, ::every, ::every]]
        for values, percent in zip(found, (0.2, each[k], 99.8), strict=True):
            low, high = (np.percentile(counted, percent, method=m) for m in ("lower", "higher"))
            assert low <= float(values[k]) <= high


def test_a_blur_is_that_of_scipy(rng):
    images, sd_px = rng.uniform(size=(3, 20, 31)).astype(np.float32), (0.05, 0.4, 1.1)
    blurred = smoothed(torch.from_numpy(images), gaussian_taps(torch.tensor(sd_px)))
    for image, sd, found in zip(images, sd_px, blurred.numpy(), strict=True):
        want = ndimage.gaussian_filter(image, sd, mode="nearest", radius=3)
        np.testing.assert_allclose(found, want, atol=1e-5)


def test_a_window_is_as_wide_as_told(rng):
    taps = window_taps(torch.tensor([1.0, 2.0, 3.0, 5.0, 7.0]))
    torch.testing.assert_close(taps.sum(1), torch.ones(5))
    assert taps[0].tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert taps[1].tolist() == [0, 0, 0.25, 0.5, 0.25, 0, 0]
    images = torch.from_numpy(rng.uniform(size=(3, 12, 14)).astype(np.float32))
    for image, width, found in zip(images, (3, 5, 7), smoothed(images, taps[2:]), strict=True):
        want = ndimage.uniform_filter(image.numpy(), width, mode="nearest")
        np.testing.assert_allclose(found, want, atol=1e-5)


def test_blurs_keep_what_is_even():
    even, sd = torch.full((2, 64, 48), 0.3), torch.tensor([0.7, 2.5])
    torch.testing.assert_close(smoothed(even, gaussian_taps(sd)), even)
    torch.testing.assert_close(veiled(even, 16, sd), even)


def test_a_wide_blur_is_that_of_the_means_of_cells(rng):
    images, sd_cells = rng.uniform(size=(2, 60, 45)).astype(np.float32), (0.7, 2.5)
    blurred = veiled(torch.from_numpy(images), 5, torch.tensor(sd_cells)).numpy()
    for image, sd, found in zip(images, sd_cells, blurred, strict=True):
        cells = image.reshape(12, 5, 9, 5).mean((1, 3))
        blur = {"sigma": sd, "mode": "constant", "truncate": 12.0}
        inside = ndimage.gaussian_filter(np.ones_like(cells), **blur)
        want = ndimage.gaussian_filter(cells, **blur) / inside
        np.testing.assert_allclose(found[2::5, 2::5], want, atol=1e-5)


def test_enlarged_images_keep_their_places():
    small = torch.arange(8.0).expand(1, 6, 8)
    large = enlarged(small, (24, 32))
    at = ((torch.arange(32) + 0.5) / 4 - 0.5).clamp(0, 7)
    torch.testing.assert_close(large[0], at.expand(24, 32))
    assert of_each(torch.arange(3)).shape == (3, 1, 1)
