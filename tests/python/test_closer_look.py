"""A closer look at joints: what is believed of it, and what it adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from osteoform import FitOptions, _closer_look, _core, load_model
from osteoform._closer_look import CloserLook, align_closely, believed
from osteoform._detections import joined, only
from osteoform._fit_bones import AlignedBone, BoneFitter, core_features
from osteoform._trial import Trial, simulate_trial, simulated_features
from osteoform._types import Detection, Mesh, Reading, Side, XrayView
from osteoform.modeling.features import standing_features

MODEL = load_model(bone="femur").truncated(20)
NAMES = list(MODEL.point_names)
KNEE = [n for n, name in enumerate(NAMES) if "condyl" in name or "trochlea" in name]


@dataclass(frozen=True)
class Fitted:
    """Of a fit only how likely it is right, and how open its features left the start."""

    confidence: float
    start: float = 0.0

    @property
    def evidence(self) -> Fitted:
        return self

    def with_evidence(self, evidence: Fitted) -> Fitted:
        return replace(self, start=evidence.start)


def seen_at(points_px: np.ndarray, names: Sequence[int], sigma_px: float) -> Detection:
    """Points with certain names, no ellipses."""
    return replace(
        Detection.empty("femur", len(NAMES)),
        points_px=points_px,
        sigma_px=np.full(len(points_px), sigma_px),
        class_probability=0.9 * np.eye(len(NAMES))[list(names)],
    )


def some_points(count: int) -> np.ndarray:
    return np.stack([np.linspace(10.0, 200.0, count), np.linspace(50.0, 90.0, count)], 1)


def test_a_look_that_agrees_is_believed_but_for_what_does_not():
    at = some_points(8)
    first = {"femur": seen_at(at, range(8), 4.0)}
    moved = at + 2.0
    moved[3] += 60.0
    closer = seen_at(np.vstack([moved, [[5.0, 5.0]]]), [*range(8), 12], 1.0)
    (kept,) = believed([{"femur": closer}], first)
    names = kept["femur"].class_probability.argmax(axis=1).tolist()
    assert names == [0, 1, 2, 4, 5, 6, 7, 12]
    np.testing.assert_array_equal(kept["femur"].points_px[:3], moved[:3])


def test_a_look_that_disagrees_is_not_believed():
    at = some_points(8)
    first = {"femur": seen_at(at, range(8), 4.0)}
    upside_down = seen_at(at[::-1].copy(), range(8), 1.0)
    assert believed([{"femur": upside_down}], first) == []
    assert believed([], first) == []


def test_of_several_turns_the_one_that_agrees_is_taken():
    at = some_points(8)
    first = {"femur": seen_at(at, range(8), 4.0)}
    wrong, right = seen_at(at[::-1].copy(), range(8), 1.0), seen_at(at + 1.0, range(8), 1.0)
    (kept,) = believed([{"femur": wrong}, {"femur": right}], first)
    np.testing.assert_array_equal(kept["femur"].points_px, right.points_px)


def test_few_shared_points_prove_nothing():
    at = some_points(8)
    first = {"femur": seen_at(at[:2], range(2), 4.0)}
    assert believed([{"femur": seen_at(at, range(8), 1.0)}], first) == []


def test_parts_of_a_detection_join_to_the_whole():
    whole = seen_at(some_points(6), range(6), 2.0)
    first = np.arange(6) < 4
    none = np.zeros(0, np.bool_)
    parts = [only(whole, points=marks, ellipses=none) for marks in (first, ~first)]
    np.testing.assert_array_equal(joined(parts).points_px, whole.points_px)
    np.testing.assert_array_equal(joined(parts).class_probability, whole.class_probability)


class _Scripted:
    """Sees the whole femur coarsely; of a part only the knee, finely. Notes what it was shown."""

    def __init__(self, trial: Trial, detections: Sequence[Detection], whole_px: int) -> None:
        self.fine = {v.name: d for v, d in zip(trial.views, detections, strict=True)}
        self.origin = {v.name: v.pixels for v in trial.views}
        self.whole_px, self.parts = whole_px, 0

    def coarse(self, name: str, rng: np.random.Generator) -> Detection:
        fine = self.fine[name]
        noise = rng.normal(0.0, 6.0, fine.points_px.shape)
        return replace(
            fine, points_px=fine.points_px + noise, sigma_px=np.full(len(fine.points_px), 6.0)
        )

    def __call__(self, view: XrayView, *, side: Side, bones: Sequence[str]) -> Sequence[Reading]:
        self.parts += 1
        assert max(view.pixels.shape) < 0.6 * self.whole_px
        fine = self.fine[view.name]
        low = _corner_of(view.pixels, self.origin[view.name])
        at = fine.points_px - low
        size = np.array(view.pixels.shape[::-1])
        marks = np.all((at > 0) & (at < size), axis=1)
        part = only(replace(fine, points_px=at), points=marks, ellipses=fine.ellipse_ids < 0)
        return [{"femur": part}]


def _corner_of(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Where a part was cut from, (u, v)."""
    rows, columns = np.nonzero(whole[: -len(part) + 1 or None] == part[0, 0])[0:2]
    for v, u in zip(rows, columns, strict=True):
        if np.array_equal(whole[v : v + part.shape[0], u : u + part.shape[1]], part):
            return np.array([u, v], float)
    raise AssertionError("this part is of no image")


