"""What a training run works with: a processor or a GPU, and how many processes feed it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from osteoform._errors import InputError

_CPU_WORKERS = 3
_RENDERING_SHARE = 0.15


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
        Processes beside it that render scenes (about one in seven, at least one) and make images.
    batch_size
        Images per step.
    repeats
        How many steps are made of every batch of images; after the first, varied (`vary.py`).
    num_scenes, images_per_scene
        Scenes to render, and images made of each until all are.
    """

    device: torch.device
    threads: int
    workers: int
    batch_size: int
    repeats: int
    num_scenes: int
    images_per_scene: int

    @property
    def renderers(self) -> int:
        """Processes that render scenes."""
        return max(1, round(self.workers * _RENDERING_SHARE))

    @property
    def makers(self) -> int:
        """Processes that make images of them."""
        return max(1, self.workers - self.renderers)

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

    A GPU learns faster than images can be made: batches are larger and each is used several times.

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
            repeats=1,
            num_scenes=14000,
            images_per_scene=4,
        )
    return Workshop(
        device=torch.device("cuda"),
        threads=threads,
        workers=workers or max(2, (os.cpu_count() or 2) - 1),
        batch_size=64,
        repeats=11,
        num_scenes=48000,
        images_per_scene=8,
    )


@cache
def _multiplies_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself; where it does not, it is ten times slower."""
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("amx_bf16") or known.get("avx512_bf16"))
