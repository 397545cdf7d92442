"""Which way the grey values of an X-ray run."""

from __future__ import annotations

import numpy as np

from osteoform._types import F32, Polarity

_BORDER = 0.12  # of the image, where a leg is rarer than air


def find_polarity(pixels: F32) -> Polarity:
    """Guess the polarity of an image from where its open beam is.

    Air is the least dense thing in the picture. A leg runs through the middle and the beam passes
    beside it, so the extreme grey value that is found along the left and right (or upper and
    lower) border more than in the middle is air. Collimated borders, dense on either side of a
    bright field, are equal to an extreme too: they are left out by looking only between them.
    """
    step = max(1, min(pixels.shape) // 256)
    small = pixels[::step, ::step]
    low, high = np.percentile(small, [2.0, 98.0])
    if high <= low:
        return "dark_is_dense"
    level = np.clip((small - low) / (high - low), 0.0, 1.0)
    # Air is flat and wide: count what sits at each end of the grey scale, and how evenly.
    bright_air = float(np.mean(level > 0.9))
    dark_air = float(np.mean(level < 0.1))
    middle = level[_inner(level.shape[0]), _inner(level.shape[1])]
    rim_is_brighter = _rim(level).mean() >= middle.mean()
    if abs(bright_air - dark_air) > 0.15:
        return "dark_is_dense" if bright_air > dark_air else "bright_is_dense"
    return "dark_is_dense" if rim_is_brighter else "bright_is_dense"


def _inner(length: int) -> slice:
    margin = max(1, int(_BORDER * 2 * length))
    return slice(margin, max(margin + 1, length - margin))


def _rim(level: F32) -> F32:
    rows, columns = level.shape
    width = max(1, int(_BORDER * columns))
    return np.concatenate([level[rows // 4 : -rows // 4, :width].ravel(),
                           level[rows // 4 : -rows // 4, -width:].ravel()])
