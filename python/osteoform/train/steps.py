"""One step of training: losses, gradients, optimisers; on a GPU recorded once and replayed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from osteoform.train.dataset import Batch
from osteoform.train.losses import losses
from osteoform.train.muon import Muon
from osteoform.train.network import FeatureNet

_ADAM_RATE = 2e-3
_MUON_RATE = 0.02
_MUON_MOMENTUM = 0.95
_LARGEST_GRADIENT = 5.0
_STEPS_BEFORE_RECORDING = 3

Optimizers = tuple[torch.optim.Optimizer, ...]


def new_optimizers(net: FeatureNet) -> Optimizers:
    """Muon for the convolutions inside that mix channels, AdamW for the rest."""
    inside = [*net.down.parameters(), *net.up.parameters()]
    mixing = [weight for weight in inside if weight.ndim == 4 and weight.shape[1] > 1]
    chosen = {id(weight) for weight in mixing}
    rest = [weight for weight in net.parameters() if id(weight) not in chosen]
    return (
        Muon(mixing, lr=_MUON_RATE, momentum=_MUON_MOMENTUM),
        torch.optim.AdamW(rest, lr=_ADAM_RATE, weight_decay=1e-4),
    )


def settle(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Go on where the weights are now; what a recorded step reads must lie on the GPU."""
    on_gpu = device.type == "cuda"
    for group in optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = on_gpu
        rate = float(group["lr"])
        group["lr"] = torch.tensor(rate, device=device) if on_gpu else rate
    optimizer.load_state_dict(optimizer.state_dict())


def set_rate(optimizers: Optimizers, share: float) -> None:
    """Learn at this share of the highest rates."""
    for optimizer, peak in zip(optimizers, (_MUON_RATE, _ADAM_RATE), strict=True):
        for group in optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(peak * share)
            else:
                group["lr"] = peak * share


@dataclass(frozen=True, kw_only=True)
class _Recording:
    """A step on the images in `batch`, to be replayed; it leaves its losses in `found`."""

    batch: Batch
    graph: torch.cuda.CUDAGraph
    found: dict[str, Tensor]


class Stepper:
    """Steps downhill, and tells the losses before each.

    A small network's step is hundreds of short kernels, and a GPU would wait for each to be
    launched: there the step is recorded, once per kind of batch, and replayed as a whole.
    """

    def __init__(
        self, net: FeatureNet, optimizers: Optimizers, *, half_precision: bool = False
    ) -> None:
        self.net, self.optimizers, self.half_precision = net, optimizers, half_precision
        self._norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
        self._recordings: dict[tuple[torch.Size, bool], _Recording] = {}

    def __call__(self, batch: Batch, *, as_in_use: bool = False) -> dict[str, Tensor]:
        """Learn from one batch; `as_in_use`: normalised by what was measured in earlier ones."""
        self.net.train()
        for norm in self._norms:
            norm.train(not as_in_use)
        if batch.images.device.type != "cuda":
            return self._step(batch)
        kind = (batch.images.shape, as_in_use)
        if kind not in self._recordings:
            self._recordings[kind] = self._record(batch)
        recording = self._recordings[kind]
        for name, value in vars(batch).items():
            getattr(recording.batch, name).copy_(value)
        recording.graph.replay()
        return recording.found

    def _step(self, batch: Batch) -> dict[str, Tensor]:
        images = batch.images.contiguous(memory_format=torch.channels_last)
        # A recording must not read weights that were cast to half before it.
        with torch.autocast(
            images.device.type, torch.bfloat16, enabled=self.half_precision, cache_enabled=False
        ):
            readout = self.net(images)
        found = losses(readout, batch, self.net.ellipse_heat)
        self.net.zero_grad(set_to_none=True)
        torch.autograd.backward(found.total)
        nn.utils.clip_grad_norm_(self.net.parameters(), _LARGEST_GRADIENT)
        for optimizer in self.optimizers:
            optimizer.step()
        return {name: value.detach() for name, value in vars(found).items()}

    def _record(self, batch: Batch) -> _Recording:
        batch = Batch(**{name: value.clone() for name, value in vars(batch).items()})
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # kernels are chosen, and optimisers' states made
            for _ in range(_STEPS_BEFORE_RECORDING):
                self._step(batch)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = self._step(batch)
        return _Recording(batch=batch, graph=graph, found=found)
