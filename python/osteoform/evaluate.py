"""Accuracy on bones the model has not seen: simulate X-rays, reconstruct, measure."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from osteoform._core import FitOptions, FitStatus
from osteoform._distance import DistanceSummary, distances_to_surface, sample_surface
from osteoform._errors import OsteoformError
from osteoform._models import load_model
from osteoform._placement import place_model, rigid_fit_to_surface
from osteoform._reconstruct import reconstruct
from osteoform._result import Reconstruction
from osteoform._shape_model import ShapeModel
from osteoform._surroundings import surroundings
from osteoform._trial import (
    GeometryKind,
    Trial,
    mirrored,
    simulate_trial,
    simulated_features,
)
from osteoform._types import BONES, F64, Detection, Detector, Mesh, Side
from osteoform.modeling.features import standing_features
from osteoform.simulate import Physics

FeatureSource = Literal["detected", "simulated"]

_NUM_SAMPLES = 20_000


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A real bone to test with, and the model that has not seen it.

    The mesh may have any axes and any topology: only mm, a whole bone and a closed surface are
    needed. `rotation` (3, 3) mesh from bone is which way round it lies, where that is known.
    """

    name: str
    mesh: Mesh = field(repr=False)
    model: ShapeModel = field(repr=False)
    rotation: F64 | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How the bones are tested; every random number follows from `seed` and the bone's name.

    Attributes
    ----------
    alone
        Nothing but the bone is X-rayed. Otherwise, where features are detected, the other bones of
        a leg are around it (`_surroundings`), and are reconstructed too: that is what X-rays
        show, what the detector knows, and what hides edges.
    """

    side: Side
    alone: bool = False
    geometry: GeometryKind = "cone"
    view_names: tuple[str, ...] = ("ap", "lateral")
    features: FeatureSource = "detected"
    feature_noise_px: float = 3.0
    seed: int = 0
    physics: Physics | None = None
    options: FitOptions | None = None


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """Distance from the true surface to the reconstructed one, in the world, not realigned.

    Attributes
    ----------
    status
        The fit's, or ERROR where nothing came back; then `message` says why.
    error
        None where there is no surface.
    aligned_error
        One view only: the same after the best rigid alignment, since a single image leaves the
        depth open.
    """

    name: str
    status: str
    error: DistanceSummary | None
    aligned_error: DistanceSummary | None = None
    confidence: float = 0.0
    boundary_rms_mm: float | None = None
    boundary_found: float = 0.0
    message: str = ""
    timings_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether the reconstruction raised or says of itself that it found nothing."""
        return self.error is None or self.status == FitStatus.NOT_FOUND.name


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A tested bone with what led to its result, for pictures."""

    result: CaseResult
    trial: Trial = field(repr=False)
    reconstruction: Reconstruction | None = field(repr=False)


def evaluate(
    subjects: Sequence[Subject], protocol: Protocol, *, detector: Detector | None = None
) -> Iterator[Outcome]:
    """Test a model on bones it has not seen, one after the other.

    Every bone is brought to its model's axes (only to know where to put the views), posed at
    random, X-rayed and reconstructed.

    Parameters
    ----------
    detector
        Used where `protocol.features` is "detected"; None: the shipped network.

    Raises
    ------
    InputError
        A mesh is unusable, or a setting is wrong. A reconstruction that raises is no error but a
        result.
    """
    if protocol.features == "detected" and detector is None:
        from osteoform._detect import shipped_detector  # late: imports onnxruntime

        detector = shipped_detector()
    for subject in subjects:
        yield _run(subject, protocol, detector)


def take_xrays(
    subject: Subject, protocol: Protocol, rng: np.random.Generator
) -> tuple[Mesh, dict[str, ShapeModel], Trial]:
    """The subject in the bone frame, models of the bones that are X-rayed, and the views."""
    side, bone = protocol.side, subject.model.bone
    placed = place_model(subject.model, subject.mesh, side=side, rotation=subject.rotation)
    in_bone = placed.to_bone(subject.mesh)
    models = {bone: subject.model}
    others: list[Mesh] = []
    if protocol.features == "detected" and not protocol.alone:
        models = {name: models.get(name) or load_model(bone=name) for name in BONES}
        others = surroundings(in_bone, models, bone, rng, side=side)
    trial = simulate_trial(
        in_bone,
        rng,
        geometry=protocol.geometry,
        view_names=protocol.view_names,
        physics=protocol.physics,
        others=others,
    )
    return in_bone, models, trial


def _run(subject: Subject, protocol: Protocol, detector: Detector | None) -> Outcome:
    rng = np.random.default_rng([protocol.seed, zlib.crc32(subject.name.encode())])
    side, bone = protocol.side, subject.model.bone
    in_bone, models, trial = take_xrays(subject, protocol, rng)
    features: dict[str, list[Detection]] | None = None
    if protocol.features == "simulated":
        features = {bone: _true_features(subject, in_bone, trial, rng, protocol)}
    try:
        found = reconstruct(
            trial.views,
            side=side,
            bones=tuple(models),
            models=models,
            detector=detector,
            features=features,
            options=protocol.options,
        )
    except (OsteoformError, ValueError, ArithmeticError, RuntimeError) as error:
        message = f"{type(error).__name__}: {error}"
        result = CaseResult(name=subject.name, status="ERROR", error=None, message=message)
        return Outcome(result=result, trial=trial, reconstruction=None)
    return Outcome(
        result=_measure(subject.name, bone, trial, found), trial=trial, reconstruction=found
    )


def _true_features(
    subject: Subject, in_bone: Mesh, trial: Trial, rng: np.random.Generator, protocol: Protocol
) -> list[Detection]:
    """Features of a mesh in correspondence come from the model's definition; else from geometry."""
    right = in_bone if protocol.side == "right" else mirrored(in_bone)
    model = subject.model
    like_model = right.faces.shape == model.faces.shape and np.array_equal(right.faces, model.faces)
    defined_on = model.mean if like_model else right.vertices
    definition = standing_features(model.bone, defined_on, right.faces)
    return simulated_features(
        definition, right, trial, rng, side=protocol.side, noise_px=protocol.feature_noise_px
    )


