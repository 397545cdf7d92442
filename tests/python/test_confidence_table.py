"""The regression that gives the coefficients of confidence."""

from __future__ import annotations

import numpy as np
import pytest

from osteoform._confidence import Evidence
from osteoform._types import BONES

pytest.importorskip("torch", reason="studies are simulated with PyTorch")

from confidence import Case, regress


def cases(num: int, **always: float) -> list[Case]:
    """Half of them right: those with more of a boundary, less unlikely shapes, and less seen."""
    rng = np.random.default_rng(0)
    found = []
    for index in range(num):
        right = index % 2 == 0
        known = {
            "found": rng.uniform(0.5, 1.0) if right else rng.uniform(0.2, 0.7),
            "rms_mm": 0.5,
            "uneven_mm": 0.0,
            "shape": rng.uniform(1.0, 3.0) + (0.0 if right else 0.5),
            "start": rng.uniform(0.0, 1.0),
            "features": 0.8,
            "seen": rng.uniform(0.2, 0.5) if right else rng.uniform(0.4, 1.0),
        }
        evidence = Evidence(num_views=2, **(known | always))
        bone = BONES[(index // 2) % len(BONES)]
        found.append(Case(kind="any", part="", bone=bone, evidence=evidence, right=right))
    return found


def test_slopes_have_the_sign_of_what_they_are_of_and_none_where_nothing_changes():
    slope = regress(cases(400))["slope"]
    assert slope["agreement"] > 1.0
    assert slope["shape"] < -0.1
    assert slope["seen"] == 0.0  # it speaks for a bone, whatever these cases say
    assert slope["uneven_mm"] == slope["features"] == 0.0


def test_cases_that_the_images_tell_nothing_of_have_no_say():
    some = cases(400)
    nothing = [*cases(100, found=0.1, rms_mm=2.0), *cases(100, seen=0.05)]
    assert not any(case.evidence.tells for case in nothing)
    assert regress([*some, *nothing]) == regress(some)
