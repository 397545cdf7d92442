"""The training run: learn from one batch after the other, save, resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from osteoform._split import learned_from
from osteoform.train.dataset import Batch, Kind
from osteoform.train.network import Channels, FeatureNet
from osteoform.train.steps import Optimizers, Stepper, new_optimizers, set_rate, settle
from osteoform.train.stock import PACK_SIZE, Packs, batches
from osteoform.train.thaw import load_exported, unfold
from osteoform.train.workshop import Workshop

_WARM_UP = 0.02
_LAST_RATE = 0.01
_MEAN_DECAY = 0.999
_SAVE_EVERY_S = 120.0
_UNFOLD_BATCHES, _UNFOLD_ROUNDS = 24, 2
_PROGRESS = ("step", "images", "elapsed_s", "precision", "peak_rate")
_COMMAND = "osteoform train --data LLP26"

Progress = Callable[[float, str], None]


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """What a training run did.

    `losses` are running means at the end; `history` lists the commands of the runs whose weights
    this one began with, the first one first, and its own. No image is used twice; `scenes` are
    those that they were made of.
    """

    steps: int
    images: int
    scenes: int
    minutes: float
    seed: int
    threads: int
    precision: str
    people: tuple[int, ...]
    losses: dict[str, float]
    history: tuple[str, ...]
    checkpoint: Path


@dataclass
class _Run:
    """What a checkpoint holds."""

    net: FeatureNet
    mean: FeatureNet
    optimizers: Optimizers
    step: int = 0
    images: int = 0
    elapsed_s: float = 0.0
    precision: str = ""
    peak_rate: float = 1.0
    history: tuple[str, ...] = ()

    def save(self, path: Path) -> None:
        state = {
            "net": self.net.state_dict(),
            "mean": self.mean.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "history": list(self.history),
            **{name: getattr(self, name) for name in _PROGRESS},
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.rename(path)

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True, map_location="cpu")
        self.net.load_state_dict(state["net"])
        self.mean.load_state_dict(state["mean"])
        for optimizer, stored in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(stored)
        for name in _PROGRESS:
            setattr(self, name, state[name])
        self.history = tuple(state["history"])

    def move_to(self, device: torch.device) -> None:
        """Go on on another device."""
        self.net.to(device)
        self.mean.to(device)
        for optimizer in self.optimizers:
            settle(optimizer, device)

    def begin_with(self, path: Path, images: Iterable[Tensor]) -> None:
        """Take the weights of another run; steps and rates start anew.

        Those of an exported network need some batches of `images` to be unfolded with.
        """
        if path.suffix == ".onnx":
            self.history = load_exported(self.net, path)
            unfold(self.net, images)
        else:
            state = torch.load(path, weights_only=True, map_location="cpu")
            self.net.load_state_dict(state["mean"])
            self.history = tuple(state["history"])
        self.mean.load_state_dict(self.net.state_dict())


def run_training(
    *,
    data: Path,
    out: Path,
    workshop: Workshop,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    resume: bool = False,
    start_from: Path | None = None,
    peak_rate: float = 1.0,
    progress: Progress | None = None,
) -> TrainingReport:
    """Train the detector on simulated X-rays of the people who are not held out.

    Parameters
    ----------
    data
        Folder with `*_left_<bone>.npz`: legs in correspondence.
    out
        Where `checkpoint.pt` goes.
    workshop
        With what.
    minutes, steps
        When to stop; exactly one. The same steps, seed and threads give the same network on
        processors that both have bfloat16 or both have not; on a GPU it depends on the last bits.
    resume
        Go on from `checkpoint.pt`; `minutes` and `steps` count from the very start.
    start_from
        The checkpoint or the exported network of another run, whose weights are trained further.
    peak_rate
        Share of the rates that suit weights at random: less for weights that were trained before,
        which have to learn, not to forget. A run that is resumed keeps its own.
    progress
        Called with the share done and a line about the losses.
    """
    if (minutes is None) == (steps is None):
        raise ValueError("give either minutes or steps")
    torch.manual_seed(seed)
    torch.set_num_threads(workshop.threads)
    people = learned_from()
    run = _new_run()
    checkpoint = out / "checkpoint.pt"
    out.mkdir(parents=True, exist_ok=True)
    packs = Packs(data, people, seed)
    supply = workshop.supply
    if start_from is not None:
        few = replace(supply, rounds=_UNFOLD_ROUNDS)
        first = islice(batches(packs, few, torch.device("cpu"), 0), _UNFOLD_BATCHES)
        run.begin_with(start_from, (batch.images for _, batch in first))
    if resume:
        run.load(checkpoint)
    else:
        length = f"--steps {steps}" if steps else f"--minutes {minutes:g}"
        rate = f" --rate {peak_rate:g}" if peak_rate != 1 else ""
        run.peak_rate = peak_rate
        run.precision = "bfloat16" if workshop.half_precision else "single"
        run.history += (f"{_COMMAND} {length}{rate} --seed {seed} {workshop.options}",)
    run.move_to(workshop.device)
    stream = batches(packs, supply, workshop.device, run.step)
    means = _learn(run, out, stream, workshop, minutes, steps, progress)
    run.save(checkpoint)
    return TrainingReport(
        steps=run.step,
        images=run.images,
        scenes=PACK_SIZE * supply.packs_at(max(0, run.step - 1)),
        minutes=run.elapsed_s / 60,
        seed=seed,
        threads=workshop.threads,
        precision=run.precision,
        people=people,
        losses=means,
        history=run.history,
        checkpoint=checkpoint,
    )


def load_network(checkpoint: Path) -> FeatureNet:
    """The averaged network of a checkpoint, ready for use."""
    run = _new_run()
    run.load(checkpoint)
    return run.mean.eval()


def _new_run() -> _Run:
    net = FeatureNet(Channels.of_contract())
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return _Run(net=net, mean=deepcopy(net), optimizers=new_optimizers(net))


def _learn(
    run: _Run,
    out: Path,
    stream: Iterator[tuple[Kind, Batch]],
    workshop: Workshop,
    minutes: float | None,
    steps: int | None,
    progress: Progress | None,
) -> dict[str, float]:
    step = Stepper(run.net, run.optimizers, half_precision=workshop.half_precision)
    average = _Average(run.mean, run.net)
    before, start, saved = run.elapsed_s, time.monotonic(), time.monotonic()
    means: dict[str, Tensor] = {}
    while True:
        run.elapsed_s = before + time.monotonic() - start
        done = run.step / steps if steps else run.elapsed_s / (60 * (minutes or 1))
        if done >= 1:
            return {name: float(value) for name, value in means.items()}
        set_rate(run.optimizers, run.peak_rate * _rate(done))
        kind, batch = next(stream)
        # Images that all lie on a side are no sample of all: their statistics would give them
        # away. Weights that were trained before have better statistics than a batch.
        found = step(batch, as_in_use=kind.lying or len(run.history) > 1)
        run.images += len(batch.images)
        run.step += 1
        average(run.step)
        means = {n: torch.lerp(v, means.get(n, v), 0.98) for n, v in found.items()}
        if progress and run.step % 20 == 0:
            line = " ".join(f"{name} {float(value):.3f}" for name, value in means.items())
            progress(done, f"step {run.step}: {line}")
        if time.monotonic() - saved > _SAVE_EVERY_S:
            run.save(out / "checkpoint.pt")
            saved = time.monotonic()


def _rate(done: float) -> float:
    """Warm up, then a cosine down."""
    if done < _WARM_UP:
        return max(0.02, done / _WARM_UP)
    share = (done - _WARM_UP) / (1 - _WARM_UP)
    return _LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * share))


class _Average:
    """Exponential mean of a network's weights and of its normalisation statistics."""

    def __init__(self, mean: FeatureNet, net: FeatureNet) -> None:
        pairs = zip(mean.state_dict().values(), net.state_dict().values(), strict=True)
        self._pairs = [(m, n) for m, n in pairs if n.is_floating_point()]

    @torch.no_grad()
    def __call__(self, step: int) -> None:
        decay = min(_MEAN_DECAY, (1 + step) / (10 + step))
        means, now = zip(*self._pairs, strict=True)
        torch._foreach_lerp_(means, now, 1 - decay)
