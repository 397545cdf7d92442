"""The detector network: a small U-Net with heads for points, ellipses and boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from osteoform._network_file import NUM_ATTITUDE, NUM_TURNS
from osteoform.modeling.features import FEATURES

STRIDE = 4
LENGTH_UNIT_PX = 32.0
# Level k has images of 1/2^(k+1) of the size. Most weights stand where the image is small and they
# cost little: they know where bones can be.
_WIDTHS = (16, 24, 64, 96, 160, 208)
_DOWN_BLOCKS = (0, 0, 1, 4, 5, 2)
_UP_BLOCKS = (0, 0, 1, 4, 2, 0)
_LAST_WIDTH = 64
_EXPANSION = 2
_NEAR_PX = 5
_BOX_LEVEL = 2
_LAST_LEVEL = 1


@dataclass(frozen=True, kw_only=True)
class Channels:
    """Which channel means what.

    `points[bone]` and `ellipsoids[bone]` list names; heat channels come bone by bone, the bone's
    points and then the centres of its ellipsoids.
    """

    points: Mapping[str, tuple[str, ...]]
    ellipsoids: Mapping[str, tuple[str, ...]]

    @staticmethod
    def of_contract() -> Channels:
        """The features of every bone, in their fixed order."""
        return Channels(
            points={bone: features.points for bone, features in FEATURES.items()},
            ellipsoids={bone: features.ellipsoids for bone, features in FEATURES.items()},
        )

    @property
    def bones(self) -> tuple[str, ...]:
        return tuple(self.points)

    @property
    def num_heat(self) -> int:
        return sum(len(self.points[b]) + len(self.ellipsoids[b]) for b in self.points)

    @property
    def ellipse_heat(self) -> tuple[int, ...]:
        """Heat channel of every ellipsoid's centre."""
        channels: list[int] = []
        start = 0
        for bone in self.points:
            start += len(self.points[bone])
            channels += range(start, start + len(self.ellipsoids[bone]))
            start += len(self.ellipsoids[bone])
        return tuple(channels)


@dataclass(frozen=True, kw_only=True)
class Readout:
    """What the network says of a batch of images.

    Attributes
    ----------
    heat, absent
        (B, P, h, w), (B, P): logits of one softmax per channel over all cells and "not in view".
    shape
        (B, E, 3, h, w): S11, S22, S12 of the ellipse's symmetric root, in LENGTH_UNIT_PX.
    box, presence
        (B, bones, 4) as u0, v0, u1, v1 in LENGTH_UNIT_PX, and (B, bones) logits.
    turn
        (B, 4): logits of the quarter turns (np.rot90) that set the image upright.
    direction
        (B, 2): mean of the beam's unit direction in an upright image, along a right leg's medial
        and anterior axes; the shorter, the less sure.
    """

    heat: Tensor
    absent: Tensor
    shape: Tensor
    box: Tensor
    presence: Tensor
    turn: Tensor
    direction: Tensor


class _PerChannel(nn.Conv2d):
    """A convolution of every channel by itself.

    On a processor in single precision: bfloat16 takes it 2.5 times as long (PyTorch 2.13).
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve maps (B, channels, h, w)."""
        if maps.device.type != "cpu":
            return super().forward(maps)
        with torch.autocast("cpu", enabled=False):
            return super().forward(maps.float())


