"""How likely what the images show of a reconstructed bone is right, within 5 mm and 5 degrees.

A logistic regression on what a fit knows of itself, with the coefficients of `data/confidence.toml`
(`bench/python/confidence.py` finds them, on simulated X-rays of people the detector learned from).
One view has coefficients of its own: it shows neither depth nor tilt, so there a bone is right
whose image is within 5 mm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from osteoform._tables import shipped_table
from osteoform._types import F64

Table = Mapping[str, Mapping[str, float]]

LIKELY = 0.5  # confidence above which a bone is right rather than wrong
UNSURE = 0.75  # below which it is looked for again: nearly half of these are wrong
SURE = 0.8  # and from which nothing else is tried
LEAST_SEEN = 0.1  # share of a bone from which an image shows it
SLOPES = ("agreement", "uneven_mm", "shape", "start", "features", "seen")

_RMS_SCALE_MM = 3.0
_MOST_RMS_MM = 5.0
_ANY_RMS_MM = _MOST_RMS_MM / np.sqrt(3.0)  # of edges that lie anywhere where they are looked for
_START_SD_MM = (1.0, 20.0)
_FEATURE_SCALE = 2.0  # standard deviations
_LEAST_AGREEMENT = 0.05
_CHANCE_RMS_MM = 1.3  # of the edges about a bone that is not there, and more the more there are


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a fit knows of itself.

    Attributes
    ----------
    num_views
        Images that show the bone: one that does not cannot tell its depth in the other.
    found, rms_mm
        Share of the silhouette with a boundary, and the root mean square distance to it, 5 mm at most.
    uneven_mm
        How much farther off the boundary is in one image that shows the bone than in another: root of
        the difference of the largest and the least mean square. Where an image has no edge for it,
        as if edges lay anywhere. A fit may follow one image away from the other.
    shape
        ln(1 + |b|^2): wrong places ask for unlikely shapes.
    start
        ln of the standard deviation [mm] that the features left the start, between 1 and 20 mm; 0
        where the start was given.
    features
        How well the bone meets its feature points: the mean of exp(-(z / 2)^2 / 2), z their distance
        from where they were seen in standard deviations; 1 where none was.
    seen
        Largest share of its vertices in one image.
    """

    num_views: int
    found: float
    rms_mm: float
    uneven_mm: float
    shape: float
    start: float
    features: float
    seen: float

    @staticmethod
    def of(
        *,
        num_views: int,
        boundary_found: float,
        boundary_rms_mm: float,
        view_rms_mm: Sequence[float],
        b: F64,
        start_sd_mm: float,
        deviations: F64,
        seen: float,
    ) -> Evidence:
        """From the figures of a fit; `deviations` (n,) are those of the feature points.

        `view_rms_mm` is of every image that shows the bone, NaN where that has no edge for it.
        """
        some = np.isfinite(boundary_rms_mm)
        return Evidence(
            num_views=num_views,
            found=boundary_found if some else 0.0,
            rms_mm=min(boundary_rms_mm, _MOST_RMS_MM) if some else _MOST_RMS_MM,
            uneven_mm=_unevenness(np.nan_to_num(view_rms_mm, nan=_ANY_RMS_MM)),
            shape=float(np.log1p(b @ b)),
            start=float(np.log(np.clip(start_sd_mm, *_START_SD_MM))),
            features=share_met(deviations),
            seen=seen,
        )

    @property
    def agreement(self) -> float:
        """Of silhouette and images, 0 to 1.

        Real edges lie farther off than simulated ones: their distance alone, which tells more where
        all is simulated, would doubt a real knee.
        """
        return float(self.found * np.exp(-((self.rms_mm / _RMS_SCALE_MM) ** 2)))

    @property
    def by_chance(self) -> bool:
        """Whether edges lie about the silhouette as about any: where one is looked for, one is.

        Mostly so do those about a bone that neighbours told though it is not in the images; of right
        bones two of 844 have such edges (ARCHITECTURE.md).
        """
        return self.rms_mm > _CHANCE_RMS_MM + self.found

    @property
    def tells(self) -> bool:
        """Whether the images show some of the bone, with edges that are its own."""
        return self.agreement >= _LEAST_AGREEMENT and not self.by_chance and self.seen >= LEAST_SEEN


def _unevenness(rms_mm: F64) -> float:
    """See Evidence; of distances (n,), one per image that shows the bone."""
    return float(np.sqrt(np.ptp(rms_mm**2))) if len(rms_mm) else 0.0


def share_met(deviations: F64) -> float:
    """How well feature points are met (see Evidence) that are so many deviations (n,) off."""
    if not len(deviations):
        return 1.0
    return float(np.exp(-0.5 * (deviations / _FEATURE_SCALE) ** 2).mean())


def probability_right(bone: str, evidence: Evidence, table: Table | None = None) -> float:
    """Probability that what the images show of the bone is right, 0 to 1.

    It is 0 where the images hardly have an edge for the bone, or only such as lie anywhere, and
    where they hardly show it: beside all edges or outside the images a likely shape proves nothing.

    `table` has other coefficients than the shipped ones for so many views.
    """
    table = table or shipped_table("confidence")[table_name(evidence.num_views)]
    if not evidence.tells:
        return 0.0
    score = table["offset"][bone] + sum(
        table["slope"][name] * float(getattr(evidence, name)) for name in SLOPES
    )
    return float(1.0 / (1.0 + np.exp(-score)))


def table_name(num_views: int) -> str:
    """The part of the table of coefficients for so many views."""
    return "several_views" if num_views > 1 else "one_view"
