"""Training: scenes on hand, and that a run goes on with the batches it would have had."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count, islice

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from osteoform.train import stock
from osteoform.train.dataset import KIND_SHARE, KINDS, SHAPES, Batch, Kind, Scenes
from osteoform.train.dice import Dice
from osteoform.train.scenes import MARGIN_PX
from osteoform.train.stock import PACK_SIZE, SCENES_PER_ROUND, Packs, Stock, Supply, shape_of
from toy_scenes import ToyPacks, toy_scenes

CPU = torch.device("cpu")
PACKS_PER_ROUND = SCENES_PER_ROUND // PACK_SIZE
# Five packs a step: what is kept is overwritten all the time.
SUPPLY = Supply(batch_size=4, images_per_scene=0.1, rounds=2, workers=2)


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """Packs come from this process; tells which one each run began with, and how many came."""
    noted: list[int] = []

    def in_this_process(packs, workers, first, device):
        noted.append(first)
        return (packs[index] for index in count(first))

    monkeypatch.setattr(stock, "_loader", in_this_process)
    monkeypatch.setattr(stock, "_CLUTTER_COUNT", 3)
    return noted


def the_same(first: tuple[Kind, Batch], second: tuple[Kind, Batch]) -> bool:
    pairs = zip(vars(first[1]).values(), vars(second[1]).values(), strict=True)
    return first[0] == second[0] and all(torch.equal(one, other) for one, other in pairs)


def numbered(first: int, count: int = PACK_SIZE) -> Scenes:
    """Scenes that tell their number."""
    number = torch.arange(first, first + count).float()
    scenes = toy_scenes(count, (8, 8), 0)
    return replace(
        scenes,
        direction=number[:, None].expand(-1, 2).clone(),
        layers=torch.ones_like(scenes.layers) * number[:, None, None, None],
    )


def test_only_the_latest_scenes_are_drawn_each_as_often():
    shape = 2
    capacity = 2 * PACK_SIZE * [shape_of(k) for k in range(PACKS_PER_ROUND)].count(shape)
    kept, dice = Stock(2, CPU), Dice.seeded(0, 100 * capacity)
    for pack in range(11):
        kept.add(shape, numbered(PACK_SIZE * pack))
        came = PACK_SIZE * (pack + 1)
        drawn = kept.draw(shape, dice)
        number = drawn.direction[:, 0]
        assert torch.equal(drawn.layers[:, 0, 0, 0].float(), number)
        found, times = number.unique(return_counts=True)
        assert found.tolist() == list(range(max(0, came - capacity), came))
        share = times / times.sum() * len(times)
        assert 0.4 < share.min() < share.max() < 1.7


def test_shapes_are_kept_apart():
    kept = Stock(1, CPU)
    for shape in range(len(SHAPES)):
        kept.add(shape, numbered(100 * shape))
    for shape in range(len(SHAPES)):
        number = kept.draw(shape, Dice.seeded(0, 50)).direction
        assert ((number >= 100 * shape) & (number < 100 * shape + PACK_SIZE)).all()


def test_every_shape_comes_in_every_round_about_as_often_as_it_is_needed():
    came = [shape_of(k) for k in range(3 * PACKS_PER_ROUND)]
    assert came[:PACKS_PER_ROUND] * 3 == came
    needed = np.zeros(len(SHAPES))
    for kind, share in zip(KINDS, KIND_SHARE, strict=True):
        needed[kind.source] += share
    counts = np.bincount(came[:PACKS_PER_ROUND])
    np.testing.assert_allclose(counts / PACKS_PER_ROUND, needed, atol=0.04)
    for shape, times in enumerate(counts):
        gaps = np.diff([k for k, s in enumerate(came) if s == shape])
        assert gaps.max() <= 2 * math.ceil(PACKS_PER_ROUND / times)


@pytest.mark.parametrize(("rounds", "step"), [(2, 1), (2, 7), (5, 3)])
def test_a_run_that_goes_on_has_the_batches_of_one_that_never_stopped(asked, rounds, step):
    supply, packs = replace(SUPPLY, rounds=rounds), ToyPacks(1)
    want = list(islice(stock.batches(packs, supply, CPU, 0), step, step + 3))
    got = list(islice(stock.batches(packs, supply, CPU, step), 3))
    for one, other in zip(want, got, strict=True):
        assert the_same(one, other)
    assert not the_same(got[0], got[1])
    # No more is rendered again than is kept, and what makes up a round.
    again = supply.packs_at(step) - asked[1]
    assert asked[0] == 0
    assert again <= (rounds + 1) * PACKS_PER_ROUND
    assert asked[1] == 0 or again >= rounds * PACKS_PER_ROUND


def test_batches_of_the_same_scenes_differ(asked):
    supply = replace(SUPPLY, images_per_scene=1000)
    made = list(islice(stock.batches(ToyPacks(), supply, CPU, 0), 8))
    assert supply.packs_at(7) == supply.packs_at(0)
    assert all(batch.images.shape[2:] == kind.shape for kind, batch in made)
    assert len({kind for kind, _ in made}) > 2
    assert len({batch.points.numpy().tobytes() for _, batch in made}) == 8


def test_other_seeds_have_other_batches(asked):
    first, second, same = (
        next(stock.batches(ToyPacks(seed), SUPPLY, CPU, 0)) for seed in (1, 2, 1)
    )
    assert the_same(first, same)
    assert not torch.equal(first[1].points, second[1].points)


def test_a_step_counts_on_the_scenes_its_images_ask_for(monkeypatch):
    supply = replace(SUPPLY, batch_size=16, images_per_scene=4)
    scenes = [PACK_SIZE * supply.packs_at(step) for step in range(1001)]
    assert scenes[0] == 2 * SCENES_PER_ROUND
    assert scenes == sorted(scenes)
    assert scenes[1000] - scenes[0] == 1000 * 16 / 4
    came: list[int] = []

    def one_by_one(packs, workers, first, device):
        for index in count(first):
            came.append(index)
            yield packs[index]

    monkeypatch.setattr(stock, "_loader", one_by_one)
    monkeypatch.setattr(stock, "_CLUTTER_COUNT", 1)
    stream = stock.batches(ToyPacks(), supply, CPU, 0)
    for step in range(4):
        next(stream)
        assert came == list(range(supply.packs_at(step)))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_packs_come_in_order_whatever_number_of_processes_render():
    packs, first = ToyPacks(3), 5
    loaded = list(islice(stock._loader(packs, 2, first, CPU), 7))
    for index, pack in enumerate(loaded, first):
        assert shape_of(index) == shape_of(index + PACKS_PER_ROUND)
        for name, value in vars(packs[index]).items():
            assert torch.equal(getattr(pack, name), value)


def test_a_pack_is_a_function_of_its_index(shared_data):
    bones = shared_data / "bones/llp26"
    used, fresh, other = Packs(bones, (0, 1), 4), Packs(bones, (0, 1), 4), Packs(bones, (0, 1), 5)
    packs = {k: used[k] for k in (0, 1, 2)}
    for name, value in vars(fresh[2]).items():
        assert torch.equal(getattr(packs[2], name), value)
    assert shape_of(0) == shape_of(2) != shape_of(1)
    for different in (packs[0], other[2]):
        assert not torch.equal(packs[2].points, different.points)
    for index, pack in packs.items():
        canvas = [n + 2 * MARGIN_PX for n in SHAPES[shape_of(index)]]
        assert list(pack.layers.shape) == [PACK_SIZE, 3, *canvas]
        assert len(pack.points.flatten(1).unique(dim=0)) == PACK_SIZE
        assert pack.layers.dtype == torch.float16
        assert torch.isfinite(pack.layers).all()
