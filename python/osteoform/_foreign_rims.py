"""Which edges of the images belong to other bones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from osteoform._confidence import LIKELY
from osteoform._core import FitStatus
from osteoform._result import BoneReconstruction
from osteoform._types import F32


def foreign_rims(bone: str, found: Mapping[str, BoneReconstruction]) -> tuple[F32, ...]:
    """Rims (n, 4), one array per view, of the bones more certain than `bone` that overlap it.

    Empty where there are none.
    """
    own = found[bone]
    others = [
        other
        for other in found.values()
        if other.status is not FitStatus.NOT_FOUND
        and other.confidence >= max(LIKELY, own.confidence)
        and other is not own
    ]
    if own.status is FitStatus.NOT_FOUND or not others:
        return ()
    claimed = [
        np.concatenate([_overlapping(other.rims[v], rims) for other in others])
        for v, rims in enumerate(own.rims)
    ]
    return tuple(claimed) if any(len(rims) for rims in claimed) else ()


def _overlapping(rims: F32, own: F32) -> F32:
    """The rims within the box of a bone's own."""
    if len(own) == 0:
        return rims[:0]
    low, high = own[:, :2].min(axis=0), own[:, :2].max(axis=0)
    inside = ((rims[:, :2] >= low) & (rims[:, :2] <= high)).all(axis=1)
    overlapping: F32 = rims[inside]
    return overlapping
