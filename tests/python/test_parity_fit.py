"""Whole fits: the core against the reference, and against itself with other thread counts."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from osteoform import FitOptions, _core, load_model
from osteoform._fit_bones import core_features
from osteoform._trial import Trial, mirrored, simulate_trial, simulated_features
from osteoform._types import Detection, Mesh, Side
from osteoform.modeling.features import standing_features
from reference import adapt
from reference.fit import Fit, fit_bone
from reference.motion import so3_exp

NUM_MODES = 24


@dataclass(frozen=True)
class Case:
    """A femur within its model, X-rayed, with noisy features and a start some degrees off."""

    model: Any
    side: Side
    trial: Trial
    detections: list[Detection]
    start: np.ndarray


def make_case(kind: str, view_names: tuple[str, ...], side: Side) -> Case:
    rng = np.random.default_rng(zlib.crc32(f"{kind} {view_names} {side}".encode()))
    model = load_model(bone="femur").truncated(NUM_MODES)
    b = np.clip(rng.standard_normal(NUM_MODES), -2.0, 2.0)
    right = Mesh(vertices=model.instance(b), faces=model.faces)
    bone = right if side == "right" else mirrored(right)
    trial = simulate_trial(bone, rng, geometry=kind, view_names=view_names)
    definition = standing_features("femur", model.mean, model.faces)
    detections = simulated_features(definition, right, trial, rng, side=side)
    start = trial.world_from_bone.copy()
    start[:3, :3] = so3_exp(np.deg2rad([3.0, -3.0, 3.0])) @ start[:3, :3]
    start[:3, 3] += [4.0, -4.0, 3.0]
    return Case(model, side, trial, detections, start)


@pytest.fixture(scope="module", params=["cone", "slot", "one view"])
def case(request: pytest.FixtureRequest) -> Case:
    if request.param == "one view":
        return make_case("cone", ("ap",), "right")
    return make_case(
        request.param, ("ap", "lateral"), "left" if request.param == "slot" else "right"
    )


def fit_by_core(case: Case, options: FitOptions, *, detections: bool = True) -> _core.BoneFit:
    num_points = len(case.model.point_names)
    readings = case.detections
    if not detections:
        readings = [Detection.empty("femur", num_points) for _ in readings]
    return _core.fit_bone(
        model=case.model.core(case.side),
        views=[view.geometry for view in case.trial.views],
        pixels=[view.pixels for view in case.trial.views],
        polarities=[_core.Polarity.DARK_IS_DENSE for _ in case.trial.views],
        readings=[[core_features(detection)] for detection in readings],
        start=case.start,
        options=options,
    )


def fit_by_reference(case: Case, options: FitOptions) -> Fit:
    model = case.model if case.side == "right" else case.model.mirrored()
    return fit_bone(
        adapt.model_of(model),
        [adapt.view_of(view.geometry) for view in case.trial.views],
        [view.pixels for view in case.trial.views],
        [adapt.features_of(detection) for detection in case.detections],
        case.start,
        adapt.options_of(options),
    )


# Features alone are double on both sides. A search picks the same edges but for ties, and its rows
# are float: 1e-3 standard deviations and 1e-3 mm are far below what the data tell.
@pytest.mark.parametrize(("iterations", "tolerance"), [(0, 1e-6), (1, 1e-3), (2, 1e-3), (24, 1e-2)])
def test_fits(case: Case, iterations: int, tolerance: float) -> None:
    options = FitOptions(iterations=iterations, depth_sd_mm=30.0)
    ours, reference = fit_by_core(case, options), fit_by_reference(case, options)
    assert ours.iterations == reference.iterations
    assert ours.status.name == reference.status
    assert ours.match_quality == pytest.approx(reference.match_quality, abs=1e-9)
    assert ours.num_matched == pytest.approx(reference.num_matched, abs=1e-9)
    np.testing.assert_allclose(ours.b, reference.state.b, atol=tolerance)
    np.testing.assert_allclose(ours.corrections, reference.state.corrections, atol=tolerance)
    # Vertices are float numbers of some 100 mm; the depth that one view alone hardly tells takes
    # up the rounding of the rows.
    slack = 10.0 if len(case.trial.views) == 1 else 2.0
    np.testing.assert_allclose(ours.vertices, reference.vertices, atol=slack * tolerance + 1e-4)
    np.testing.assert_allclose(ours.vertex_sd_mm, reference.vertex_sd_mm, rtol=1e-2, atol=1e-3)
    assert ours.boundary_rms_mm == pytest.approx(reference.boundary_rms_mm, abs=tolerance + 1e-4)
    assert ours.boundary_found == pytest.approx(reference.boundary_found, abs=2e-3)
    if iterations > 0:
        assert ours.cost == pytest.approx(reference.cost, rel=1e-2)


def same_bits(a: _core.BoneFit, b: _core.BoneFit) -> None:
    for name in ("world_from_bone", "b", "corrections", "vertices", "vertex_sd_mm"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    for name in ("rims", "boundary_px"):
        for x, y in zip(getattr(a, name), getattr(b, name), strict=True):
            np.testing.assert_array_equal(x, y, err_msg=name)
    for name in ("cost", "iterations", "status", "boundary_rms_mm", "boundary_found"):
        assert getattr(a, name) == getattr(b, name), name


@pytest.mark.parametrize("num_threads", [2, 7])
@pytest.mark.parametrize("detections", [True, False], ids=["features", "start alone"])
def test_threads_do_not_change_a_bit(case: Case, num_threads: int, detections: bool) -> None:
    one = fit_by_core(case, FitOptions(num_threads=1), detections=detections)
    many = fit_by_core(case, FitOptions(num_threads=num_threads), detections=detections)
    same_bits(one, many)


def test_distances_of_all_views_are_those_of_each(case: Case) -> None:
    """Counted by the edges of each view, and as far apart as those lie on the detector."""
    fit = fit_by_core(case, FitOptions())
    gaps_px = [
        np.linalg.norm(found - rims[:, :2], axis=1)
        for found, rims in zip(fit.boundary_px, fit.rims, strict=True)
    ]
    num_edges = np.array([np.isfinite(gaps).sum() for gaps in gaps_px])
    rms_mm = np.array(fit.view_rms_mm)
    together = np.sqrt(num_edges @ rms_mm**2 / num_edges.sum())
    assert fit.boundary_rms_mm == pytest.approx(together, rel=1e-9)
    px_per_mm = [np.sqrt(np.nanmean(gaps**2)) for gaps in gaps_px] / rms_mm
    for per_mm, view in zip(px_per_mm, case.trial.views, strict=True):
        ends = view.geometry.project(np.array([[0.0, 0.0, -20.0], [0.0, 0.0, 20.0]]))
        assert per_mm == pytest.approx(np.linalg.norm(ends[1] - ends[0]) / 40.0, rel=0.2)
