"""Scenes on hand, rendered without end by other processes, and the batches made of them.

A batch is a function of seed and step, whatever number of processes render: scenes come in packs
in a fixed order, a step waits for those that it counts on, and draws from the latest ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from osteoform.train.clutter import draw_bank
from osteoform.train.dataset import KIND_SHARE, KINDS, SHAPES, Batch, Kind, Scenes, make_batch
from osteoform.train.dice import Dice
from osteoform.train.legs import LegAtlas, load_atlas
from osteoform.train.scenes import sample_scene

PACK_SIZE = 8
# Packs of each shape in a round, in an order that mixes them.
_SHAPE_PACKS = (11, 5, 2, 2)
_FIRST_ROUNDS = 2
_CLUTTER_COUNT = 240
_SEED_STRIDE = 1_000_003
_WAIT_S = 600.0


def _round_order() -> tuple[int, ...]:
    slots = sorted(((i + 0.5) / n, k) for k, n in enumerate(_SHAPE_PACKS) for i in range(n))
    return tuple(k for _, k in slots)


_ROUND = _round_order()
SCENES_PER_ROUND = PACK_SIZE * len(_ROUND)


class Packs(Dataset[Scenes]):
    """Packs of PACK_SIZE scenes of one shape, by index."""

    def __init__(self, bones: Path, people: tuple[int, ...], seed: int) -> None:
        self.bones, self.people, self.seed = bones, people, seed

    def __len__(self) -> int:
        return 1 << 30

    def __getitem__(self, index: int) -> Scenes:
        rng = np.random.default_rng((self.seed, index))
        shape = SHAPES[shape_of(index)]
        return Scenes.of([sample_scene(self._atlas, rng, shape=shape) for _ in range(PACK_SIZE)])

    @cached_property
    def _atlas(self) -> LegAtlas:
        return load_atlas(self.bones, self.people)


def shape_of(pack: int) -> int:
    """Which of SHAPES the scenes of a pack have."""
    return _ROUND[pack % len(_ROUND)]


@dataclass(frozen=True, kw_only=True)
class Supply:
    """How a run is supplied.

    Attributes
    ----------
    batch_size
        Images per step.
    images_per_scene
        Images made of every scene, on average.
    rounds
        How many rounds of packs (SCENES_PER_ROUND scenes each) are kept.
    workers
        Processes that render.
    """

    batch_size: int
    images_per_scene: float
    rounds: int
    workers: int

    def packs_at(self, step: int) -> int:
        """Packs that a step counts on."""
        scenes = step * self.batch_size / self.images_per_scene
        return _FIRST_ROUNDS * len(_ROUND) + int(scenes / PACK_SIZE)


class Stock:
    """The latest scenes of every shape, on a device, overwritten in turn."""

    def __init__(self, rounds: int, device: torch.device) -> None:
        self.rounds, self.device = rounds, device
        self._kept: dict[int, Scenes] = {}
        self._count = [0] * len(SHAPES)

    def add(self, shape: int, pack: Scenes) -> None:
        """Keep the scenes of a pack."""
        capacity = self.rounds * _SHAPE_PACKS[shape] * PACK_SIZE
        if shape not in self._kept:
            self._kept[shape] = Scenes(
                **{
                    name: value.new_empty((capacity, *value.shape[1:]), device=self.device)
                    for name, value in vars(pack).items()
                }
            )
        start = self._count[shape] % capacity
        for name, value in vars(pack).items():
            kept = getattr(self._kept[shape], name)
            kept[start : start + PACK_SIZE].copy_(value, non_blocking=True)
        self._count[shape] += PACK_SIZE

    def draw(self, shape: int, dice: Dice) -> Scenes:
        """Scenes of a shape, one per image of the batch, each as likely as any other."""
        kept = self._kept[shape]
        capacity, count = len(kept.layers), self._count[shape]
        age = dice.below(min(count, capacity))
        at = (count - 1 - age) % capacity
        return Scenes(**{f.name: getattr(kept, f.name)[at] for f in fields(kept)})


def batches(
    packs: Packs, supply: Supply, device: torch.device, first_step: int
) -> Iterator[tuple[Kind, Batch]]:
    """The batches of a run from `first_step` on, on its device."""
    wanted = supply.packs_at(first_step)
    came = max(0, (wanted // len(_ROUND) - supply.rounds) * len(_ROUND))
    stock, bank = Stock(supply.rounds, device), draw_bank(_CLUTTER_COUNT, packs.seed, device)
    rng = torch.Generator(device)
    rendered = iter(_loader(packs, supply.workers, came, device))
    step = first_step
    while True:
        missing = supply.packs_at(step) - came
        for pack in islice(rendered, missing):
            stock.add(shape_of(came), pack)
            came += 1
        rng.manual_seed(packs.seed * _SEED_STRIDE + step)
        which = np.random.default_rng((packs.seed, step)).choice(len(KINDS), p=KIND_SHARE)
        kind, dice = KINDS[which], Dice(rng, supply.batch_size)
        yield kind, make_batch(stock.draw(kind.source, dice), bank, dice, kind)
        step += 1


def _loader(packs: Packs, workers: int, first: int, device: torch.device) -> Any:
    return DataLoader(
        packs,
        batch_size=None,
        sampler=range(first, len(packs)),
        num_workers=workers,
        prefetch_factor=4,
        collate_fn=_as_is,
        worker_init_fn=_one_thread,
        multiprocessing_context="spawn",
        pin_memory=device.type == "cuda",
        timeout=_WAIT_S,
    )


def _as_is(pack: Any) -> Any:
    return pack


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
