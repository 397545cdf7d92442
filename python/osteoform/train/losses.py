"""What the network is asked for: where each feature is, or that it is not in view."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from osteoform.train.dataset import Batch
from osteoform.train.network import LENGTH_UNIT_PX, STRIDE, Readout

HEAT_SIGMA_CELLS = 1.0

_SHAPE_WEIGHT = 2.0
_BOX_WEIGHT = 0.5
_OVERLAP_WEIGHT = 0.5
_PRESENCE_WEIGHT = 0.3
_TURN_WEIGHT = 0.2
_DIRECTION_WEIGHT = 0.5


@dataclass(frozen=True, kw_only=True)
class Losses:
    """The parts of the loss, each a scalar."""

    heat: Tensor
    shape: Tensor
    box: Tensor
    presence: Tensor
    turn: Tensor
    direction: Tensor

    @property
    def total(self) -> Tensor:
        return (
            self.heat
            + _SHAPE_WEIGHT * self.shape
            + _BOX_WEIGHT * self.box
            + _PRESENCE_WEIGHT * self.presence
            + _TURN_WEIGHT * self.turn
            + _DIRECTION_WEIGHT * self.direction
        )


def losses(readout: Readout, batch: Batch, ellipse_heat: Tensor) -> Losses:
    """Compare a reading with the truth.

    Every heat channel is one distribution over its cells and "not in view"; its cross-entropy to
    a Gaussian about the true point teaches place, spread and absence at once. `ellipse_heat` (E,)
    is the heat channel of every ellipsoid's centre.
    """
    rows, columns = readout.heat.shape[2:]
    along_u = _line_targets(batch.points[..., 0], columns)
    along_v = _line_targets(batch.points[..., 1], rows)
    row_means = torch.einsum("bphw,bpw->bph", readout.heat, along_u)
    expected = (row_means * along_v).sum(2)
    everything = torch.cat([readout.heat.flatten(2), readout.absent[..., None]], 2)
    wanted = torch.where(batch.visible > 0, expected, readout.absent)
    present = batch.present[..., None]
    return Losses(
        heat=(torch.logsumexp(everything, 2) - wanted).mean(),
        shape=_shape_loss(readout, batch, along_u, along_v, ellipse_heat),
        box=_mean_where(_box_loss(readout.box, batch.boxes / LENGTH_UNIT_PX), present),
        presence=functional.binary_cross_entropy_with_logits(readout.presence, batch.present),
        turn=_mean_where(-torch.log_softmax(readout.turn, 1), batch.turn),
        direction=_mean_where((readout.direction - batch.direction).square(), batch.upright),
    )


def _box_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """How far off the sides of boxes (B, bones, 4) are, and how little they overlap (IoU)."""
    low = torch.maximum(found[..., :2], wanted[..., :2])
    high = torch.minimum(found[..., 2:], wanted[..., 2:])
    common = _area(low, high)
    either = _area(found[..., :2], found[..., 2:]) + _area(wanted[..., :2], wanted[..., 2:])
    overlap = common / (either - common).clamp(min=1e-3)
    sides = functional.smooth_l1_loss(found, wanted, reduction="none", beta=0.1)
    return sides + _OVERLAP_WEIGHT * (1 - overlap)[..., None]


def _area(low: Tensor, high: Tensor) -> Tensor:
    sides = (high - low).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def _shape_loss(
    readout: Readout, batch: Batch, along_u: Tensor, along_v: Tensor, ellipse_heat: Tensor
) -> Tensor:
    along_u, along_v = along_u[:, ellipse_heat], along_v[:, ellipse_heat]
    rows = torch.einsum("bechw,bew->bech", readout.shape, along_u)
    found = (rows * along_v[:, :, None]).sum(3)
    error = functional.smooth_l1_loss(
        found, batch.roots / LENGTH_UNIT_PX, reduction="none", beta=0.05
    )
    return _mean_where(error, batch.visible[:, ellipse_heat, None])


def _line_targets(at_px: Tensor, num_cells: int) -> Tensor:
    """Gaussian (B, P, num_cells) about positions (B, P), summing to 1."""
    at = (at_px + 0.5) / STRIDE - 0.5
    distance = (torch.arange(num_cells, device=at.device) - at[..., None]) / HEAT_SIGMA_CELLS
    return torch.softmax(-0.5 * distance**2, 2)


def _mean_where(values: Tensor, mask: Tensor) -> Tensor:
    weight = mask.expand_as(values)
    return (values * weight).sum() / weight.sum().clamp(min=1.0)
