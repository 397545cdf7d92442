"""A pool of rendered scenes on disk, and batches drawn from it.

Scenes are rendered once, in a process of their own, while training already runs on the first of
them. A batch is a pure function of (seed, index): any number of workers gives the same training.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from osteoform._errors import OsteoformError
from osteoform._types import BONES, F32, F64
from osteoform.train.clutter import draw_bank, pick
from osteoform.train.legs import load_atlas
from osteoform.train.randomize import RandomImage, Warp, randomize, sample_warp
from osteoform.train.scenes import F16, MARGIN_PX, Scene, Truth, sample_scene

# Image shapes (rows, columns) with their share of the batches; the last one is never upright.
SHAPES = ((256, 256), (256, 128), (256, 192), (192, 256))
_TURNED = (128, 256)
_SHAPE_SHARE = (0.52, 0.26, 0.12, 0.07, 0.03)
_POOL_SHARE = (0.55, 0.26, 0.11, 0.08)
_REJECT_SHARE = 0.2
_WRONG_SHARE = 0.2  # of the rejected: read with the wrong polarity, not turned
_FIRST_SCENES = 96
_CLUTTER_COUNT = 240
_PRESENT_SHARE = 0.04
_OUTSIDE_FIELD_PX = 6


@dataclass(frozen=True, kw_only=True)
class PoolPlan:
    """What to render: where the bones are, of whom, how many scenes, from which seed."""

    bones: Path
    people: tuple[int, ...]
    num_scenes: int
    seed: int

    def count(self, shape_index: int) -> int:
        """Number of scenes of one image shape."""
        return max(1, round(self.num_scenes * _POOL_SHARE[shape_index]))


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Images (B, 1, H, W) and what is true of them, in pixels of the image.

    points (B, P, 2) with visible (B, P); roots (B, E, 3) as S11, S22, S12; boxes (B, bones, 4)
    with present (B, bones). turn (B, 4) is 1 at the quarter turn that sets the image upright, 0
    everywhere in images that cannot be read; direction (B, 2) is the beam's (see `Readout`), where
    upright (B, 1).
    """

    images: Tensor
    points: Tensor
    visible: Tensor
    roots: Tensor
    boxes: Tensor
    present: Tensor
    turn: Tensor
    direction: Tensor
    upright: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(**{n: v.to(device, non_blocking=True) for n, v in vars(self).items()})


class ScenePool:
    """Scenes in memory-mapped files, in the order in which they were rendered."""

    def __init__(self, folder: Path, plan: PoolPlan, mode: Literal["r", "r+", "w+"] = "r") -> None:
        self.folder, self.plan = folder, plan
        self._mode: Literal["r", "r+", "w+"] = mode
        self._layers: dict[int, F16] = {}
        self._truth: dict[tuple[int, int], Truth] = {}

    def layers(self, shape_index: int) -> F16:
        """All layers (N, 3, H, W) of one shape, margins included."""
        if shape_index not in self._layers:
            rows, columns = (n + 2 * MARGIN_PX for n in SHAPES[shape_index])
            self._layers[shape_index] = np.memmap(
                self.folder / f"layers_{shape_index}.f16",
                np.float16,
                self._mode,
                shape=(self.plan.count(shape_index), 3, rows, columns),
            )
        return self._layers[shape_index]

    def truth(self, shape_index: int, index: int) -> Truth:
        """Ground truth of one scene."""
        key = (shape_index, index)
        if key not in self._truth:
            with np.load(self._truth_path(*key), allow_pickle=False) as stored:
                self._truth[key] = Truth(**{name: stored[name] for name in stored.files})
        return self._truth[key]

    def write(self, shape_index: int, index: int, scene: Scene) -> None:
        """Store one scene; its truth file appears last and says that the scene is whole."""
        self.layers(shape_index)[index] = scene.layers
        path = self._truth_path(shape_index, index)
        part = path.with_suffix(".part.npz")
        np.savez(part, **vars(scene.truth))
        part.rename(path)

    def has(self, shape_index: int, index: int) -> bool:
        """Whether a scene has been rendered."""
        return self._truth_path(shape_index, index).exists()

    def wait_for(self, shape_index: int, index: int, timeout_s: float = 600.0) -> None:
        """Block until a scene has been rendered."""
        deadline = time.monotonic() + timeout_s
        while not self.has(shape_index, index):
            if time.monotonic() > deadline:
                raise OsteoformError(f"scene {index} of shape {shape_index} was never rendered")
            time.sleep(0.05)

    def _truth_path(self, shape_index: int, index: int) -> Path:
        return self.folder / f"truth_{shape_index}_{index:06d}.npz"


