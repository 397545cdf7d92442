"""A batch of training images at random."""

from __future__ import annotations

import torch

from osteoform.train.dataset import Batch
from osteoform.train.network import Channels

CHANNELS = Channels.of_contract()


def random_batch(size: int = 2) -> Batch:
    """Blobs of brightness at random feature places, 64 x 64."""
    generator = torch.Generator().manual_seed(3)
    num_heat, num_ellipses = CHANNELS.num_heat, len(CHANNELS.ellipse_heat)
    corners = torch.rand(size, 4, 2, generator=generator) * 20 + 5
    return Batch(
        images=torch.randn(size, 1, 64, 64, generator=generator),
        points=torch.rand(size, num_heat, 2, generator=generator) * 60,
        visible=(torch.rand(size, num_heat, generator=generator) < 0.7).float(),
        roots=torch.rand(size, num_ellipses, 3, generator=generator) * 20,
        boxes=torch.cat([corners, corners + 30], 2),
        present=torch.ones(size, 4),
        turn=torch.eye(4)[:size],
        direction=torch.tensor([[1.0, 0.0]] * size),
        upright=torch.ones(size, 1),
    )
