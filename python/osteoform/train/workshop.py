"""What a training run works with: a processor or a GPU, and how many processes feed it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from osteoform._errors import InputError
from osteoform.train.stock import Supply

_CPU_WORKERS = 3
_GPU_IMAGES_PER_SCENE = 8
# Rounds of scenes kept: 80 MB each.
_CPU_ROUNDS, _GPU_ROUNDS = 25, 400
_ROUND_BYTES = 80e6
_MEMORY_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Where a network learns, and of how much.

    Attributes
    ----------
    device
        Where the network is: `cpu`, or `cuda`.
    threads
        Threads of PyTorch on the processor.
    workers
        Processes beside it that render scenes.
    batch_size
        Images per step.
    images_per_scene
        Images made of every scene, on average.
    rounds
        Rounds of scenes kept, see `stock.Supply`.
    """

    device: torch.device
    threads: int
    workers: int
    batch_size: int
    images_per_scene: float
    rounds: int

    @property
    def supply(self) -> Supply:
        """How it is supplied."""
        return Supply(
            batch_size=self.batch_size,
            images_per_scene=self.images_per_scene,
            rounds=self.rounds,
            workers=self.workers,
        )

    @property
    def options(self) -> str:
        """The options of `osteoform train` that choose it."""
        threads = f"--threads {self.threads}"
        if self.device.type == "cpu":
            return threads
        return f"{threads} --device {self.device.type} --workers {self.workers}"

    @property
    def half_precision(self) -> bool:
        """Whether most of the network learns in bfloat16."""
        return self.device.type == "cuda" or _multiplies_bfloat16()


def open_workshop(device: str | None, *, threads: int, workers: int | None) -> Workshop:
    """The workshop of a device: the GPU where there is one, unless told otherwise.

    A GPU learns, and makes images, faster than scenes are rendered: batches are larger, and more
    images are made of every scene.

    Raises
    ------
    InputError
        `device` is not there.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda needs a GPU that PyTorch can use, found none: use cpu")
    if device == "cpu" or (device is None and not torch.cuda.is_available()):
        return Workshop(
            device=torch.device("cpu"),
            threads=threads,
            workers=workers or _CPU_WORKERS,
            batch_size=16,
            images_per_scene=4,
            rounds=_CPU_ROUNDS,
        )
    return Workshop(
        device=torch.device("cuda"),
        threads=threads,
        workers=workers or max(2, (os.cpu_count() or 2) - 1),
        batch_size=64,
        images_per_scene=_GPU_IMAGES_PER_SCENE,
        rounds=_gpu_rounds(),
    )


def _gpu_rounds() -> int:
    """As many as half of the free memory holds."""
    free, _ = torch.cuda.mem_get_info()
    return max(2, min(_GPU_ROUNDS, int(_MEMORY_SHARE * free / _ROUND_BYTES)))


@cache
def _multiplies_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself; where it does not, it is ten times slower."""
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("amx_bf16") or known.get("avx512_bf16"))