def create_pool(folder: Path, plan: PoolPlan) -> None:
    """Make the files of a pool where there are none yet."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "layers_0.f16").exists():
        pool = ScenePool(folder, plan, "w+")
        for k in range(len(SHAPES)):
            pool.layers(k)


def render_pool(folder: Path, plan: PoolPlan, share: slice = slice(None)) -> None:
    """Render every missing scene of the plan, all shapes in step; `share` of them by this process."""
    atlas = load_atlas(plan.bones, plan.people)
    pool = ScenePool(folder, plan, "r+")
    counts = [plan.count(k) for k in range(len(SHAPES))]
    order = sorted((i / counts[k], k, i) for k in range(len(SHAPES)) for i in range(counts[k]))
    parent = multiprocessing.parent_process()
    for _, k, i in order[share]:
        if parent is not None and not parent.is_alive():
            return
        if not pool.has(k, i):
            rng = np.random.default_rng((plan.seed, k, i))
            pool.write(k, i, sample_scene(atlas, rng, shape=SHAPES[k]))


class BatchStream(Dataset[Batch]):
    """Batches by index; early batches draw from the first scenes only."""

    def __init__(
        self, folder: Path, plan: PoolPlan, *, batch_size: int, seed: int, scenes_per_batch: float
    ) -> None:
        self.folder, self.plan = folder, plan
        self.batch_size, self.seed = batch_size, seed
        self.scenes_per_batch = scenes_per_batch
        self._pool: ScenePool | None = None
        self._clutter: F32 | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without what is open: a mapped file would be copied as it is now, half rendered."""
        return {**vars(self), "_pool": None, "_clutter": None}

    def __len__(self) -> int:
        return 1 << 30

    def __getitem__(self, index: int) -> Batch:
        rng = np.random.default_rng((self.seed, index))
        kind = int(rng.choice(len(_SHAPE_SHARE), p=_SHAPE_SHARE))
        shape = (*SHAPES, _TURNED)[kind]
        samples = [self._sample(rng, shape, index) for _ in range(self.batch_size)]
        return Batch(**{n: torch.from_numpy(np.stack(v)) for n, v in _columns(samples)})

    def _sample(self, rng: Generator, shape: tuple[int, int], batch: int) -> dict[str, F32]:
        turn, wrong = 0, False
        if shape == _TURNED:
            turn = int(rng.choice([1, 3]))
        elif rng.uniform() < _REJECT_SHARE:
            turn = int(rng.choice([1, 2, 3])) if shape[::-1] in SHAPES else 2
            if rng.uniform() < _WRONG_SHARE:
                turn, wrong = 0, True
        source = SHAPES.index(shape[::-1] if turn % 2 else shape)
        scene = self._pick_scene(rng, source, batch)
        size = _content_size(rng, SHAPES[source])
        warp = sample_warp(rng, size)
        image = self._expose(rng, source, scene, warp, size, wrong)
        truth = self._scenes.truth(source, scene)
        sample = describe(truth, warp, image)
        sample["turn"] = np.eye(4, dtype=np.float32)[-turn % 4] * float(not wrong)
        sample["upright"] = np.array([float(not turn and not wrong)], np.float32)
        if turn or wrong:
            sample["visible"][:] = 0.0
            sample["present"][:] = 0.0
        turned = np.rot90(image.values, turn)
        padded = np.zeros((1, *shape), np.float32)
        padded[0, : turned.shape[0], : turned.shape[1]] = turned
        return {"images": padded, **sample}

    def _expose(
        self,
        rng: Generator,
        source: int,
        scene: int,
        warp: Warp,
        size: tuple[int, int],
        wrong: bool,
    ) -> RandomImage:
        if self._clutter is None:
            self._clutter = draw_bank(_CLUTTER_COUNT, self.plan.seed)
        layers = np.asarray(self._scenes.layers(source)[scene], np.float32)
        clutter = pick(self._clutter, rng, size)
        return randomize(layers, warp, rng, size=size, clutter=clutter, wrong_polarity=wrong)

    def _pick_scene(self, rng: Generator, source: int, batch: int) -> int:
        ready = (_FIRST_SCENES + self.scenes_per_batch * batch) * _POOL_SHARE[source]
        limit = min(self.plan.count(source), max(1, int(ready)))
        scene = int(rng.integers(limit))
        self._scenes.wait_for(source, scene)
        return scene

    @property
    def _scenes(self) -> ScenePool:
        if self._pool is None:
            self._pool = ScenePool(self.folder, self.plan)
        return self._pool