class Block(nn.Module):
    """Look around in each channel, then mix them, and add it (Z. Liu et al., CVPR 2022, fig. 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        wide = _EXPANSION * width
        self.change = nn.Sequential(
            *_linear(width, width, _NEAR_PX, groups=width),
            *_linear(width, wide, 1),
            nn.ReLU(),
            *_linear(wide, width, 1),
        )
        nn.init.zeros_(self.change[-1].weight)  # begins as the identity

    def forward(self, maps: Tensor) -> Tensor:
        """Change maps (B, width, h, w)."""
        changed: Tensor = maps + self.change(maps)
        return changed


class Rise(nn.Module):
    """Twice the size: what was decoded so far is added to a level of that size."""

    def __init__(self, below: int, level: int, width: int, *then: nn.Module) -> None:
        super().__init__()
        self.lift = nn.Sequential(*_linear(below, width, 1))
        self.skip = nn.Sequential(*(() if level == width else _linear(level, width, 1)))
        self.then = nn.Sequential(*then)

    def forward(self, decoded: Tensor, level: Tensor) -> Tensor:
        """Maps (B, below, h / 2, w / 2) and (B, level, h, w) to (B, width, h, w)."""
        doubled = nn.functional.interpolate(self.lift(decoded), scale_factor=2.0, mode="nearest")
        risen: Tensor = self.then(doubled + self.skip(level))
        return risen


class FeatureNet(nn.Module):
    """U-Net from (B, 1, H, W), H and W multiples of 64, to heatmaps at a quarter of the size.

    `ellipse_heat` (E,) is the heat channel of every ellipsoid's centre.
    """

    ellipse_heat: Tensor

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        widths, bones = _WIDTHS, len(channels.bones)
        self.num_heat, self.num_ellipses = channels.num_heat, len(channels.ellipse_heat)
        self.register_buffer("ellipse_heat", torch.tensor(channels.ellipse_heat), persistent=False)
        self.stem = _halved(1, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(_halved(widths[k - 1], widths[k]), *_blocks(widths[k], _DOWN_BLOCKS[k]))
            for k in range(1, len(widths))
        )
        self.up = nn.ModuleList(
            Rise(widths[k + 1], widths[k], widths[k], *_blocks(widths[k], _UP_BLOCKS[k]))
            for k in range(len(widths) - 2, _LAST_LEVEL, -1)
        )
        self.last = Rise(widths[2], widths[1], _LAST_WIDTH, nn.ReLU(), *_separable(_LAST_WIDTH))
        self.points = nn.Conv2d(_LAST_WIDTH, self.num_heat + 3 * self.num_ellipses, 1)
        self.absence = _pooled_head(2 * widths[-1], self.num_heat)
        self.attitude = _pooled_head(2 * widths[-1], NUM_ATTITUDE)
        self.boxes = nn.Conv2d(widths[_BOX_LEVEL], bones * 6, 1)

    def forward(self, image: Tensor) -> Readout:
        """Read images (B, 1, H, W)."""
        levels = [self.stem(image)]
        for stage in self.down:
            levels.append(stage(levels[-1]))
        deepest = levels[-1]
        pooled = torch.cat([deepest.mean((2, 3)), deepest.amax((2, 3))], 1)
        decoded = deepest
        for rise, level in zip(self.up, levels[-2:_LAST_LEVEL:-1], strict=True):
            decoded = rise(decoded, level)
        last = self.last(decoded, levels[_LAST_LEVEL])
        # The heads stay in single precision when the rest is trained in half.
        with torch.autocast(image.device.type, enabled=False):
            maps = self.points(last.float())
            absent = self.absence(pooled.float())
            attitude = self.attitude(pooled.float())
            proposals = self.boxes(decoded.float())
        box, presence = _boxes(proposals, 2.0 ** (_BOX_LEVEL + 1))
        return Readout(
            heat=maps[:, : self.num_heat],
            absent=absent,
            shape=_split(maps[:, self.num_heat :], 3),
            box=box,
            presence=presence,
            turn=attitude[:, :NUM_TURNS],
            direction=attitude[:, NUM_TURNS:],
        )


def _linear(
    channels_in: int, channels_out: int, size_px: int, *, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, nn.Module]:
    """A convolution and its normalisation."""
    convolution = nn.Conv2d if groups == 1 else _PerChannel
    return (
        convolution(
            channels_in, channels_out, size_px, stride, size_px // 2, groups=groups, bias=False
        ),
        nn.BatchNorm2d(channels_out),
    )


def _halved(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(*_linear(channels_in, channels_out, 3, stride=2), nn.ReLU())


def _blocks(width: int, count: int) -> list[Block]:
    return [Block(width) for _ in range(count)]


def _separable(width: int) -> tuple[nn.Module, ...]:
    return (
        *_linear(width, width, _NEAR_PX, groups=width),
        *_linear(width, width, 1),
        nn.ReLU(),
    )


def _pooled_head(num_in: int, num_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(num_in, 64), nn.ReLU(), nn.Linear(64, num_out))


def _split(maps: Tensor, size: int) -> Tensor:
    """Split channels (B, n * size, h, w) into (B, n, size, h, w)."""
    return maps.reshape(maps.shape[0], -1, size, *maps.shape[2:])


def _boxes(maps: Tensor, cell_px: float) -> tuple[Tensor, Tensor]:
    """Attend to where each bone is and read its box there.

    Every cell proposes a box (its own position plus four offsets) and a presence; an attention
    map per bone averages the proposals, so any image size will do.
    """
    maps = _split(maps, 6)
    attention = torch.softmax(maps[:, :, 0].flatten(2), 2)
    rows = torch.arange(maps.shape[3], dtype=maps.dtype, device=maps.device)
    columns = torch.arange(maps.shape[4], dtype=maps.dtype, device=maps.device)
    v = ((rows + 0.5) * cell_px - 0.5)[:, None].expand(maps.shape[3:]) / LENGTH_UNIT_PX
    u = ((columns + 0.5) * cell_px - 0.5)[None, :].expand(maps.shape[3:]) / LENGTH_UNIT_PX
    proposals = maps[:, :, 1:5] + torch.stack([u, v, u, v])
    box = (proposals.flatten(3) * attention[:, :, None]).sum(3)
    presence = (maps[:, :, 5].flatten(2) * attention).sum(2)
    return box, presence
