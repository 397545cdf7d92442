"""Training: batches of every kind, their turns and what they tell of them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from osteoform._normalize import CLIP
from osteoform.train import dataset
from osteoform.train.clutter import draw_bank
from osteoform.train.dataset import KIND_SHARE, KINDS, SHAPES, Batch, Kind, make_batch
from osteoform.train.dice import Dice
from osteoform.train.randomize import Extent
from toy_scenes import toy_scenes
from training_batch import CHANNELS

COUNT = 24


@pytest.fixture(scope="module")
def bank() -> torch.Tensor:
    return draw_bank(4, 0)


def batch_of(kind: Kind, bank: torch.Tensor) -> Batch:
    scenes = toy_scenes(COUNT, SHAPES[kind.source], 3)
    return make_batch(scenes, bank, Dice.seeded(7, COUNT), kind)


def test_kinds_are_all_shapes_upright_and_lying():
    assert [kind.shape for kind in KINDS] == [*SHAPES, (128, 256), (192, 256), (256, 192)]
    assert sum(KIND_SHARE) == pytest.approx(1.0)
    assert len(KIND_SHARE) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_batch_tells_which_images_can_be_read(kind, bank):
    batch = batch_of(kind, bank)
    assert batch.images.shape == (COUNT, 1, *kind.shape)
    assert batch.points.shape == (COUNT, CHANNELS.num_heat, 2)
    assert batch.roots.shape == (COUNT, len(CHANNELS.ellipse_heat), 3)
    assert batch.boxes.shape == (COUNT, 4, 4)
    assert all(torch.isfinite(value).all() for value in vars(batch).values())
    assert batch.images.abs().max() <= CLIP
    assert (batch.images.std((1, 2, 3)) > 0.1).all()
    rejected = batch.upright[:, 0] == 0
    assert batch.visible[rejected].sum() == batch.present[rejected].sum() == 0
    assert (batch.turn.sum(1)[~rejected] == 1).all()
    assert (batch.turn[~rejected, 0] == 1).all()
    assert (batch.turn[rejected, 0] == 0).all()
    if kind.lying:
        assert rejected.all()
        assert (batch.turn[:, 1] + batch.turn[:, 3] == 1).all()
        assert 0 < batch.turn[:, 1].sum() < COUNT
    else:
        assert 0 < rejected.sum() < COUNT / 2
        assert (batch.visible[~rejected].sum(1) > 0).all()
        assert (batch.present[~rejected].sum(1) > 0).all()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_turn_told_sets_the_image_upright(monkeypatch, kind, bank):
    made = []
    turned = dataset._turned

    def noted(values, turns, extent, shape):
        made.append((values, extent.sizes))
        return turned(values, turns, extent, shape)

    monkeypatch.setattr(dataset, "_turned", noted)
    batch = batch_of(kind, bank)
    ((upright, sizes),) = made
    for k, (rows, columns) in enumerate(sizes.tolist()):
        turn = int(batch.turn[k].argmax())
        height, width = (columns, rows) if turn % 2 else (rows, columns)
        image = batch.images[k, 0].numpy().copy()
        shown = np.rot90(image[:height, :width], turn)
        np.testing.assert_array_equal(shown, upright[k, :rows, :columns])
        image[:height, :width] = 0
        assert not image.any()


@pytest.mark.parametrize("shape", [(12, 12), (12, 9)])
@pytest.mark.parametrize("turn", range(4))
def test_turns_are_those_of_numpy(rng, shape, turn):
    sizes = torch.from_numpy(rng.integers((5, 5), np.add(shape, 1), (6, 2)))
    values = torch.from_numpy(rng.normal(size=(6, *shape)))
    into = shape[::-1] if turn % 2 else shape
    extent = Extent(shape=shape, sizes=sizes)
    found = dataset._turned(values, torch.full((6,), turn), extent, into).numpy()
    for image, (rows, columns), got in zip(values.numpy(), sizes.tolist(), found, strict=True):
        content = np.rot90(image[:rows, :columns], turn)
        padding = [(0, n - m) for n, m in zip(into, content.shape, strict=True)]
        np.testing.assert_array_equal(got, np.pad(content, padding))


def test_one_image_in_five_is_rejected_one_of_these_for_its_polarity():
    for kind, turned_by in ((KINDS[0], {1, 2, 3}), (KINDS[1], {2})):
        turns, wrong = dataset._draw_turns(Dice.seeded(0, 10000), kind)
        assert set(turns.unique().tolist()) == {0} | turned_by
        assert not (wrong & (turns > 0)).any()
        assert float((wrong | (turns > 0)).float().mean()) == pytest.approx(0.2, abs=0.015)
        assert float(wrong.float().mean()) == pytest.approx(0.04, abs=0.008)


def test_an_image_of_wrong_polarity_shows_the_same_dark(monkeypatch, bank):
    nowhere = torch.zeros(COUNT, dtype=torch.int64)
    images = []
    for share in (False, True):
        wrong = torch.full((COUNT,), share)
        monkeypatch.setattr(dataset, "_draw_turns", lambda *_, wrong=wrong: (nowhere, wrong))
        batch = batch_of(KINDS[1], bank)
        assert batch.turn.sum() == COUNT * (not share)
        images.append(batch.images.flatten(1))
    for right, wrong in zip(*images, strict=True):
        assert torch.corrcoef(torch.stack([right, wrong]))[0, 1] < -0.3


@pytest.mark.parametrize(
    ("shape", "narrowest"),
    [((256, 256), (200, 200)), ((256, 128), (256, 84)), ((192, 256), (148, 256))],
)
def test_images_have_one_full_side(shape, narrowest):
    sizes = dataset._draw_sizes(Dice.seeded(0, 5000), shape)
    assert tuple(sizes.amin(0).tolist()) == narrowest
    assert tuple(sizes.amax(0).tolist()) == shape
    full = sizes == torch.tensor(shape)
    assert full.any(1).all()
    if shape[0] == shape[1]:
        cut_rows, cut_columns = (~full).float().mean(0).tolist()
        assert cut_rows == pytest.approx(0.4 * 0.7, abs=0.03)
        assert cut_columns == pytest.approx(0.4 * 0.3, abs=0.03)
