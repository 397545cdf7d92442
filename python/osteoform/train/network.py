"""The detector network: a small U-Net with heads for points, ellipses and boxes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from osteoform._network_file import NUM_ATTITUDE, NUM_TURNS
from osteoform.modeling.features import FEATURES

STRIDE = 4
LENGTH_UNIT_PX = 32.0
# Most weights stand where the image is small and they cost little: they know where bones can be.
_WIDTHS = (16, 24, 48, 80, 112, 144)
_LAST_WIDTH = 56
_BOX_LEVEL = 3
_DOUBLED_LEVELS = (3, 4)


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


class FeatureNet(nn.Module):
    """U-Net from (B, 1, H, W), H and W multiples of 64, to heatmaps at a quarter of the size."""

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        widths, bones = _WIDTHS, len(channels.bones)
        self.num_heat, self.num_ellipses = channels.num_heat, len(channels.ellipse_heat)
        self.stem = _convolution(1, widths[0], stride=2)
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(a, b, stride=2), _convolution(b, b))
            for a, b in itertools.pairwise(widths)
        )
        # The last stage is wide: one linear map makes all the heatmaps of it.
        self.up = nn.ModuleList(
            _decoder(widths[i] + widths[i + 1], _LAST_WIDTH if i == 1 else widths[i], i)
            for i in range(len(widths) - 2, 0, -1)
        )
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
        decoded, box_features = deepest, deepest
        for i, stage in enumerate(self.up):
            skip = levels[-2 - i]
            bigger = nn.functional.interpolate(decoded, scale_factor=2.0, mode="nearest")
            decoded = stage(torch.cat([bigger, skip], 1))
            if len(levels) - 2 - i == _BOX_LEVEL:
                box_features = decoded
        # The heads stay in single precision when the rest is trained in half.
        with torch.autocast(image.device.type, enabled=False):
            maps = self.points(decoded.float())
            absent = self.absence(pooled.float())
            attitude = self.attitude(pooled.float())
            proposals = self.boxes(box_features.float())
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


def _convolution(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


def _decoder(channels_in: int, channels_out: int, level: int) -> nn.Sequential:
    first = _convolution(channels_in, channels_out)
    if level not in _DOUBLED_LEVELS:
        return first
    return nn.Sequential(first, _convolution(channels_out, channels_out))


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
