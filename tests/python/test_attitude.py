"""Names of view directions."""

from __future__ import annotations

import numpy as np
import pytest

from osteoform._attitude import Attitude, name_direction


@pytest.mark.parametrize(
    ("azimuth_deg", "right", "left"),
    [
        (0.0, "ap", "ap"),
        (29.0, "ap", "ap"),
        (45.0, "oblique", "oblique"),
        (90.0, "left_lateral", "right_lateral"),
        (180.0, "pa", "pa"),
        (-90.0, "right_lateral", "left_lateral"),
    ],
)
def test_a_lateral_is_named_for_the_side_at_which_the_beam_leaves(azimuth_deg, right, left):
    angle = np.deg2rad(azimuth_deg)
    beam = 0.8 * np.array([np.sin(angle), -np.cos(angle)])
    assert name_direction(beam, side="right") == right
    assert name_direction(beam, side="left") == left
    attitude = Attitude(side="left", quarter_turns=1, beam=beam)
    assert attitude.azimuth_deg == pytest.approx(azimuth_deg)
    assert attitude.sureness == pytest.approx(0.8)
    assert attitude.direction == left
