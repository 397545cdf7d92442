"""Bones fitted by the core, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from osteoform import _core
from osteoform._core import FitOptions, FitStatus
from osteoform._foreign_rims import foreign_rims
from osteoform._result import BoneReconstruction
from osteoform._shape_model import ShapeModel
from osteoform._types import F32, F64, Detection, Mesh, Reading, Side, XrayView

POLARITIES = {
    "dark_is_dense": _core.Polarity.DARK_IS_DENSE,
    "bright_is_dense": _core.Polarity.BRIGHT_IS_DENSE,
}
_RMS_SCALE_MM = 3.0
_STAGES = ("match", "prepare", "search", "solve", "summary")
_LIKELY_READING = 0.5  # of the evidence of a view's best reading

Readings = Sequence[Sequence[Reading]]
Rims = Sequence[F32]
_Task = tuple[Readings, F64 | None, Rims]


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

    def fit_all(
        self, wanted: Mapping[str, tuple[Readings, F64 | None]]
    ) -> dict[str, BoneReconstruction]:
        """Fit every bone from its readings, one list per view, and from a start if there is one.

        An edge that two bones claim is the more certain one's: the other is fitted once more
        without it.
        """
        found = self._fit_all({bone: (*what, ()) for bone, what in wanted.items()})
        claimed = {bone: foreign_rims(bone, found) for bone in found}
        again = {bone: (*wanted[bone], rims) for bone, rims in claimed.items() if rims}
        refitted = self._fit_all(again)
        return found | {b: r for b, r in refitted.items() if r.status is not FitStatus.NOT_FOUND}

    def fit_beside(
        self, bone: str, readings: Readings, found: Mapping[str, BoneReconstruction]
    ) -> BoneReconstruction:
        """Fit one bone from its readings, one list per view, with all threads.

        Edges of the other bones `found` are theirs.
        """
        first = self._fit(bone, readings, None, self.options, ())
        foreign = foreign_rims(bone, {**found, bone: first})
        if not foreign:
            return first
        again = self._fit(bone, readings, None, self.options, foreign)
        return first if again.status is FitStatus.NOT_FOUND else again

    def _fit_all(self, tasks: Mapping[str, _Task]) -> dict[str, BoneReconstruction]:
        num_workers = min(len(tasks), self.options.num_threads)
        options = self.options
        if num_workers > 1:
            options = _with_threads(options, max(1, self.options.num_threads // num_workers))
        with ThreadPoolExecutor(max(1, num_workers)) as workers:
            jobs = {
                bone: workers.submit(self._fit_likely, bone, *task, options)
                for bone, task in tasks.items()
            }
            return {bone: job.result() for bone, job in jobs.items()}

    def _fit_likely(
        self,
        bone: str,
        readings: Readings,
        start: F64 | None,
        foreign: Rims,
        options: FitOptions,
    ) -> BoneReconstruction:
        """Try the likely readings; all of them, where those lead nowhere."""
        likely = [_likely(bone, of_view) for of_view in readings]
        found = self._fit(bone, likely, start, options, foreign)
        more = any(len(a) < len(b) for a, b in zip(likely, readings, strict=True))
        if found.status is FitStatus.NOT_FOUND and more:
            return self._fit(bone, readings, start, options, foreign)
        return found

    def _fit(
        self,
        bone: str,
        readings: Readings,
        start: F64 | None,
        options: FitOptions,
        foreign: Rims,
    ) -> BoneReconstruction:
        fitted = _core.fit_bone(
            model=self.models[bone].core(self.side),
            views=[view.geometry for view in self.views],
            pixels=[view.pixels for view in self.views],
            polarities=[POLARITIES[view.polarity or "dark_is_dense"] for view in self.views],
            readings=[
                [core_features(reading[bone]) for reading in of_view] for of_view in readings
            ],
            foreign_rims=list(foreign),
            start=start,
            options=options,
        )
        for stage in _STAGES:
            name, spent = f"{bone}.{stage}", getattr(fitted.times, f"{stage}_ms")
            self.timings_ms[name] = self.timings_ms.get(name, 0.0) + spent
        return _wrap(bone, self.side, self.models[bone], fitted, readings)


def _likely(bone: str, of_view: Sequence[Reading]) -> list[Reading]:
    """Readings of a view in which much of the bone was seen: the wrong way up, little is."""
    evidence = [reading[bone].evidence for reading in of_view]
    enough = _LIKELY_READING * max(evidence)
    return [r for r, seen in zip(of_view, evidence, strict=True) if seen >= enough]


def _with_threads(options: FitOptions, num_threads: int) -> FitOptions:
    names = [name for name in dir(options) if not name.startswith("_")]
    values = {name: getattr(options, name) for name in names}
    return FitOptions(**(values | {"num_threads": num_threads}))


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
    bone: str,
    side: Side,
    model: ShapeModel,
    fit: _core.BoneFit,
    readings: Readings,
) -> BoneReconstruction:
    faces = model.faces if side == "right" else np.ascontiguousarray(model.faces[:, ::-1])
    found = fit.status is not FitStatus.NOT_FOUND
    rms = fit.boundary_rms_mm
    agreement = float(np.exp(-((rms / _RMS_SCALE_MM) ** 2))) if np.isfinite(rms) else 0.0
    return BoneReconstruction(
        bone=bone,
        side=side,
        status=fit.status,
        confidence=fit.boundary_found * agreement if found else 0.0,
        mesh=Mesh(vertices=fit.vertices, faces=faces),
        world_from_bone=fit.world_from_bone,
        b=fit.b,
        vertex_sd_mm=fit.vertex_sd_mm,
        corrections=fit.corrections,
        boundary_rms_mm=rms if found else float("nan"),
        boundary_found=fit.boundary_found if found else 0.0,
        match_quality=fit.match_quality,
        num_matched=fit.num_matched,
        iterations=fit.iterations,
        detections=tuple(
            of_view[taken][bone] for of_view, taken in zip(readings, fit.readings, strict=True)
        ),
        rims=tuple(fit.rims),
        boundary_px=tuple(fit.boundary_px),
    )