def describe(truth: Truth, warp: Warp, image: RandomImage) -> dict[str, F32]:
    """Truth of one image: see Batch."""
    rows, columns = image.values.shape
    points = warp.to_image(truth.points_px)
    scale = float(np.sqrt(np.linalg.det(np.linalg.inv(warp.matrix))))
    turn = np.linalg.inv(warp.matrix) / scale
    roots = scale * (turn @ truth.ellipse_root_px @ turn.T)
    boxes, present = _boxes(warp.to_image(truth.outline_px), truth.bone_of, (rows, columns))
    return {
        "points": points.astype(np.float32),
        "visible": open_at(image.in_field, points).astype(np.float32),
        "roots": np.stack([roots[:, 0, 0], roots[:, 1, 1], roots[:, 0, 1]], 1).astype(np.float32),
        "boxes": boxes.astype(np.float32),
        "present": present.astype(np.float32),
        "direction": truth.direction.astype(np.float32),
    }


def open_at(in_field: NDArray[np.bool_], points: F64) -> NDArray[np.bool_]:
    """Which pixels (n, 2) are inside an image and not far behind its collimator, (n,) bool."""
    rows, columns = in_field.shape
    u, v = np.round(points).astype(int).T
    inside = (u >= 0) & (v >= 0) & (u < columns) & (v < rows)
    seen = np.zeros(len(points), np.bool_)
    reach = _OUTSIDE_FIELD_PX
    towards_u = np.clip(u + reach * np.sign(columns // 2 - u), 0, columns - 1)
    towards_v = np.clip(v + reach * np.sign(rows // 2 - v), 0, rows - 1)
    seen[inside] = in_field[towards_v[inside], towards_u[inside]]
    return seen


def _boxes(outline: F64, bone_of: NDArray[np.int8], size: tuple[int, int]) -> tuple[F64, F64]:
    """Boxes (bones, 4) of the vertices inside the image, and whether enough are inside."""
    boxes, present = np.zeros((len(BONES), 4)), np.zeros(len(BONES))
    inside = ((outline >= 0) & (outline <= [size[1] - 1, size[0] - 1])).all(1)
    for k in range(len(BONES)):
        mine = bone_of == k
        seen = outline[mine & inside]
        if len(seen) > _PRESENT_SHARE * mine.sum():
            boxes[k] = [*seen.min(0), *seen.max(0)]
            present[k] = 1.0
    return boxes, present


def _content_size(rng: Generator, shape: tuple[int, int]) -> tuple[int, int]:
    """The longer side is full, the shorter anything that needs this much padding."""
    sizes = [n if n == 256 else int(rng.integers(n - 44, n + 1)) for n in shape]
    if shape == (256, 256) and rng.uniform() < 0.4:
        sizes[int(rng.uniform() < 0.3)] = int(rng.integers(200, 257))
    return sizes[0], sizes[1]


def _columns(samples: Sequence[dict[str, F32]]) -> list[tuple[str, list[F32]]]:
    return [(name, [sample[name] for sample in samples]) for name in samples[0]]