@pytest.fixture(scope="module")
def trial() -> tuple[Trial, list[Detection]]:
    rng = np.random.default_rng(4)
    bone = Mesh(vertices=MODEL.instance(np.zeros(20)), faces=MODEL.faces)
    trial = simulate_trial(bone, rng, geometry="cone", view_names=("ap", "lateral"))
    definition = standing_features("femur", MODEL.mean, MODEL.faces)
    return trial, simulated_features(definition, bone, trial, rng, side="right")


def test_a_closer_look_betters_the_start(trial):
    study, fine = trial
    views, rng = study.views, np.random.default_rng(5)
    detector = _Scripted(study, fine, max(views[0].pixels.shape))
    first = [[{"femur": detector.coarse(view.name, rng)}] for view in views]
    fitter = BoneFitter(
        side="right", models={"femur": MODEL}, views=views, options=FitOptions(num_threads=1)
    )
    look = CloserLook(side="right", detector=detector, views=views, asked=[("femur",)] * 2)
    coarse = fitter.align_all({"femur": (first, None)})["femur"]
    closer = align_closely({"femur": (first, None)}, fitter, look)["femur"]
    assert detector.parts >= 2
    assert len(closer.detections[0].points_px) > len(coarse.detections[0].points_px)

    def off(aligned) -> float:
        pose = study.world_from_bone
        true = MODEL.point_mean @ pose[:3, :3].T + pose[:3, 3]
        found = np.stack(list(aligned.points().values()))
        return float(np.linalg.norm(found - true, axis=1)[KNEE].mean())

    assert off(closer) < 0.8 * off(coarse)


@pytest.mark.parametrize(("worth", "joints"), [(0.3, []), (0.6, ["knee"]), (0.7, ["hip", "knee"])])
def test_joints_are_looked_at_where_the_image_shows_much_more(trial, monkeypatch, worth, joints):
    study, fine = trial
    seen: list[str] = []

    def note(view: XrayView, *, side: Side, bones: Sequence[str]) -> Sequence[Reading]:
        whole = next(v.pixels for v in study.views if v.name == view.name)
        seen.append("hip" if _corner_of(view.pixels, whole)[1] < len(whole) / 3 else "knee")
        return []

    monkeypatch.setattr(_closer_look, "_WORTH", worth)
    readings = [[{"femur": detection}] for detection in fine]
    fitter = BoneFitter(
        side="right", models={"femur": MODEL}, views=study.views, options=FitOptions(num_threads=1)
    )
    look = CloserLook(side="right", detector=note, views=study.views, asked=[("femur",)] * 2)
    align_closely({"femur": (readings, None)}, fitter, look)
    assert seen == 2 * joints


def test_nobody_is_asked_about_bones_that_are_given(trial):
    study, fine = trial

    def never(*_: object, **__: object) -> Sequence[Reading]:
        raise AssertionError("nobody should ask")

    readings = [[{"femur": detection}] for detection in fine]
    fitter = BoneFitter(
        side="right", models={"femur": MODEL}, views=study.views, options=FitOptions(num_threads=1)
    )
    look = CloserLook(side="right", detector=never, views=study.views, asked=[(), ()])
    assert set(align_closely({"femur": (readings, None)}, fitter, look)) == {"femur"}


def test_the_two_halves_of_a_fit_are_the_fit(trial):
    study, fine = trial
    options = FitOptions(num_threads=1)
    common = {
        "model": MODEL.core("right"),
        "views": [view.geometry for view in study.views],
        "options": options,
    }
    images = {
        "pixels": [view.pixels for view in study.views],
        "polarities": [_core.Polarity.DARK_IS_DENSE] * 2,
    }
    readings = [[core_features(detection)] for detection in fine]
    aligned = _core.align_bone(**common, readings=readings, start=None)
    halves = _core.fit_aligned(**common, **images, aligned=aligned)
    whole = _core.fit_bone(**common, **images, readings=readings, start=None)
    np.testing.assert_array_equal(halves.vertices, whole.vertices)
    assert halves.start_sd_mm == whole.start_sd_mm > 0.0
    with pytest.raises(_core.InputError, match="alignment must be one to these views"):
        _core.fit_aligned(
            **(common | {"views": common["views"][:1]}),
            pixels=images["pixels"][:1],
            polarities=images["polarities"][:1],
            aligned=aligned,
        )


