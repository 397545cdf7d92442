"""From which side an X-ray shows a leg.

An X-ray from behind is the mirror image of one from the front, and so is one of the other leg: a
single image tells the direction of the beam only if the side is known, and the side only if the
direction is (exactly so for parallel beams).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from osteoform._types import F64, Side

DirectionName = Literal["ap", "pa", "left_lateral", "right_lateral", "oblique"]

# Beams along the medial and the anterior axis of a right leg, whose medial side is the left one.
_NAMED: dict[DirectionName, tuple[float, float]] = {
    "ap": (0.0, -1.0),
    "pa": (0.0, 1.0),
    "left_lateral": (1.0, 0.0),
    "right_lateral": (-1.0, 0.0),
}
_MIRRORED: dict[DirectionName, DirectionName] = {
    "left_lateral": "right_lateral",
    "right_lateral": "left_lateral",
}
_NEAR_DEG = 30.0


@dataclass(frozen=True, kw_only=True)
class Attitude:
    """How a leg lies in an image.

    Attributes
    ----------
    quarter_turns
        How often np.rot90 has to be applied to set the image upright, left legs mirrored first.
    beam
        (2,) direction of the beam along the medial and the anterior axis of the leg; its length,
        0 to 1, says how sure it is.
    """

    side: Side
    quarter_turns: int
    beam: F64 = field(repr=False)

    @property
    def azimuth_deg(self) -> float:
        """Angle of the beam from the leg's posterior direction (0: AP) towards medial."""
        return float(np.rad2deg(np.arctan2(self.beam[0], -self.beam[1])))

    @property
    def sureness(self) -> float:
        """0 to 1."""
        return min(1.0, float(np.linalg.norm(self.beam)))

    @property
    def direction(self) -> DirectionName:
        """The named direction within 30 degrees; a lateral is named for the side it exits at."""
        return name_direction(self.beam, side=self.side)


def name_direction(beam: F64, *, side: Side) -> DirectionName:
    """Name of a beam given along the medial and the anterior axis of a leg."""
    along = {name: float(np.dot(axis, beam)) for name, axis in _NAMED.items()}
    nearest = max(along, key=lambda name: along[name])
    if along[nearest] < np.cos(np.deg2rad(_NEAR_DEG)) * np.linalg.norm(beam):
        return "oblique"
    return nearest if side == "right" else _MIRRORED.get(nearest, nearest)
