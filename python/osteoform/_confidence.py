"""How likely a reconstructed bone is where it says, within 5 mm and 5 degrees.

A logistic regression on what a fit knows of itself, with the coefficients of `data/confidence.toml`
(`bench/python/confidence.py` finds them, on simulated X-rays of people the detector learned from).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from osteoform._tables import shipped_table
from osteoform._types import F64

Table = Mapping[str, Mapping[str, float]]

LIKELY = 0.5  # confidence above which a bone is right rather than wrong

_RMS_SCALE_MM = 3.0
_START_SD_MM = (1.0, 20.0)
_LEAST_SEEN = 0.1


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a fit knows of itself.

    Attributes
    ----------
    agreement
        Share of the silhouette with a boundary times exp(-(rms / 3 mm)^2), 0 to 1.
    shape
        ln(1 + |b|^2): wrong places ask for unlikely shapes.
    start
        ln of the standard deviation [mm] that the features left the start, between 1 and 20 mm; 0
        where the start was given.
    seen
        Largest share of its vertices in one image.
    """

    agreement: float
    shape: float
    start: float
    seen: float

    @staticmethod
    def of(
        *, boundary_found: float, boundary_rms_mm: float, b: F64, start_sd_mm: float, seen: float
    ) -> Evidence:
        """From the figures of a fit."""
        near = np.exp(-((boundary_rms_mm / _RMS_SCALE_MM) ** 2))
        return Evidence(
            agreement=boundary_found * float(near) if np.isfinite(boundary_rms_mm) else 0.0,
            shape=float(np.log1p(b @ b)),
            start=float(np.log(np.clip(start_sd_mm, *_START_SD_MM))),
            seen=seen,
        )


def probability_right(bone: str, evidence: Evidence, table: Table | None = None) -> float:
    """Probability that the bone is within 5 mm and 5 degrees, 0 to 1.

    It is 0 where the images agree less than with nearly any right bone, and where they hardly show
    it: of a bone beside all edges or outside the images a likely shape proves nothing.

    `table` has other coefficients than the shipped ones.
    """
    table = table or shipped_table("confidence")
    if evidence.agreement < table["least_agreement"][bone] or evidence.seen < _LEAST_SEEN:
        return 0.0
    score = table["offset"][bone] + sum(
        slope * getattr(evidence, name) for name, slope in table["slope"].items()
    )
    return float(1.0 / (1.0 + np.exp(-score)))
