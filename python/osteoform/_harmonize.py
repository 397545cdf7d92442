"""Foreign X-rays given the look of those that the detector learned from; for its eyes only.

Machines blur, sharpen and stretch in their own ways, and a network that learned from simulated
X-rays trusts their look. What is harmonised is the normalised image (`_normalize`) that the
detector reads, never the one that the boundary is searched in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from osteoform._errors import DetectionError
from osteoform._onnx import open_session
from osteoform._tables import shipped_table
from osteoform._types import F32, F64

NUM_QUANTILES = 64
NUM_BANDS = 24

_MAX_GAIN = 2.0  # of a frequency, up or down
_MARGIN_PX = 32  # mirrored around the image: it does not continue at its other end
_WHAT = "harmonizer network"


class Harmonizer(Protocol):
    """Anything that changes the look of a normalised image (h, w) and leaves all in its place."""

    def __call__(self, values: F32) -> F32: ...


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """The look of normalised images.

    Attributes
    ----------
    quantiles
        (NUM_QUANTILES,): values at evenly spaced ranks, from the least to the greatest.
    amplitudes
        (NUM_BANDS,): root mean square amplitude of the Fourier transform per band of radial
        frequency, from 0 to half a cycle per pixel; relative to that of white noise of unit
        deviation.
    """

    quantiles: F64
    amplitudes: F64

    @staticmethod
    def of(values: F32) -> Appearance:
        """Measure one image (h, w)."""
        ranks = np.linspace(0.0, 1.0, NUM_QUANTILES)
        return Appearance(quantiles=np.quantile(values, ranks), amplitudes=_amplitudes(values))

    @staticmethod
    def percentile(each: Sequence[Appearance], percent: float) -> Appearance:
        """Percentile over images of every quantile and every amplitude."""
        return Appearance(
            quantiles=np.percentile([one.quantiles for one in each], percent, axis=0),
            amplitudes=np.percentile([one.amplitudes for one in each], percent, axis=0),
        )


@dataclass(frozen=True, kw_only=True)
class MatchAppearance:
    """Harmonise by hand-made statistics: radial frequency spectrum first, then grey values.

    Only what lies outside the range from `least` to `greatest` is changed, and only up to its
    border: an image that looks like one of training stays nearly as it is. The gain of a frequency
    is limited to a factor of two; grey values are mapped rank by rank.
    """

    least: Appearance
    greatest: Appearance

    @staticmethod
    def simulated() -> MatchAppearance:
        """Give images the look of the simulated X-rays of training."""
        return _simulated()

    def __call__(self, values: F32) -> F32:
        """Return the image (h, w) with a spectrum and with grey values within the range."""
        own = np.maximum(_amplitudes(values), 1e-6)
        wanted = np.clip(own, self.least.amplitudes, self.greatest.amplitudes)
        filtered = _filter(values, np.clip(wanted / own, 1.0 / _MAX_GAIN, _MAX_GAIN))
        return _map_ranks(filtered, self.least.quantiles, self.greatest.quantiles)


class OnnxHarmonizer:
    """Harmonise by a network: any ONNX file from one image (1, 1, h, w) to one of that shape.

    Parameters
    ----------
    path
        The ONNX file; it gets and gives values as `_normalize` makes them.
    num_threads
        Threads of onnxruntime.

    Raises
    ------
    DetectionError
        The file is missing, unreadable or has other inputs and outputs. When called: the answer is
        of another shape, or not finite.
    MissingExtraError
        onnxruntime is not installed.
    """

    def __init__(self, path: str | Path, *, num_threads: int = 2) -> None:
        self._session = open_session(path, num_threads, what=_WHAT)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        for there, kind in ((inputs, "input"), (outputs, "output")):
            found = [(value.type, tuple(value.shape)) for value in there]
            if len(there) != 1 or there[0].type != "tensor(float)" or len(there[0].shape) != 4:
                raise DetectionError(
                    f"{_WHAT} {path}: {kind} is {found}, need one of float (1, 1, h, w)"
                )
        self._path, self._input = path, inputs[0].name

    def __call__(self, values: F32) -> F32:
        """Return what the network makes of the image (h, w)."""
        fed = np.ascontiguousarray(values[None, None], np.float32)
        try:
            (answer,) = self._session.run(None, {self._input: fed})
        except Exception as error:
            raise DetectionError(
                f"{_WHAT} {self._path} cannot take {fed.shape}: {error}"
            ) from error
        if answer.shape != fed.shape:
            raise DetectionError(
                f"{_WHAT} {self._path}: gives {answer.shape}, need {fed.shape} as it was given"
            )
        if not np.isfinite(answer).all():
            raise DetectionError(f"{_WHAT} {self._path}: gives values that are not finite")
        harmonized: F32 = answer[0, 0]
        return harmonized


@lru_cache(maxsize=1)
def _simulated() -> MatchAppearance:
    table = shipped_table("appearance")
    least, greatest = (
        Appearance(**{name: np.array(numbers, np.float64) for name, numbers in part.items()})
        for part in (table["least"], table["greatest"])
    )
    return MatchAppearance(least=least, greatest=greatest)


def _radius(rows: int, columns: int) -> F64:
    """Radial frequency (rows, columns // 2 + 1) of `rfft2` in bands; corners are beyond the last."""
    cycles = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns))
    bands: F64 = cycles * (2 * NUM_BANDS)
    return bands


def _amplitudes(values: F32) -> F64:
    """Amplitude per band (see `Appearance`), under a window that fades out at the borders."""
    rows, columns = values.shape
    window = np.outer(np.hanning(rows + 2)[1:-1], np.hanning(columns + 2)[1:-1])
    faded = window * (values - values.mean())
    power = np.abs(np.fft.rfft2(faded)) ** 2 / (window**2).sum()
    radius = _radius(rows, columns)
    band = np.minimum(radius.astype(int), NUM_BANDS - 1).ravel()
    count = np.bincount(band, minlength=NUM_BANDS)
    mean = np.bincount(band, power.ravel(), NUM_BANDS) / np.maximum(count, 1)
    centers = np.arange(NUM_BANDS)
    # A small image has no frequency in some bands.
    filled: F64 = np.interp(centers, centers[count > 0], np.sqrt(mean[count > 0]))
    return filled


def _filter(values: F32, gain: F64) -> F32:
    """Multiply every band's amplitude by its gain (NUM_BANDS,); nothing is moved."""
    rows, columns = values.shape
    around = np.pad(values, _MARGIN_PX, mode="symmetric")
    centers = np.arange(NUM_BANDS) + 0.5
    factor = np.exp(np.interp(_radius(*around.shape), centers, np.log(gain)))
    filtered = np.fft.irfft2(factor * np.fft.rfft2(around), s=around.shape)
    inside: F32 = filtered[_MARGIN_PX:, _MARGIN_PX:][:rows, :columns].astype(np.float32)
    return inside


def _map_ranks(values: F32, least: F64, greatest: F64) -> F32:
    """Move every quantile into its range and the values between with it; equal ones stay equal."""
    own = np.quantile(values, np.linspace(0.0, 1.0, len(least)))
    levels, level_of = np.unique(own, return_inverse=True)
    wanted = np.bincount(level_of, np.clip(own, least, greatest)) / np.bincount(level_of)
    return np.interp(values, levels, wanted).astype(np.float32)
