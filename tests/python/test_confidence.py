"""Confidence: what a fit knows of itself, as a probability."""

from __future__ import annotations

import numpy as np
import pytest

from osteoform._confidence import Evidence, probability_right
from osteoform._types import BONES

GOOD = {
    "boundary_found": 0.95,
    "boundary_rms_mm": 0.6,
    "b": np.full(96, 0.3),
    "start_sd_mm": 3.0,
    "seen": 1.0,
}


def told(bone: str, **changed: object) -> float:
    return probability_right(bone, Evidence.of(**{**GOOD, **changed}))  # type: ignore[arg-type]


def test_evidence_is_what_the_fit_says():
    found = Evidence.of(
        boundary_found=0.8, boundary_rms_mm=1.5, b=np.array([3.0, 4.0]), start_sd_mm=4.0, seen=1.0
    )
    assert found.agreement == pytest.approx(0.8 * np.exp(-0.25))
    assert found.shape == pytest.approx(np.log(26.0))
    assert found.start == pytest.approx(np.log(4.0))


def test_no_boundary_is_no_agreement():
    assert Evidence.of(**{**GOOD, "boundary_rms_mm": float("nan")}).agreement == 0.0


def test_a_start_that_was_given_or_is_sharp_is_as_good_as_one_of_a_millimetre():
    given, sharp = (Evidence.of(**{**GOOD, "start_sd_mm": sd}).start for sd in (0.0, 1.0))
    assert given == sharp == 0.0
    assert Evidence.of(**{**GOOD, "start_sd_mm": float("inf")}).start == pytest.approx(np.log(20.0))


def test_probability_is_the_logistic_of_a_table():
    table = {
        "slope": {"agreement": 2.0, "shape": -1.0, "start": -0.5},
        "offset": {"tibia": 1.0},
        "least_agreement": {"tibia": 0.3},
    }
    evidence = Evidence(agreement=0.9, shape=3.0, start=2.0, seen=1.0)
    want = 1.0 / (1.0 + np.exp(-(1.0 + 1.8 - 3.0 - 1.0)))
    assert probability_right("tibia", evidence, table) == pytest.approx(want)
    hardly = Evidence(agreement=0.29, shape=0.0, start=0.0, seen=1.0)
    assert probability_right("tibia", hardly, table) == 0.0


@pytest.mark.parametrize("bone", BONES)
def test_the_shipped_table_believes_good_fits_and_doubts_bad_ones(bone: str):
    assert told(bone) > 0.5
    assert told(bone, boundary_found=0.2) < told(bone)
    assert told(bone, seen=0.05) == 0.0
    assert told(bone, b=np.full(96, 1.5)) < told(bone)
    assert told(bone, boundary_found=0.2, b=np.full(96, 1.5), start_sd_mm=15.0) < 0.3
