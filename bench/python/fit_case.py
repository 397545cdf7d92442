"""One fit that every method is given: model, X-rays, detected features and a start."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from osteoform import Detection, FitOptions, Mesh, ShapeModel, _core, load_model
from osteoform._distance import DistanceSummary, surface_distance
from osteoform._fit_bones import core_features
from osteoform._trial import Trial, simulate_trial, simulated_features
from osteoform.demo import draw_bone
from osteoform.modeling.features import standing_features

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "python"))

from reference import adapt
from reference.fit import Fit, Step, fit_bone
from reference.motion import so3_exp

FEATURE_NOISE_PX = 3.0
START_OFF_DEG = 4.0
START_OFF_MM = 6.0


@dataclass(frozen=True, kw_only=True)
class FitCase:
    """A femur drawn outside its model's modes, two simulated X-rays of it, a start that is off."""

    model: ShapeModel
    trial: Trial
    detections: list[Detection]
    start: np.ndarray

    @staticmethod
    def draw(model: ShapeModel, seed: int) -> FitCase:
        rng = np.random.default_rng(seed)
        bone, _ = draw_bone(model, rng)
        trial = simulate_trial(bone, rng)
        definition = standing_features(model.bone, model.mean, model.faces)
        detections = simulated_features(
            definition, bone, trial, rng, side="right", noise_px=FEATURE_NOISE_PX
        )
        start = trial.world_from_bone.copy()
        axis, shift = (x / np.linalg.norm(x) for x in rng.standard_normal((2, 3)))
        start[:3, :3] = so3_exp(np.deg2rad(START_OFF_DEG) * axis) @ start[:3, :3]
        start[:3, 3] += START_OFF_MM * shift
        return FitCase(model=model, trial=trial, detections=detections, start=start)

    def fit(self, options: FitOptions) -> _core.BoneFit:
        """Fit by osteoform's core, as `reconstruct` calls it."""
        return _core.fit_bone(
            model=self.model.core("right"),
            views=[view.geometry for view in self.trial.views],
            pixels=[view.pixels for view in self.trial.views],
            polarities=[_core.Polarity.DARK_IS_DENSE for _ in self.trial.views],
            readings=[[core_features(detection)] for detection in self.detections],
            start=self.start,
            options=options,
        )

    def reference(self) -> dict[str, Any]:
        """The same as arguments of the reference fit."""
        return {
            "model": adapt.model_of(self.model),
            "views": [adapt.view_of(view.geometry) for view in self.trial.views],
            "pixels": [view.pixels for view in self.trial.views],
            "features": [adapt.features_of(detection) for detection in self.detections],
            "world_from_bone": self.start,
        }

    def error(self, vertices: np.ndarray) -> DistanceSummary:
        """Distance of the true surface to a fitted one, in the world, not realigned."""
        fitted = np.ascontiguousarray(vertices, dtype=np.float32)
        return surface_distance(self.trial.truth, Mesh(vertices=fitted, faces=self.model.faces))


def fit_in_python(arguments: dict[str, Any], options: FitOptions, step: Step | None = None) -> Fit:
    """Fit by the reference: the same steps, searches, residuals and stop, in NumPy."""
    return fit_bone(**arguments, options=adapt.options_of(options), step=step)


def default_model() -> ShapeModel:
    return load_model(bone="femur")
