"""Confidence: what a fit knows of itself, as a probability."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import osteoform
from osteoform import Detection
from osteoform._confidence import SLOPES, Evidence, probability_right
from osteoform._evidence import gather_evidence
from osteoform._leg import points_in_world
from osteoform._rotation import rotation
from osteoform._types import BONES

GOOD = {
    "num_views": 2,
    "boundary_found": 0.95,
    "boundary_rms_mm": 0.6,
    "view_rms_mm": [0.5, 0.7],
    "b": np.full(96, 0.3),
    "start_sd_mm": 3.0,
    "deviations": np.array([0.5, 1.0, 1.5]),
    "seen": 1.0,
}


def told(bone: str, **changed: object) -> float:
    return probability_right(bone, Evidence.of(**{**GOOD, **changed}))  # type: ignore[arg-type]


def test_evidence_is_what_the_fit_says():
    found = Evidence.of(
        num_views=2,
        boundary_found=0.8,
        boundary_rms_mm=1.5,
        view_rms_mm=[1.0, 1.8],
        b=np.array([3.0, 4.0]),
        start_sd_mm=4.0,
        deviations=np.array([0.0, 2.0, 4.0]),
        seen=1.0,
    )
    assert found.agreement == pytest.approx(0.8 * np.exp(-0.25))
    assert found.uneven_mm == pytest.approx(np.sqrt(1.8**2 - 1.0))
    assert found.shape == pytest.approx(np.log(26.0))
    assert found.start == pytest.approx(np.log(4.0))
    assert found.features == pytest.approx((1.0 + np.exp(-0.5) + np.exp(-2.0)) / 3.0)


def test_no_boundary_is_no_agreement():
    nothing = Evidence.of(**{**GOOD, "boundary_rms_mm": float("nan")})
    assert nothing.agreement == nothing.found == 0.0
    assert np.isfinite(nothing.rms_mm)


@pytest.mark.parametrize(("rms_mm", "found", "right"), [(1.5, 0.1, False), (1.5, 0.6, True)])
def test_few_edges_far_off_are_such_as_lie_anywhere(rms_mm, found, right):
    changed = {"boundary_rms_mm": rms_mm, "boundary_found": found}
    assert Evidence.of(**{**GOOD, **changed}).by_chance is not right
    assert (told("femur", **changed) > 0.0) is right


def test_a_fit_that_one_image_bears_out_less_is_doubted():
    """An image without an edge counts as if edges lay anywhere within 5 mm."""

    def uneven_mm(*view_rms_mm: float) -> float:
        return Evidence.of(**{**GOOD, "view_rms_mm": view_rms_mm}).uneven_mm

    assert uneven_mm(0.3, 0.5, 0.4) == pytest.approx(0.4)
    assert uneven_mm(0.5, float("nan")) == pytest.approx(np.sqrt(25.0 / 3.0 - 0.25))
    assert uneven_mm(1.5) == uneven_mm() == 0.0
    for bone in BONES:
        assert told(bone, view_rms_mm=[0.5, 2.0]) < told(bone, view_rms_mm=[0.5, 0.7])


def test_what_was_not_seen_contradicts_nothing():
    assert Evidence.of(**{**GOOD, "deviations": np.zeros(0)}).features == 1.0


def test_a_start_that_was_given_or_is_sharp_is_as_good_as_one_of_a_millimetre():
    given, sharp = (Evidence.of(**{**GOOD, "start_sd_mm": sd}).start for sd in (0.0, 1.0))
    assert given == sharp == 0.0
    assert Evidence.of(**{**GOOD, "start_sd_mm": float("inf")}).start == pytest.approx(np.log(20.0))


def test_probability_is_the_logistic_of_a_table():
    slopes = (2.0, -0.5, -1.0, -0.5, 3.0, 0.25)
    table = {
        "slope": dict(zip(SLOPES, slopes, strict=True)),
        "offset": {"tibia": 1.0},
    }
    known = {
        "found": 0.9,
        "rms_mm": 0.0,
        "uneven_mm": 1.0,
        "shape": 3.0,
        "start": 2.0,
        "features": 0.5,
        "seen": 1.0,
    }
    evidence = Evidence(num_views=2, **known)
    score = 1.0 + 1.8 - 0.5 - 3.0 - 1.0 + 1.5 + 0.25
    assert probability_right("tibia", evidence, table) == pytest.approx(1 / (1 + np.exp(-score)))
    hardly = Evidence(num_views=2, **{**known, "found": 0.04})
    assert probability_right("tibia", hardly, table) == 0.0


@pytest.mark.parametrize("num_views", [1, 2])
@pytest.mark.parametrize("bone", BONES)
def test_the_shipped_table_believes_good_fits_and_doubts_bad_ones(bone: str, num_views: int):
    good = told(bone, num_views=num_views)
    assert good > 0.5
    assert told(bone, num_views=num_views, boundary_found=0.2) < good
    assert told(bone, num_views=num_views, seen=0.05) == 0.0
    assert told(bone, num_views=num_views, b=np.full(96, 1.5)) < good
    assert told(bone, num_views=num_views, deviations=np.full(9, 6.0)) < good
    bad = {"boundary_found": 0.2, "b": np.full(96, 1.5), "deviations": np.full(9, 6.0)}
    assert told(bone, num_views=num_views, start_sd_mm=15.0, **bad) < 0.3


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_bone_where_its_features_were_seen_meets_them(side: str):
    """Of two views the second is corrected by a turn and a shift."""
    model = osteoform.load_model(bone="femur")
    pose, correction = np.eye(4), np.array([[0.02, -0.01, 0.03, 1.0, -2.0, 0.5]])
    pose[:3, :3], pose[:3, 3] = rotation(np.array([0.1, 0.2, -0.3])), [5.0, -4.0, 900.0]
    views = [
        osteoform.XrayView(name=name, pixels=np.zeros((2, 2), np.float32), geometry=geometry)
        for name, geometry in osteoform.standard_views(
            "cone", ("ap", "lateral"), center=pose[:3, 3]
        ).items()
    ]
    b = np.linspace(-1.0, 1.0, model.num_modes)
    fit = SimpleNamespace(
        b=b,
        world_from_bone=pose,
        corrections=correction,
        vertices=np.zeros((1, 3), np.float32),
        boundary_found=0.9,
        boundary_rms_mm=0.5,
        view_rms_mm=[0.4, 0.6],
        start_sd_mm=2.0,
    )
    second = pose.copy()
    second[:3, :3] = rotation(correction[0, :3]) @ pose[:3, :3]
    second[:3, 3] += correction[0, 3:]
    seen = []
    for where, view in zip((pose, second), views, strict=True):
        points = np.stack(list(points_in_world(model, side, b, where).values()))
        at = view.geometry.project(points)
        empty = Detection.empty("femur", len(at))
        seen.append(
            replace(
                empty,
                points_px=at,
                sigma_px=np.full(len(at), 2.0),
                class_probability=np.eye(len(at)),
            )
        )
    met = gather_evidence(model, side, fit, seen, views)
    assert met.features == pytest.approx(1.0, abs=1e-6)
    off = [replace(seen[0], points_px=seen[0].points_px + [4.0, 0.0]), seen[1]]
    half = gather_evidence(model, side, fit, off, views).features
    assert half == pytest.approx(0.5 + 0.5 * np.exp(-0.5), abs=1e-6)


def test_an_image_that_does_not_show_the_bone_does_not_count():
    model = osteoform.load_model(bone="patella")
    pose = np.eye(4)
    pose[2, 3] = 900.0
    geometries = osteoform.standard_views("cone", ("ap", "lateral"), center=pose[:3, 3])
    fit = SimpleNamespace(
        b=np.zeros(model.num_modes),
        world_from_bone=pose,
        corrections=np.zeros((1, 6)),
        vertices=model.mean + pose[:3, 3].astype(np.float32),
        boundary_found=0.9,
        boundary_rms_mm=0.5,
        view_rms_mm=[0.4, 0.6],
        start_sd_mm=2.0,
    )
    nothing = [Detection.empty("patella", len(model.point_names))] * 2
    for second_px, num_views in ((4000, 2), (2, 1)):
        views = [
            osteoform.XrayView(name=name, pixels=np.zeros((px, px), np.float32), geometry=geometry)
            for (name, geometry), px in zip(geometries.items(), (4000, second_px), strict=True)
        ]
        told = gather_evidence(model, "right", fit, nothing, views)
        assert told.num_views == num_views
        assert told.uneven_mm == pytest.approx(np.sqrt(0.2) if num_views == 2 else 0.0)
        assert told.seen == 1.0
