"""The training run: render in the background, learn, save, resume."""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from osteoform._split import learned_from
from osteoform.train.dataset import Batch, BatchStream, PoolPlan, render_pool
from osteoform.train.losses import losses
from osteoform.train.muon import Muon
from osteoform.train.network import Channels, FeatureNet
from osteoform.train.thaw import load_exported, unfold

BATCH_SIZE = 16

_NUM_SCENES = 14000
_SCENES_PER_BATCH = 4.0
_ADAM_RATE = 2e-3
_MUON_RATE = 0.02
_MUON_MOMENTUM = 0.95
_WARM_UP = 0.02
_LAST_RATE = 0.01
# Of the rates, for weights that were trained before: they have to learn, not to forget.
_RESTART_RATE = 0.2
_MEAN_DECAY = 0.999
_SAVE_EVERY_S = 120.0
_WORKERS = 2
_UNFOLD_BATCHES = 24
_COMMAND = "osteoform train --data LLP26"

Progress = Callable[[float, str], None]
Optimizers = tuple[torch.optim.Optimizer, ...]


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """What a training run did.

    `losses` are running means at the end; `history` lists the commands of the runs whose weights
    this one began with, the first one first, and its own.
    """

    steps: int
    images_seen: int
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
    elapsed_s: float = 0.0
    history: tuple[str, ...] = ()

    def save(self, path: Path) -> None:
        state = {
            "net": self.net.state_dict(),
            "mean": self.mean.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "history": list(self.history),
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.rename(path)

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.mean.load_state_dict(state["mean"])
        for optimizer, stored in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(stored)
        self.step, self.elapsed_s = state["step"], state["elapsed_s"]
        self.history = tuple(state["history"])

    def begin_with(self, path: Path, batches: Iterable[Batch]) -> None:
        """Take the weights of another run; steps and rates start anew.

        Those of an exported network need some batches of images to be unfolded with.
        """
        if path.suffix == ".onnx":
            self.history = load_exported(self.net, path)
            unfold(self.net, (batch.images for batch in batches))
        else:
            state = torch.load(path, weights_only=True)
            self.net.load_state_dict(state["mean"])
            self.history = tuple(state["history"])
        self.mean.load_state_dict(self.net.state_dict())


def run_training(
    *,
    data: Path,
    out: Path,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    threads: int = 2,
    resume: bool = False,
    start_from: Path | None = None,
    progress: Progress | None = None,
) -> TrainingReport:
    """Train the detector on simulated X-rays of the people who are not held out.

    Parameters
    ----------
    data
        Folder with `*_left_<bone>.npz`: legs in correspondence.
    out
        Where scenes and `checkpoint.pt` go.
    minutes, steps
        When to stop; exactly one. The same steps, seed and threads give the same network on
        processors that both have bfloat16 or both have not.
    threads
        Threads of PyTorch; rendering and image making have three processes of their own.
    resume
        Go on from `checkpoint.pt`; `minutes` and `steps` count from the very start.
    start_from
        The checkpoint or the exported network of another run, whose weights are trained further.
    progress
        Called with the share done and a line about the losses.
    """
    if (minutes is None) == (steps is None):
        raise ValueError("give either minutes or steps")
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    people = learned_from()
    plan = PoolPlan(bones=data, people=people, num_scenes=_NUM_SCENES, seed=seed)
    run = _new_run()
    checkpoint = out / "checkpoint.pt"
    stream = BatchStream(
        out / "scenes",
        plan,
        batch_size=BATCH_SIZE,
        seed=seed,
        scenes_per_batch=_SCENES_PER_BATCH,
    )
    context = multiprocessing.get_context("spawn")
    renderer = context.Process(target=render_pool, args=(out / "scenes", plan), daemon=True)
    renderer.start()
    try:
        if start_from is not None:
            run.begin_with(start_from, (stream[index] for index in range(_UNFOLD_BATCHES)))
        if resume:
            run.load(checkpoint)
        else:
            length = f"--steps {steps}" if steps else f"--minutes {minutes:g}"
            run.history += (f"{_COMMAND} {length} --seed {seed} --threads {threads}",)
        means = _learn(run, out, stream, minutes, steps, progress)
    finally:
        renderer.terminate()
    run.save(checkpoint)
    return TrainingReport(
        steps=run.step,
        images_seen=run.step * BATCH_SIZE,
        minutes=run.elapsed_s / 60,
        seed=seed,
        threads=threads,
        precision="bfloat16" if half_precision() else "single",
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


def learn_batch(
    net: FeatureNet, optimizers: Optimizers, batch: Batch, channels: Channels
) -> dict[str, float]:
    """One step downhill; returns the losses before it."""
    net.train()
    images = batch.images.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=half_precision()):
        readout = net(images)
    found = losses(readout, batch, channels.ellipse_heat)
    net.zero_grad(set_to_none=True)
    torch.autograd.backward(found.total)
    nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    for optimizer in optimizers:
        optimizer.step()
    return {name: float(value.detach()) for name, value in vars(found).items()}


@cache
def half_precision() -> bool:
    """Whether this processor multiplies bfloat16 itself; where it does not, it is ten times slower."""
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("amx_bf16") or known.get("avx512_bf16"))