def test_worse_features_leave_the_start_more_open(trial):
    study, fine = trial

    def sd(worse: float) -> float:
        readings = [[core_features(replace(d, sigma_px=worse * d.sigma_px))] for d in fine]
        return _core.fit_bone(
            model=MODEL.core("right"),
            views=[view.geometry for view in study.views],
            pixels=[view.pixels for view in study.views],
            polarities=[_core.Polarity.DARK_IS_DENSE] * 2,
            readings=readings,
            start=None,
            options=FitOptions(iterations=0, num_threads=1),
        ).start_sd_mm

    assert 0.2 < sd(1.0) < sd(3.0) < 30.0


@pytest.mark.parametrize(("sure_of_likely", "num_fits"), [(0.6, 2), (0.9, 1)])
def test_unlikely_readings_wait_until_the_likely_ones_leave_doubt(
    trial, monkeypatch, sure_of_likely, num_fits
):
    """Of the first view the wrong way up much was seen, the right way up little."""
    study, fine = trial
    some = np.arange(len(fine[0].points_px)) % 3 == 0
    little = only(fine[0], points=some, ellipses=np.zeros(len(fine[0].ellipse_ids), np.bool_))
    fits: list[AlignedBone] = []

    def fit(self: BoneFitter, aligned: AlignedBone, options: FitOptions) -> Fitted:
        if aligned.feature_sigma_mm == self.options.feature_sigma_mm:
            fits.append(aligned)
        return Fitted(confidence=sure_of_likely if aligned.unlikely else 0.7)

    monkeypatch.setattr(BoneFitter, "_fit", fit)
    fitter = BoneFitter(
        side="right", models={"femur": MODEL}, views=study.views, options=FitOptions(num_threads=1)
    )
    readings = [[{"femur": fine[0]}, {"femur": little}], [{"femur": fine[1]}]]
    aligned = fitter.align_all({"femur": (readings, None)})["femur"]
    assert [len(of_view) for of_view in aligned.readings] == [1, 1]
    _, found = fitter._fit_until_sure(aligned, fitter.options)
    assert [[len(of_view) for of_view in a.readings] for a in fits] == [[1, 1], [2, 1]][:num_fits]
    assert found.confidence == max(sure_of_likely, 0.7)


@pytest.mark.parametrize(
    ("confidences", "given", "tried", "taken"),
    [
        ([0.6, 0.7, 0.85, 0.82], False, [1.0, 2.0, 3.0, 4.0], 2),
        ([0.6, 0.7, 0.79, 0.7], False, [1.0, 2.0, 3.0, 4.0], 0),
        ([0.85, 0.9, 0.86, 0.1], False, [1.0, 2.0, 3.0, 4.0], 0),
        ([0.85, 0.9, 0.93, 0.1], False, [1.0, 2.0, 3.0, 4.0], 2),
        ([0.95], False, [1.0], 0),
        ([0.0], False, [1.0], 0),
        ([0.4], False, [1.0], 0),
        ([0.6], True, [1.0], 0),
    ],
)
def test_only_where_a_fit_is_unsure_features_are_trusted_less(
    trial, monkeypatch, confidences, given, tried, taken
):
    study, fine = trial
    fits: list[AlignedBone] = []

    def fit(self: BoneFitter, aligned: AlignedBone, options: FitOptions) -> Fitted:
        fits.append(aligned)
        return Fitted(confidences[len(fits) - 1], start=float(len(fits)))

    monkeypatch.setattr(BoneFitter, "_fit", fit)
    fitter = BoneFitter(
        side="right", models={"femur": MODEL}, views=study.views, options=FitOptions(num_threads=1)
    )
    readings = [[{"femur": detection}] for detection in fine]
    start = study.world_from_bone if given else None
    aligned = fitter.align_all({"femur": (readings, start)})["femur"]
    best, found = fitter._fit_until_sure(aligned, fitter.options)
    assert [fit.feature_sigma_mm for fit in fits] == tried
    assert best is fits[taken]
    assert found.confidence == confidences[taken]
    assert found.start == 1.0, "what is tried leaves the start as open as it was"


def test_features_trusted_less_pull_less(trial):
    """Of features that are all off to one side the images win where they are trusted less."""
    study, fine = trial
    no_ellipses = [np.zeros(len(d.ellipse_ids), np.bool_) for d in fine]
    every_point = [np.ones(len(d.points_px), np.bool_) for d in fine]
    aside = [
        only(replace(d, points_px=d.points_px + 6.0), points=points, ellipses=ellipses)
        for d, points, ellipses in zip(fine, every_point, no_ellipses, strict=True)
    ]
    fitter = BoneFitter(
        side="right", models={"femur": MODEL}, views=study.views, options=FitOptions(num_threads=1)
    )
    readings = [[{"femur": detection}] for detection in aside]

    def off_mm(sigma_mm: float) -> float:
        options = FitOptions(num_threads=1, feature_sigma_mm=sigma_mm)
        aligned = fitter._align("femur", readings, None, options)
        assert aligned.feature_sigma_mm == sigma_mm
        fit = fitter._fit(aligned, fitter.options)
        return float(np.linalg.norm(fit.world_from_bone[:3, 3] - study.world_from_bone[:3, 3]))

    assert off_mm(8.0) < 0.7 * off_mm(1.0)
