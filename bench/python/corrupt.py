"""Detections made worse: features taken away, and features with each other's names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from osteoform import Detection


def without(detection: Detection, share: float, rng: Generator) -> Detection:
    """Take away a share of the feature points and of the ellipses."""
    points = _kept(len(detection.points_px), share, rng)
    ellipses = _kept(len(detection.ellipse_ids), share, rng)
    return replace(
        detection,
        points_px=detection.points_px[points],
        sigma_px=detection.sigma_px[points],
        class_probability=detection.class_probability[points],
        ellipse_ids=detection.ellipse_ids[ellipses],
        ellipse_center_px=detection.ellipse_center_px[ellipses],
        ellipse_shape_px2=detection.ellipse_shape_px2[ellipses],
        ellipse_sigma_px=detection.ellipse_sigma_px[ellipses],
    )


def misnamed(detection: Detection, share: float, rng: Generator) -> Detection:
    """Give a share of the feature points the names of one another, as certain as they were.

    Ellipses keep theirs. One point alone has nobody to exchange names with.
    """
    count = len(detection.points_px)
    taken = rng.permutation(count)[: round(share * count)]
    probability = detection.class_probability.copy()
    probability[taken] = detection.class_probability[np.roll(taken, 1)]
    return replace(detection, class_probability=probability)


def _kept(count: int, share: float, rng: Generator) -> np.ndarray:
    return np.sort(rng.permutation(count)[round(share * count) :])
