"""Training: what the network sees of a batch is what the detector sees of each image."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from osteoform._normalize import CLIP, normalize
from osteoform.train import tones
from osteoform.train.dice import Dice
from osteoform.train.look import normalized
from osteoform.train.randomize import Exposure, Extent, draw_warps, expose
from osteoform.train.scenes import MARGIN_PX
from toy_scenes import toy_scenes

COUNT = 12
SHAPES = [(256, 256), (256, 128)]


def exposed(extent: Extent, seed: int) -> Exposure:
    dice = Dice.seeded(seed, COUNT)
    warp = draw_warps(dice, extent, margin_px=MARGIN_PX)
    nothing = torch.zeros(COUNT, *extent.shape)
    layers = toy_scenes(COUNT, extent.shape, seed).layers
    return expose(layers, warp, dice, extent=extent, clutter=nothing)


def rms(difference: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(difference))))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("every", "limit"), [(1, 1e-3), (2, 0.02)])
def test_a_batch_looks_as_its_images_in_use(monkeypatch, shape, every, limit):
    exposure, extent = exposed(Extent.full(COUNT, shape), 1), Extent.full(COUNT, shape)
    monkeypatch.setattr(tones, "_EVERY", every)
    both = exposure.dark_is_dense
    assert 0 < both.sum() < COUNT
    for dark_is_dense in (both, ~both):
        found = normalized(exposure.pixels, extent.inside, dark_is_dense).numpy()
        for pixels, is_dark, values in zip(exposure.pixels, dark_is_dense, found, strict=True):
            want = normalize(pixels.numpy(), dark_is_dense=bool(is_dark)).values
            assert rms(want) > 0.3
            assert rms(values - want) < limit


@pytest.mark.parametrize(("shape", "axis"), [(SHAPES[0], 0), (SHAPES[0], 1), (SHAPES[1], 1)])
def test_an_image_narrower_than_its_array_looks_as_if_it_were_cut_out(monkeypatch, shape, axis):
    monkeypatch.setattr(tones, "_EVERY", 1)
    sizes = torch.tensor(shape).repeat(COUNT, 1)
    sizes[:, axis] -= 5 * torch.arange(COUNT)
    extent = Extent(shape=shape, sizes=sizes)
    exposure = exposed(extent, 2)
    found = normalized(exposure.pixels, extent.inside, exposure.dark_is_dense)
    assert (found[~extent.inside] == 0).all()
    for k, (rows, columns) in enumerate(sizes.tolist()):
        cut = exposure.pixels[k, :rows, :columns].numpy()
        want = normalize(cut, dark_is_dense=bool(exposure.dark_is_dense[k])).values
        # Beside the cut, windows of blocks go on to where there is no image.
        difference = np.moveaxis(found[k, :rows, :columns].numpy() - want, axis, 0)
        assert rms(difference[:-4]) < 1e-3
        assert rms(difference) < 0.05


def test_what_is_beyond_the_image_does_not_matter():
    extent = Extent(shape=(256, 128), sizes=torch.tensor([[256, 101]]).expand(COUNT, 2))
    exposure = exposed(extent, 3)
    noise = torch.rand(exposure.pixels.shape, generator=torch.Generator().manual_seed(0))
    other = torch.where(extent.inside, exposure.pixels, noise)
    found, same = (
        normalized(pixels, extent.inside, exposure.dark_is_dense)
        for pixels in (exposure.pixels, other)
    )
    torch.testing.assert_close(found, same, atol=1e-4, rtol=0)


@pytest.mark.parametrize("share", [0.03, 0.07])
def test_what_is_nearly_all_saturated_counts_as_a_whole(monkeypatch, rng, share):
    monkeypatch.setattr(tones, "_EVERY", 1)
    extent = Extent(shape=(256, 256), sizes=torch.tensor([[256, 200]]))
    pixels = np.repeat(np.repeat(rng.integers(0, 2, (1, 32, 32)), 8, 1), 8, 2).astype(np.float32)
    grey = rng.uniform(size=pixels.shape) < share
    pixels[grey] = rng.uniform(0.4, 0.7, grey.sum())
    found = normalized(torch.from_numpy(pixels), extent.inside, torch.tensor([True])).numpy()
    want = normalize(pixels[0, :, :200], dark_is_dense=True).values
    assert rms(found[0, :, :196] - want[:, :196]) < 1e-3


@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_images_without_content_are_harmless(level):
    extent = Extent.full(2, (256, 128))
    pixels, dark_is_dense = torch.full((2, 256, 128), level), torch.tensor([True, False])
    found = normalized(pixels, extent.inside, dark_is_dense).numpy()
    for values, is_dark in zip(found, (True, False), strict=True):
        want = normalize(pixels[0].numpy(), dark_is_dense=is_dark).values
        np.testing.assert_allclose(values, want, atol=1e-3)
        assert np.abs(values).max() <= CLIP
