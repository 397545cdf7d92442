"""Bones fitted by the core, side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from osteoform import _core
from osteoform._confidence import LIKELY, SURE, probability_right
from osteoform._core import Alignments, FitOptions, FitStatus
from osteoform._evidence import gather_evidence
from osteoform._foreign_rims import foreign_rims
from osteoform._leg import places_in_world, points_in_world
from osteoform._result import BoneReconstruction
from osteoform._shape_model import ShapeModel
from osteoform._types import F32, F64, Detection, Mesh, Reading, Side, XrayView

POLARITIES = {
    "dark_is_dense": _core.Polarity.DARK_IS_DENSE,
    "bright_is_dense": _core.Polarity.BRIGHT_IS_DENSE,
}
_STAGES = ("prepare", "search", "solve", "summary")
_LIKELY_READING = 0.5  # of the evidence of a view's best reading
# Features that are off together, as by a turn, pull harder than they should: where a fit is likely,
# but below this confidence, their definition error is taken so many times larger as well. One of
# several tries looks right by chance more often than one alone, so it must be sure, with so many
# times the odds of the first. Of an unlikely fit neighbours know better.
_TRIED_BELOW = 0.95
_LOOSER = (2.0, 3.0, 4.0)
_ODDS = 2.0

_T = TypeVar("_T")
Readings = Sequence[Sequence[Reading]]
Rims = Sequence[F32]


@dataclass(frozen=True, kw_only=True)
class AlignedBone:
    """A bone brought to its features, before any image is searched.

    Attributes
    ----------
    readings
        What it was aligned to, per view.
    unlikely
        All readings of the views, where some were left out; they wait until the others are unsure.
    answers
        Poses and pairings, as the core has them.
    from_start
        Whether the answers keep to a start that was given.
    feature_sigma_mm
        How far its features were taken to be off, beside what the detector says.
    """

    model: ShapeModel = field(repr=False)
    side: Side
    readings: Readings = field(repr=False)
    unlikely: Readings | None = field(repr=False)
    answers: Alignments = field(repr=False)
    from_start: bool
    feature_sigma_mm: float

    @property
    def detections(self) -> tuple[Detection, ...]:
        """What was taken of each view."""
        taken = zip(self.readings, self.answers.readings, strict=True)
        return tuple(of_view[index][self.model.bone] for of_view, index in taken)

    def places(self) -> F64:
        """Its feature points (F, 3) in the world [mm], in the model's order."""
        return places_in_world(self.model, self.side, self.answers.b, self.answers.world_from_bone)

    def points(self) -> dict[str, F64]:
        """The same (3,) by name."""
        return points_in_world(self.model, self.side, self.answers.b, self.answers.world_from_bone)


