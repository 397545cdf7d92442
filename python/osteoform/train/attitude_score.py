"""How well a detector tells the way a leg lies in an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from osteoform._attitude import name_direction
from osteoform._peaks import MIN_TURN
from osteoform._types import F32, F64

_RIGHT_WITHIN_DEG = 45.0


@dataclass(frozen=True, kw_only=True)
class AttitudeScore:
    """Shares of the images.

    Attributes
    ----------
    turn_share, turn_missed_share
        Every image was read at its four quarter turns: how often the likeliest turn is the one that
        sets it upright, and how often that one would not even be tried.
    direction_share, direction_median_deg
        How often the direction of the beam is right within 45 degrees, of images that are upright
        and of a known side, and its median error.
    name_share
        How often its name is right (AP, PA, either lateral, oblique); a direction near the border
        of two names has but one right.
    """

    turn_share: float
    turn_missed_share: float
    direction_share: float
    direction_median_deg: float
    name_share: float


def score_attitudes(turns: Sequence[F32], beams: Sequence[tuple[F64, F32]]) -> AttitudeScore:
    """Score what was told.

    Parameters
    ----------
    turns
        Per image (4, 4): row k has the probabilities told of the image after k quarter turns.
    beams
        Per image the direction told and the true one, (2,) each.
    """
    back = [-k % 4 for k in range(4)]
    right = np.stack([told[range(4), back] for told in turns])
    likeliest = np.stack([told.argmax(axis=1) == back for told in turns])
    angles = np.array([_angle_deg(told, true) for told, true in beams])
    named = [
        name_direction(told, side="right") == name_direction(np.asarray(true, float), side="right")
        for told, true in beams
    ]
    return AttitudeScore(
        turn_share=float(likeliest.mean()),
        turn_missed_share=float((right <= MIN_TURN).mean()),
        direction_share=float((angles < _RIGHT_WITHIN_DEG).mean()),
        direction_median_deg=float(np.median(angles)),
        name_share=float(np.mean(named)),
    )


def _angle_deg(a: F64, b: F32) -> float:
    cosine = float(a @ b) / (float(np.linalg.norm(a) * np.linalg.norm(b)) + 1e-12)
    return float(np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0))))
