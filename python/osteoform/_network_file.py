"""What a detector's ONNX file must hold, checked once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from osteoform._errors import DetectionError
from osteoform._normalize import NORMALIZATION
from osteoform._types import F64

FORMAT = "osteoform detector"
# The first version does not tell how the leg is seen; it and the second
# have a formula for deviations.
_WITHOUT_ATTITUDE, _WITH_FORMULA, VERSION = "1", "2", "3"
NUM_TURNS = 4
NUM_ATTITUDE = NUM_TURNS + 2  # the probability of each quarter turn, and the beam's direction


@dataclass(frozen=True, kw_only=True)
class NetworkFacts:
    """Names and numbers that go with the network.

    Heat channels come bone by bone: the bone's points, then the centres of its ellipsoids.
    `stride_px` is the side of a heat cell and `heat_sigma_px` the blur that training added.
    `sd_px` (K,) are the standard deviations, per axis, of places whose probability spreads by
    `spread_px` (K,), increasing, about them. `confusion` is per bone the probability (F, F) of a
    point's true name (column) given the one that the network means (row); names of a bone that it
    leaves out are taken as they are.
    """

    points: Mapping[str, tuple[str, ...]]
    ellipsoids: Mapping[str, tuple[str, ...]]
    input_px: int
    multiple_px: int
    stride_px: int
    heat_sigma_px: float
    spread_px: F64 = field(repr=False)
    sd_px: F64 = field(repr=False)
    origin: str
    tells_attitude: bool
    confusion: Mapping[str, F64] = field(default_factory=dict, repr=False)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what the network puts out."""
        return ("heat", "shape", "box", *(["attitude"] if self.tells_attitude else []))

    @property
    def num_heat(self) -> int:
        return sum(len(names) for part in (self.points, self.ellipsoids) for names in part.values())

    @property
    def num_ellipses(self) -> int:
        return sum(len(names) for names in self.ellipsoids.values())

    def heat_channels(self, bone: str) -> tuple[slice, slice]:
        """Channels of the bone's points and of its ellipsoids' centres."""
        start = 0
        for other, names in self.points.items():
            middle = start + len(names)
            end = middle + len(self.ellipsoids[other])
            if other == bone:
                return slice(start, middle), slice(middle, end)
            start = end
        raise KeyError(bone)

    def ellipse_channels(self, bone: str) -> slice:
        """Places of the bone's ellipsoids among all ellipsoids."""
        start = 0
        for other, names in self.ellipsoids.items():
            if other == bone:
                return slice(start, start + len(names))
            start += len(names)
        raise KeyError(bone)

    def sd_of(self, spread_px: F64) -> F64:
        """Standard deviations (n,) of places whose probability spreads so far [network px]."""
        return np.exp(np.interp(spread_px, self.spread_px, np.log(self.sd_px)))

    def renamed(self, bone: str, probability: F64) -> F64:
        """Probabilities (n, F) of true names from those that the network means."""
        return probability @ self.confusion[bone] if bone in self.confusion else probability


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """Name, ONNX type and shape of one input or output; free dimensions are names or None."""

    name: str
    type: str
    shape: tuple[int | str | None, ...]


def read_facts(stored: Mapping[str, str], tensors: Sequence[Tensor]) -> NetworkFacts:
    """Read the metadata of a file and check names, types and shapes of what goes in and out."""
    for key, needed in (
        ("format", (FORMAT,)),
        ("version", (VERSION, _WITH_FORMULA, _WITHOUT_ATTITUDE)),
        ("normalization", (NORMALIZATION,)),
    ):
        if stored.get(key) not in needed:
            wanted = " or ".join(map(repr, needed))
            raise DetectionError(f"detector network: {key} is {stored.get(key)!r}, need {wanted}")
    try:
        facts = _parse(stored)
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise DetectionError(f"detector network: metadata cannot be read: {error!r}") from error
    _check_signature(tensors, facts)
    return facts


def _parse(stored: Mapping[str, str]) -> NetworkFacts:
    points, ellipsoids = (
        {bone: tuple(names) for bone, names in json.loads(stored[key]).items()}
        for key in ("points", "ellipsoids")
    )
    if list(points) != list(ellipsoids):
        raise ValueError("points and ellipsoids are of different bones")
    spread_px, sd_px = _parse_deviations(stored)
    return NetworkFacts(
        points=points,
        ellipsoids=ellipsoids,
        input_px=int(stored["input_px"]),
        multiple_px=int(stored["multiple_px"]),
        stride_px=int(stored["stride_px"]),
        heat_sigma_px=float(stored["heat_sigma_px"]),
        spread_px=spread_px,
        sd_px=sd_px,
        origin=stored["origin"],
        tells_attitude=stored["version"] != _WITHOUT_ATTITUDE,
        confusion=_parse_confusion(json.loads(stored.get("confusion", "{}")), points),
    )


def _parse_deviations(stored: Mapping[str, str]) -> tuple[F64, F64]:
    """Spreads and standard deviations (K,)."""
    if stored["version"] != VERSION:
        spread_px = np.linspace(0.0, 16.0, 65)
        scale, floor_px = float(stored["sigma_scale"]), float(stored["sigma_floor_px"])
        return spread_px, np.hypot(scale * spread_px, floor_px)
    spread_px, sd_px = (np.array(json.loads(stored[k]), np.float64) for k in ("spread_px", "sd_px"))
    if spread_px.ndim != 1 or not spread_px.size or spread_px.shape != sd_px.shape:
        raise ValueError(f"deviations of shape {sd_px.shape} for spreads of {spread_px.shape}")
    if not ((np.diff(spread_px) > 0.0).all() and (sd_px > 0.0).all() and np.isfinite(sd_px).all()):
        raise ValueError("spreads do not increase, or deviations are not positive")
    return spread_px, sd_px


def _parse_confusion(
    stored: Mapping[str, Any], points: Mapping[str, tuple[str, ...]]
) -> dict[str, F64]:
    confusion = {bone: np.array(rows, np.float64) for bone, rows in stored.items()}
    for bone, matrix in confusion.items():
        if matrix.shape != (len(points[bone]),) * 2:
            raise ValueError(f"confusion of the {bone} is {matrix.shape}")
        if not (matrix.min() >= 0.0 and matrix.sum(axis=1).max() <= 1.0 + 1e-3):
            raise ValueError(f"confusion of the {bone} has rows that are no probabilities")
    return confusion


def _check_signature(tensors: Sequence[Tensor], facts: NetworkFacts) -> None:
    """Fixed dimensions must agree; free ones (names) are not compared."""
    needed = {
        "image": (None, 1, None, None),
        "heat": (None, facts.num_heat, None, None),
        "shape": (None, 3 * facts.num_ellipses, None, None),
        "box": (None, len(facts.points), 5),
        "attitude": (None, NUM_ATTITUDE),
    }
    needed = {name: needed[name] for name in ("image", *facts.outputs)}
    found = {tensor.name: tensor for tensor in tensors}
    if set(found) != set(needed):
        raise DetectionError(
            f"detector network: inputs and outputs are {sorted(found)}, need {sorted(needed)}"
        )
    for name, shape in needed.items():
        value = found[name]
        agrees = len(value.shape) == len(shape) and all(
            want is None or not isinstance(got, int) or got == want
            for got, want in zip(value.shape, shape, strict=True)
        )
        if value.type != "tensor(float)" or not agrees:
            raise DetectionError(
                f"detector network: {name} is {value.type} {value.shape}, need float {shape}"
            )
