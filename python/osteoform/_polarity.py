"""Which way the grey values of an X-ray run, where nobody has said it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import numpy as np

from osteoform._types import F32, Detector, Polarity, Reading, Side, XrayView

_RIM = 0.15  # of the width, on either side: a leg is rarer there than air

Readings = Sequence[Reading]


def read_with_polarity(
    view: XrayView, detector: Detector, side: Side, bones: Sequence[str]
) -> tuple[XrayView, Readings]:
    """Read a view; if its polarity is unknown read it both ways and keep what shows more bone."""
    if view.polarity is not None:
        return view, detector(view, side=side, bones=bones)
    ways = [replace(view, polarity=polarity) for polarity in get_args(Polarity)]
    seen = [detector(way, side=side, bones=bones) for way in ways]
    best = int(np.argmax([_evidence(readings) for readings in seen]))
    return ways[best], seen[best]


def with_polarity(view: XrayView) -> XrayView:
    """The view, its polarity guessed from the grey values alone if still unknown."""
    return view if view.polarity else replace(view, polarity=find_polarity(view.pixels))


def find_polarity(pixels: F32) -> Polarity:
    """Guess from where the open beam is: it passes beside the leg, so the rim is air.

    Right on three simulated images in four; the detector knows better (`read_with_polarity`).
    """
    rows, columns = pixels.shape
    width = max(1, round(_RIM * columns))
    band = slice(rows // 4, max(rows // 4 + 1, 3 * rows // 4))
    rim = np.concatenate([pixels[band, :width].ravel(), pixels[band, -width:].ravel()])
    middle = pixels[band, columns // 3 : max(columns // 3 + 1, 2 * columns // 3)]
    return "dark_is_dense" if rim.mean() >= middle.mean() else "bright_is_dense"


def _evidence(readings: Readings) -> float:
    """Expected number of feature points in the best reading."""
    sums = [sum(d.evidence for d in reading.values()) for reading in readings]
    return max(sums, default=0.0)