def _measure(name: str, bone: str, trial: Trial, found: Reconstruction) -> CaseResult:
    part = found.bones[bone]
    samples = sample_surface(trial.truth, _NUM_SAMPLES)
    distances = distances_to_surface(samples, part.mesh)
    aligned = None
    if len(trial.views) == 1:
        moved = rigid_fit_to_surface(samples[:: _NUM_SAMPLES // 2000], part.mesh).apply(samples)
        aligned = DistanceSummary.of(distances_to_surface(moved, part.mesh))
    return CaseResult(
        name=name,
        status=part.status.name,
        error=DistanceSummary.of(distances),
        aligned_error=aligned,
        confidence=part.confidence,
        boundary_rms_mm=part.boundary_rms_mm if np.isfinite(part.boundary_rms_mm) else None,
        boundary_found=part.boundary_found,
        timings_ms=dict(found.timings_ms),
    )


def report(results: Sequence[CaseResult]) -> dict[str, Any]:
    """Numbers of all cases as plain values for JSON.

    The summary's `mean_mm`, `rms_mm` and `p95_mm` average the cases that did not fail (null where
    there is none); `worst_mm` is the largest mean of them; `failures` counts the cases that raised
    or whose status is NOT_FOUND.
    """
    return {
        "cases": [_case_values(result) for result in results],
        "summary": _summary(results),
        "timings_ms": _median_times(results),
    }


def _case_values(result: CaseResult) -> dict[str, Any]:
    error, aligned = result.error, result.aligned_error
    values: dict[str, Any] = {
        "name": result.name,
        "mean_mm": error.mean_mm if error else None,
        "rms_mm": error.rms_mm if error else None,
        "p95_mm": error.p95_mm if error else None,
        "status": result.status,
        "max_mm": error.max_mm if error else None,
        "confidence": result.confidence,
        "boundary_rms_mm": result.boundary_rms_mm,
        "boundary_found": result.boundary_found,
        "time_ms": result.timings_ms.get("total"),
    }
    if aligned is not None:
        values |= {
            "rigidly_aligned_mean_mm": aligned.mean_mm,
            "rigidly_aligned_rms_mm": aligned.rms_mm,
            "rigidly_aligned_p95_mm": aligned.p95_mm,
        }
    if result.message:
        values["message"] = result.message
    return values


def _summary(results: Sequence[CaseResult]) -> dict[str, Any]:
    errors = [r.error for r in results if r.error is not None and not r.failed]
    aligned = [r.aligned_error for r in results if r.aligned_error is not None and not r.failed]

    def average(values: Sequence[float]) -> float | None:
        return float(np.mean(values)) if values else None

    summary: dict[str, Any] = {
        "n": len(results),
        "mean_mm": average([e.mean_mm for e in errors]),
        "rms_mm": average([e.rms_mm for e in errors]),
        "p95_mm": average([e.p95_mm for e in errors]),
        "worst_mm": max((e.mean_mm for e in errors), default=None),
        "failures": sum(r.failed for r in results),
    }
    if aligned:
        summary["rigidly_aligned_mean_mm"] = average([e.mean_mm for e in aligned])
        summary["rigidly_aligned_worst_mm"] = max(e.mean_mm for e in aligned)
    return summary


def _median_times(results: Sequence[CaseResult]) -> dict[str, float]:
    """Median over the cases of each stage of `reconstruct` [ms]."""
    stages = dict.fromkeys(stage for r in results for stage in r.timings_ms)
    return {
        stage: float(np.median([r.timings_ms[stage] for r in results if stage in r.timings_ms]))
        for stage in stages
    }
