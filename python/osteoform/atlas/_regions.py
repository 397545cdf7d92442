"""Soft borders between the regions of a bone."""

from __future__ import annotations

import numpy as np

from osteoform._types import F64


def fade(value: F64, edge: float, softness: float) -> F64:
    """1 below the edge, 0 above it, smooth over twice the softness on each side."""
    t = np.clip((value - edge) / (2 * softness), -1.0, 1.0)
    return np.asarray(0.5 - 0.75 * t + 0.25 * t**3)
