"""From a trained network to one ONNX file that says what it is."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from osteoform import _normalize
from osteoform._errors import InputError
from osteoform._network_file import FORMAT, VERSION
from osteoform.train.losses import HEAT_SIGMA_CELLS
from osteoform.train.network import LENGTH_UNIT_PX, STRIDE, Channels, FeatureNet
from osteoform.train.storage import pack

_OPSET = 17


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far to trust the network, as measured on people held out.

    Attributes
    ----------
    spread_px, sd_px
        Standard deviations, per axis, of places whose probability spreads so far [network px].
    together
        How many times as much a bone's features are off together as if each erred by itself;
        `sd_px` holds it.
    confusion
        Per bone the probability (F, F) of a point's true name (column) given the one that the
        network means (row).
    """

    spread_px: tuple[float, ...] = (1.0,)
    sd_px: tuple[float, ...] = (1.0,)
    together: float = 1.0
    confusion: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict, repr=False)


class _Deployed(nn.Module):
    """The network with its distributions normalised."""

    def __init__(self, net: FeatureNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return heat (B, P, h, w), shape (B, 3E, h, w), box (B, bones, 5), attitude (B, 6).

        Heat is probabilities; attitude is the probability of each quarter turn and the direction.
        """
        read = self.net(image)
        logits = torch.cat([read.heat.flatten(2), read.absent[..., None]], 2)
        heat = torch.softmax(logits, 2)[..., :-1].reshape(read.heat.shape)
        box = torch.cat([read.box * LENGTH_UNIT_PX, read.presence.sigmoid()[..., None]], 2)
        attitude = torch.cat([torch.softmax(read.turn, 1), read.direction], 1)
        return heat, read.shape.flatten(1, 2) * LENGTH_UNIT_PX, box, attitude


def export_onnx(
    net: FeatureNet, path: Path, *, calibration: Calibration, origin: str, seed: int
) -> None:
    """Write the network with its weights, names and calibration; `origin` tells what made it."""
    import onnx

    part = path.with_suffix(".part")
    _trace(_Deployed(net).eval(), part)
    model = onnx.load(str(part))
    pack(model)
    onnx.helper.set_model_props(model, metadata(calibration=calibration, origin=origin, seed=seed))
    onnx.save(model, str(part))
    part.rename(path)


def recalibrate(path: Path, calibration: Calibration) -> None:
    """Give a network file another calibration; its weights, names and origin stay.

    Raises
    ------
    InputError
        The file is of the first version, which does not tell how a leg is seen.
    """
    import onnx

    model = onnx.load(str(path))
    if "attitude" not in {output.name for output in model.graph.output}:
        raise InputError(f"{path.name} does not tell how a leg is seen, as it must: train anew")
    former = {entry.key: entry.value for entry in model.metadata_props}
    known = metadata(calibration=calibration, origin=former["origin"], seed=int(former["seed"]))
    names = {name: former[name] for name in ("points", "ellipsoids")}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, known | names)
    onnx.save(model, str(path))


def _trace(deployed: nn.Module, path: Path) -> None:
    with warnings.catch_warnings():
        # The tracing exporter warns that a newer one exists.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            deployed,
            (torch.zeros(1, 1, _normalize.INPUT_PX, _normalize.INPUT_PX),),
            str(path),
            input_names=["image"],
            output_names=["heat", "shape", "box", "attitude"],
            dynamic_axes={
                "image": {0: "batch", 2: "height", 3: "width"},
                "heat": {0: "batch", 2: "rows", 3: "columns"},
                "shape": {0: "batch", 2: "rows", 3: "columns"},
                "box": {0: "batch"},
                "attitude": {0: "batch"},
            },
            opset_version=_OPSET,
            dynamo=False,
        )


def metadata(*, calibration: Calibration, origin: str, seed: int) -> dict[str, str]:
    """What the file says of itself; all that use needs to know."""
    channels = Channels.of_contract()
    return {
        "format": FORMAT,
        "version": VERSION,
        "normalization": _normalize.NORMALIZATION,
        "input_px": str(_normalize.INPUT_PX),
        "multiple_px": str(_normalize.MULTIPLE_PX),
        "stride_px": str(STRIDE),
        "heat_sigma_px": str(HEAT_SIGMA_CELLS * STRIDE),
        "spread_px": json.dumps(calibration.spread_px),
        "sd_px": json.dumps(calibration.sd_px),
        "confusion": json.dumps(calibration.confusion),
        "points": json.dumps({bone: list(names) for bone, names in channels.points.items()}),
        "ellipsoids": json.dumps({b: list(names) for b, names in channels.ellipsoids.items()}),
        "origin": origin,
        "seed": str(seed),
    }
