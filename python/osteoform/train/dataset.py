"""Batches to learn from: images made of scenes, and what is true of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from osteoform._types import BONES
from osteoform.train.clutter import pick
from osteoform.train.dice import Dice
from osteoform.train.randomize import Extent, Warp, draw_warps, randomize
from osteoform.train.scenes import MARGIN_PX, Scene
from osteoform.train.tones import of_each

# Shapes of scenes (rows, columns).
SHAPES = ((256, 256), (256, 128), (256, 192), (192, 256))
_REJECT_SHARE = 0.2
_WRONG_SHARE = 0.2  # of the rejected: read with the wrong polarity, not turned
_PRESENT_SHARE = 0.04
_OUTSIDE_FIELD_PX = 6
_NARROWER_PX = 44
_CUT_SHARE, _CUT_COLUMNS_SHARE, _CUT_PX = 0.4, 0.3, 56


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Batches of one shape: of which scenes, and whether all of their images lie on a side."""

    source: int
    lying: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the images."""
        rows, columns = SHAPES[self.source]
        return (columns, rows) if self.lying else (rows, columns)


KINDS = (*(Kind(source=k) for k in range(4)), *(Kind(source=k, lying=True) for k in (1, 2, 3)))
KIND_SHARE = (0.52, 0.26, 0.11, 0.06, 0.03, 0.012, 0.008)


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """Scenes of one shape: see `scenes.Scene` and `scenes.Truth`.

    layers (B, 3, H, W) half precision, points (B, P, 2), roots (B, E, 2, 2), outlines (B, V, 2)
    with bone_of (B, V), direction (B, 2).
    """

    layers: Tensor = field(repr=False)
    points: Tensor
    roots: Tensor
    outlines: Tensor
    bone_of: Tensor
    direction: Tensor

    @staticmethod
    def of(scenes: Sequence[Scene]) -> Scenes:
        """Scenes of one shape, stacked."""

        def stacked(values: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.floating]]]) -> Tensor:
            return torch.from_numpy(np.stack(values).astype(np.float32))

        truths = [scene.truth for scene in scenes]
        return Scenes(
            layers=torch.from_numpy(np.stack([scene.layers for scene in scenes])),
            points=stacked([truth.points_px for truth in truths]),
            roots=stacked([truth.ellipse_root_px for truth in truths]),
            outlines=stacked([truth.outline_px for truth in truths]),
            bone_of=torch.from_numpy(np.stack([truth.bone_of for truth in truths])),
            direction=stacked([truth.direction for truth in truths]),
        )

    def pin_memory(self) -> Scenes:
        """The same in memory from which a GPU copies by itself."""
        return Scenes(**{name: value.pin_memory() for name, value in vars(self).items()})


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


def make_batch(scenes: Scenes, bank: Tensor, dice: Dice, kind: Kind) -> Batch:
    """Make an image of each scene; some turned, some of the wrong polarity: to be rejected.

    `bank` is that of `clutter.draw_bank`.
    """
    shape = SHAPES[kind.source]
    extent = Extent(shape=shape, sizes=_draw_sizes(dice, shape))
    turns, wrong = _draw_turns(dice, kind)
    warp = draw_warps(dice, extent, margin_px=MARGIN_PX)
    clutter = pick(bank, dice, shape)
    images = randomize(
        scenes.layers, warp, dice, extent=extent, clutter=clutter, wrong_polarity=wrong
    )
    truth = describe(scenes, warp, extent, images.in_field)
    upright = ((turns == 0) & ~wrong).float()[:, None]
    found_turn = torch.nn.functional.one_hot(-turns % 4, 4).float()
    return Batch(
        images=_turned(images.values, turns, extent, kind.shape)[:, None],
        points=truth["points"],
        visible=truth["visible"] * upright,
        roots=truth["roots"],
        boxes=truth["boxes"],
        present=truth["present"] * upright,
        turn=found_turn * (~wrong).float()[:, None],
        direction=truth["direction"],
        upright=upright,
    )


def describe(scenes: Scenes, warp: Warp, extent: Extent, in_field: Tensor) -> dict[str, Tensor]:
    """Truth of images made of scenes: see Batch."""
    points = warp.to_image(scenes.points)
    roots = warp.turn.mT[:, None] @ scenes.roots @ warp.turn[:, None]
    roots = roots / warp.scale[:, None, None, None]
    boxes, present = _boxes(warp.to_image(scenes.outlines), scenes.bone_of, extent)
    return {
        "points": points,
        "visible": open_at(in_field, points, extent).float(),
        "roots": torch.stack([roots[..., 0, 0], roots[..., 1, 1], roots[..., 0, 1]], 2),
        "boxes": boxes,
        "present": present,
        "direction": scenes.direction,
    }


def open_at(in_field: Tensor, points: Tensor, extent: Extent) -> Tensor:
    """Which pixels (B, n, 2) are inside images and not far behind the collimator, (B, n) bool."""
    rows, columns = (n[:, None] for n in extent.sizes.unbind(1))
    u, v = points.clamp(-2, 2 * max(extent.shape)).round().long().unbind(2)
    inside = (u >= 0) & (v >= 0) & (u < columns) & (v < rows)
    towards_u = _clipped(u + _OUTSIDE_FIELD_PX * torch.sign(columns // 2 - u), columns)
    towards_v = _clipped(v + _OUTSIDE_FIELD_PX * torch.sign(rows // 2 - v), rows)
    return inside & in_field.flatten(1).gather(1, towards_v * extent.shape[1] + towards_u)


def _clipped(at: Tensor, length: Tensor) -> Tensor:
    return torch.minimum(at.clamp(min=0), length - 1)


def _boxes(outlines: Tensor, bone_of: Tensor, extent: Extent) -> tuple[Tensor, Tensor]:
    """Boxes (B, bones, 4) of the vertices inside the images, and whether enough are inside."""
    last = (extent.sizes.flip(1) - 1)[:, None]
    inside = ((outlines >= 0) & (outlines <= last)).all(2)
    boxes, present = [], []
    for k in range(len(BONES)):
        seen = inside & (bone_of == k)
        low = torch.where(seen[..., None], outlines, torch.inf).amin(1)
        high = torch.where(seen[..., None], outlines, -torch.inf).amax(1)
        enough = seen.sum(1) > _PRESENT_SHARE * (bone_of == k).sum(1)
        boxes.append(torch.where(enough[:, None], torch.cat([low, high], 1), 0.0))
        present.append(enough.float())
    return torch.stack(boxes, 1), torch.stack(present, 1)


def _draw_sizes(dice: Dice, shape: tuple[int, int]) -> Tensor:
    """(B, 2): the longer side is full, the shorter anything that needs this much padding."""
    cut = [torch.zeros_like(dice.below(1)) for _ in shape]
    if shape[0] == shape[1]:
        narrow = dice.chance(_CUT_SHARE)
        columns = dice.chance(_CUT_COLUMNS_SHARE)
        by = dice.below(_CUT_PX + 1) * narrow
        cut = [by * ~columns, by * columns]
    else:
        shorter = shape.index(min(shape))
        cut[shorter] = dice.below(_NARROWER_PX + 1)
    return torch.stack([n - by for n, by in zip(shape, cut, strict=True)], 1)


def _draw_turns(dice: Dice, kind: Kind) -> tuple[Tensor, Tensor]:
    """Quarter turns (B,) of the images, as of np.rot90, and which have the wrong polarity."""
    if kind.lying:
        turns = dice.choice((1.0, 3.0)).long()
        return turns, torch.zeros_like(turns, dtype=torch.bool)
    rejected, wrong = dice.chance(_REJECT_SHARE), dice.chance(_WRONG_SHARE)
    square = kind.shape[0] == kind.shape[1]
    turns = dice.choice((1.0, 2.0, 3.0) if square else (2.0,)).long()
    return turns * (rejected & ~wrong), rejected & wrong


def _turned(values: Tensor, turns: Tensor, extent: Extent, shape: tuple[int, int]) -> Tensor:
    """Images turned by quarters, as by np.rot90, and padded with zeros to `shape`."""
    row, column = Extent(shape=shape, sizes=extent.sizes).pixels
    rows, columns = (of_each(n) for n in extent.sizes.unbind(1))
    turn = of_each(turns)
    v = torch.where(turn == 1, column, torch.where(turn == 2, rows - 1 - row, row))
    v = torch.where(turn == 3, rows - 1 - column, v)
    u = torch.where(
        turn == 1, columns - 1 - row, torch.where(turn == 2, columns - 1 - column, column)
    )
    u = torch.where(turn == 3, row, u)
    inside = (v >= 0) & (v < rows) & (u >= 0) & (u < columns)
    at = (v * values.shape[2] + u).clamp(0, values[0].numel() - 1)
    taken = values.flatten(1).gather(1, at.flatten(1)).view(-1, *shape)
    return taken * inside