@dataclass(frozen=True, kw_only=True)
class BoneFitter:
    """What all fits of one study share.

    Attributes
    ----------
    options
        Its threads are shared out: first each bone gets one, a single bone gets all.
    timings_ms
        Time in each stage of the fits, summed over a bone's fits; bones overlap in time.
    """

    side: Side
    models: Mapping[str, ShapeModel] = field(repr=False)
    views: Sequence[XrayView] = field(repr=False)
    options: FitOptions
    timings_ms: dict[str, float] = field(default_factory=dict, repr=False)

    def align_all(
        self, wanted: Mapping[str, tuple[Readings, F64 | None]]
    ) -> dict[str, AlignedBone]:
        """Bring every bone to its likely readings, from a start if there is one."""

        def align(bone: str, options: FitOptions) -> AlignedBone:
            readings, start = wanted[bone]
            likely = [_likely(bone, of_view) for of_view in readings]
            fewer = any(len(a) < len(b) for a, b in zip(likely, readings, strict=True))
            return self._align(bone, likely, start, options, unlikely=readings if fewer else None)

        return self._side_by_side(wanted, align)

    def fit_all(self, aligned: Mapping[str, AlignedBone]) -> dict[str, BoneReconstruction]:
        """Fit every bone from where it was aligned to.

        An edge that two bones claim is the more certain one's: the other is fitted once more
        without it.
        """

        def fit(bone: str, options: FitOptions) -> tuple[AlignedBone, BoneReconstruction]:
            return self._fit_until_sure(aligned[bone], options)

        fits = self._side_by_side(aligned, fit)
        found = {bone: fitted for bone, (_, fitted) in fits.items()}
        claimed = {bone: foreign_rims(bone, found) for bone in found}

        def fit_without(bone: str, options: FitOptions) -> BoneReconstruction:
            return self._fit(fits[bone][0], options, claimed[bone])

        again = self._side_by_side([bone for bone in found if claimed[bone]], fit_without)
        return found | {bone: _surer(found[bone], other) for bone, other in again.items()}

    def fit_beside(
        self, bone: str, readings: Readings, found: Mapping[str, BoneReconstruction]
    ) -> BoneReconstruction:
        """Fit one bone from its readings, one list per view, with all threads.

        Edges of the other bones `found` are theirs.
        """
        aligned = self._align(bone, readings, None, self.options)
        first = self._fit(aligned, self.options)
        foreign = foreign_rims(bone, {**found, bone: first})
        if not foreign:
            return first
        again = self._fit(aligned, self.options, foreign)
        return _surer(first, again)

    def _side_by_side(
        self, bones: Collection[str], work: Callable[[str, FitOptions], _T]
    ) -> dict[str, _T]:
        num_workers = min(len(bones), self.options.num_threads)
        options = self.options
        if num_workers > 1:
            options = _with(options, num_threads=max(1, self.options.num_threads // num_workers))
        with ThreadPoolExecutor(max(1, num_workers)) as workers:
            jobs = {bone: workers.submit(work, bone, options) for bone in bones}
            return {bone: job.result() for bone, job in jobs.items()}

    def _fit_until_sure(
        self, aligned: AlignedBone, options: FitOptions
    ) -> tuple[AlignedBone, BoneReconstruction]:
        """Try what features say; where that leads nowhere sure, all readings, and trusting less.

        What is still unsure then stays as it was: neighbours may know better.
        """
        best = aligned, self._fit(aligned, options)
        if aligned.unlikely is not None and best[1].confidence < SURE:
            every = self._align(aligned.model.bone, aligned.unlikely, None, options)
            best = _surest(best, (every, self._fit(every, options)))
        if aligned.from_start or not LIKELY <= best[1].confidence < _TRIED_BELOW:
            return best
        tried = (self._trusting_less(*best, factor, options) for factor in _LOOSER)
        surest = _surest(*tried)
        wanted = max(SURE, _likelier(best[1].confidence, _ODDS))
        return surest if surest[1].confidence >= wanted else best

    def _trusting_less(
        self,
        aligned: AlignedBone,
        found: BoneReconstruction,
        factor: float,
        options: FitOptions,
    ) -> tuple[AlignedBone, BoneReconstruction]:
        """The same readings matched and fitted anew, with so many times their definition error.

        They leave a start as open as they did: what is tried says nothing of what was seen.
        """
        looser = _with(options, feature_sigma_mm=factor * options.feature_sigma_mm)
        again = self._align(aligned.model.bone, aligned.readings, None, looser)
        fit = self._fit(again, options)
        return again, fit.with_evidence(replace(fit.evidence, start=found.evidence.start))

    def _align(
        self,
        bone: str,
        readings: Readings,
        start: F64 | None,
        options: FitOptions,
        unlikely: Readings | None = None,
    ) -> AlignedBone:
        watch = time.perf_counter()
        answers = _core.align_bone(
            model=self.models[bone].core(self.side),
            views=[view.geometry for view in self.views],
            readings=[
                [core_features(reading[bone]) for reading in of_view] for of_view in readings
            ],
            start=start,
            options=options,
        )
        self._spend(bone, "match", 1e3 * (time.perf_counter() - watch))
        return AlignedBone(
            model=self.models[bone],
            side=self.side,
            readings=readings,
            unlikely=unlikely,
            answers=answers,
            from_start=start is not None,
            feature_sigma_mm=options.feature_sigma_mm,
        )

    def _fit(
        self, aligned: AlignedBone, options: FitOptions, foreign: Rims = ()
    ) -> BoneReconstruction:
        fitted = _core.fit_aligned(
            model=aligned.model.core(self.side),
            views=[view.geometry for view in self.views],
            pixels=[view.pixels for view in self.views],
            polarities=[POLARITIES[view.polarity or "dark_is_dense"] for view in self.views],
            aligned=aligned.answers,
            foreign_rims=list(foreign),
            options=_with(options, feature_sigma_mm=aligned.feature_sigma_mm),
        )
        for stage in _STAGES:
            self._spend(aligned.model.bone, stage, getattr(fitted.times, f"{stage}_ms"))
        return _wrap(aligned.model, self.side, fitted, aligned.readings, self.views)

    def _spend(self, bone: str, stage: str, spent_ms: float) -> None:
        name = f"{bone}.{stage}"
        self.timings_ms[name] = self.timings_ms.get(name, 0.0) + spent_ms


def _surer(first: BoneReconstruction, again: BoneReconstruction) -> BoneReconstruction:
    """Of two fits the one that is likelier right."""
    return max(again, first, key=lambda fit: fit.confidence)


def _surest(
    *tried: tuple[AlignedBone, BoneReconstruction],
) -> tuple[AlignedBone, BoneReconstruction]:
    """Of several fits the one that is likeliest right."""
    return max(tried, key=lambda aligned_and_fit: aligned_and_fit[1].confidence)


def _likelier(probability: float, times: float) -> float:
    """The probability with so many times the odds."""
    odds = times * probability / (1.0 - probability)
    return odds / (1.0 + odds)


def _likely(bone: str, of_view: Sequence[Reading]) -> list[Reading]:
    """Readings of a view in which much of the bone was seen: the wrong way up, little is."""
    evidence = [reading[bone].evidence for reading in of_view]
    enough = _LIKELY_READING * max(evidence)
    return [r for r, seen in zip(of_view, evidence, strict=True) if seen >= enough]


def _with(options: FitOptions, **changes: float) -> FitOptions:
    names = [name for name in dir(options) if not name.startswith("_")]
    values = {name: getattr(options, name) for name in names}
    return FitOptions(**(values | changes))


def core_features(detection: Detection) -> _core.ViewFeatures:
    """A detection as the core takes it."""
    return _core.ViewFeatures(
        points_px=detection.points_px,
        sigma_px=detection.sigma_px,
        class_probability=detection.class_probability,
        ellipse_ids=detection.ellipse_ids,
        ellipse_center_px=detection.ellipse_center_px,
        ellipse_shape_px2=detection.ellipse_shape_px2,
        ellipse_sigma_px=detection.ellipse_sigma_px,
    )


def _wrap(
    model: ShapeModel,
    side: Side,
    fit: _core.BoneFit,
    readings: Readings,
    views: Sequence[XrayView],
) -> BoneReconstruction:
    bone = model.bone
    faces = model.faces if side == "right" else np.ascontiguousarray(model.faces[:, ::-1])
    found = fit.status is not FitStatus.NOT_FOUND
    detections = tuple(
        of_view[taken][bone] for of_view, taken in zip(readings, fit.readings, strict=True)
    )
    evidence = gather_evidence(model, side, fit, detections, views)
    return BoneReconstruction(
        bone=bone,
        side=side,
        status=fit.status,
        confidence=probability_right(bone, evidence) if found else 0.0,
        evidence=evidence,
        mesh=Mesh(vertices=fit.vertices, faces=faces),
        world_from_bone=fit.world_from_bone,
        b=fit.b,
        vertex_sd_mm=fit.vertex_sd_mm,
        corrections=fit.corrections,
        boundary_rms_mm=fit.boundary_rms_mm if found else float("nan"),
        boundary_found=fit.boundary_found if found else 0.0,
        match_quality=fit.match_quality,
        num_matched=fit.num_matched,
        iterations=fit.iterations,
        detections=detections,
        rims=tuple(fit.rims),
        boundary_px=tuple(fit.boundary_px),
    )
