"""From an exported network back to one that can be trained.

Export folds every normalisation into its convolution. What training needs of it, mean and variance
of what the convolution puts out, is measured anew; the network's function stays the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from osteoform._errors import InputError
from osteoform.train.network import Channels, FeatureNet
from osteoform.train.storage import unpack

_HEADS = ("points", "absence", "boxes")
_LATER_HEADS = ("attitude",)  # that older files lack: they begin at random


@torch.no_grad()
def load_exported(net: FeatureNet, path: Path) -> tuple[str, ...]:
    """Take the weights of an exported network; returns the commands that made it.

    Raises
    ------
    InputError
        The file holds another network than `net`.
    """
    import onnx

    model = onnx.load(str(path))
    stored = {name: torch.from_numpy(value) for name, value in unpack(model).items()}
    folded = [list(node.input[1:3]) for node in model.graph.node if node.op_type == "Conv"]
    folded = [names for names in folded if not names[0].startswith("net.")]
    pairs = _normalised(net)
    if len(folded) != len(pairs):
        raise InputError(
            f"{path.name} has {len(folded)} convolutions, the network has {len(pairs)}: train anew"
        )
    for (convolution, norm), (weight, bias) in zip(pairs, folded, strict=True):
        _copy(convolution.weight, stored[weight], path)
        _copy(norm.bias, stored[bias], path)
        norm.weight.fill_(1.0)
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0 - norm.eps)
    for name, value in net.named_parameters():
        head, key = name.split(".")[0], f"net.{name}"
        if head in _HEADS or (head in _LATER_HEADS and key in stored):
            _copy(value, stored[key], path)
    origin = {entry.key: entry.value for entry in model.metadata_props}.get("origin", "")
    return tuple(re.findall("`([^`]+)`", origin))


@torch.no_grad()
def mean_network(first: Path, second: Path) -> FeatureNet:
    """The network halfway between two exported ones, ready for use.

    Weights that training went on with and those it began with lie in one valley: their mean errs
    less than either (M. Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).

    Raises
    ------
    InputError
        A file holds another kind of network.
    """
    net, other = FeatureNet(Channels.of_contract()), FeatureNet(Channels.of_contract())
    load_exported(net, first)
    load_exported(other, second)
    theirs = dict(other.named_parameters())
    for name, weight in net.named_parameters():
        weight.lerp_(theirs[name], 0.5)
    return net.eval()


@torch.no_grad()
def unfold(net: FeatureNet, images: Iterable[Tensor]) -> None:
    """Give every normalisation the statistics of its convolution over batches of images."""
    sums: dict[nn.Module, list[Tensor]] = {}

    def watch(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        put_out = inputs[0].double()
        moments = torch.stack([put_out.mean((0, 2, 3)), put_out.square().mean((0, 2, 3))])
        sums.setdefault(norm, []).append(moments)

    pairs = _normalised(net)
    hooks = [norm.register_forward_pre_hook(watch) for _, norm in pairs]
    net.eval()
    for batch in images:
        net(batch)
    for hook in hooks:
        hook.remove()
    for convolution, norm in pairs:
        mean, square = torch.stack(sums[norm]).mean(0)
        sd = (square - mean.square()).clamp_min(1e-6).sqrt()
        convolution.weight /= sd[:, None, None, None].float()
        norm.running_mean.copy_(mean / sd)
        norm.running_var.fill_(1.0 - norm.eps)
        norm.weight.copy_(sd)
        norm.bias += mean.float()


def _normalised(net: FeatureNet) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions with the normalisations behind them, in the order in which they run."""
    inside = (net.stem, net.down, net.up, net.last)
    modules = [m for part in inside for m in part.modules()]
    convolutions = [m for m in modules if isinstance(m, nn.Conv2d)]
    norms = [m for m in modules if isinstance(m, nn.BatchNorm2d)]
    return list(zip(convolutions, norms, strict=True))


@torch.no_grad()
def _copy(target: Tensor, value: Tensor, path: Path) -> None:
    if target.shape != value.shape:
        raise InputError(
            f"{path.name} has weights of shape {tuple(value.shape)} where the network has "
            f"{tuple(target.shape)}: train anew"
        )
    target.copy_(value)