def new_optimizers(net: FeatureNet) -> Optimizers:
    """Muon for the convolutions inside, AdamW for the rest."""
    inside = [*net.down.parameters(), *net.up.parameters()]
    convolutions = [weight for weight in inside if weight.ndim == 4]
    chosen = {id(weight) for weight in convolutions}
    rest = [weight for weight in net.parameters() if id(weight) not in chosen]
    return (
        Muon(convolutions, lr=_MUON_RATE, momentum=_MUON_MOMENTUM),
        torch.optim.AdamW(rest, lr=_ADAM_RATE, weight_decay=1e-4),
    )


def _new_run() -> _Run:
    net = FeatureNet(Channels.of_contract())
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return _Run(net=net, mean=deepcopy(net), optimizers=new_optimizers(net))


def _learn(
    run: _Run,
    out: Path,
    stream: BatchStream,
    minutes: float | None,
    steps: int | None,
    progress: Progress | None,
) -> dict[str, float]:
    channels = Channels.of_contract()
    batches = iter(
        DataLoader(
            stream,
            batch_size=None,
            sampler=range(run.step, steps or len(stream)),
            num_workers=_WORKERS,
            prefetch_factor=4,
            collate_fn=_as_is,
            worker_init_fn=_one_thread,
            multiprocessing_context="spawn",
        )
    )
    before, start, saved = run.elapsed_s, time.monotonic(), time.monotonic()
    means: dict[str, float] = {}
    while True:
        run.elapsed_s = before + time.monotonic() - start
        done = run.step / steps if steps else run.elapsed_s / (60 * (minutes or 1))
        if done >= 1:
            return means
        for optimizer, peak in zip(run.optimizers, (_MUON_RATE, _ADAM_RATE), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * _rate(done) * (1.0 if len(run.history) == 1 else _RESTART_RATE)
        found = learn_batch(run.net, run.optimizers, next(batches), channels)
        run.step += 1
        _average(run)
        means = {n: 0.98 * means.get(n, v) + 0.02 * v for n, v in found.items()}
        if progress and run.step % 20 == 0:
            line = " ".join(f"{name} {value:.3f}" for name, value in means.items())
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


@torch.no_grad()
def _average(run: _Run) -> None:
    """Exponential mean of the weights and of the normalisation statistics."""
    decay = min(_MEAN_DECAY, (1 + run.step) / (10 + run.step))
    now, mean = run.net.state_dict(), run.mean.state_dict()
    names = [name for name, value in now.items() if value.is_floating_point()]
    torch._foreach_lerp_([mean[n] for n in names], [now[n] for n in names], 1 - decay)


def _as_is(batch: Any) -> Any:
    return batch


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
