"""The demonstration: a bone the model cannot express, two X-rays of it, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from osteoform._distance import (
    DistanceSummary,
    distances_to_surface,
    sample_surface,
)
from osteoform._draw import draw_surface_error, save_png
from osteoform._errors import InputError
from osteoform._reconstruct import reconstruct
from osteoform._render import vertex_normals
from osteoform._report import write_reconstruction
from osteoform._result import Reconstruction
from osteoform._shape_model import ShapeModel
from osteoform._trial import GeometryKind, Trial, mirrored, simulate_trial, transformed
from osteoform._types import F64, Detector, Mesh, Side

_FIELD_LENGTH_MM = 18.0
_FIELD_SD_MM = 1.0
_NUM_WAVES = 400
_MAX_COEFFICIENT = 2.0
_MIN_OUTSIDE_MM = 0.3


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """A simulated study, its reconstruction and the true error.

    Attributes
    ----------
    outside_mm
        Root mean square of what the model cannot express of the true bone, in any pose of its
        coefficients: the floor of any reconstruction with it.
    error
        Distance from the true surface to the reconstructed one, not realigned.
    """

    side: Side
    model: ShapeModel = field(repr=False)
    trial: Trial = field(repr=False)
    outside_mm: float
    reconstruction: Reconstruction = field(repr=False)
    error: DistanceSummary


def demonstrate(
    model: ShapeModel,
    *,
    side: Side = "left",
    geometry: GeometryKind = "cone",
    seed: int = 0,
    detector: Detector | None = None,
) -> Demonstration:
    """Simulate two X-rays of a bone drawn outside the model's modes and reconstruct it from them.

    Nothing but the images and their geometry reaches the reconstruction: the features are
    detected.
    """
    rng = np.random.default_rng(seed)
    right, outside_mm = draw_bone(model, rng)
    bone = right if side == "right" else mirrored(right)
    trial = simulate_trial(bone, rng, geometry=geometry)
    found = reconstruct(
        trial.views, side=side, bones=(model.bone,), models={model.bone: model}, detector=detector
    )
    surface = found.bones[model.bone].mesh
    distances = distances_to_surface(sample_surface(trial.truth, 20_000), surface)
    return Demonstration(
        side=side,
        model=model,
        trial=trial,
        outside_mm=outside_mm,
        reconstruction=found,
        error=DistanceSummary.of(distances),
    )


def draw_bone(model: ShapeModel, rng: Generator) -> tuple[Mesh, float]:
    """Draw a right bone: random leading coefficients and a smooth field of another kind.

    The field is Gaussian with a squared-exponential kernel, by random Fourier features (Rahimi
    and Recht 2007): free vectors, where kernel modes are few and of their own length. It is no
    combination of the model's modes; what is left after the best one is measured.

    Returns
    -------
    mesh, outside_mm
        In the bone frame [mm], and the root mean square of the rest along the normals [mm].
    """
    b = np.zeros(model.num_modes)
    b[: model.num_pca] = rng.standard_normal(model.num_pca)
    b = np.clip(b, -_MAX_COEFFICIENT, _MAX_COEFFICIENT)
    inside = model.instance(b).astype(np.float64)
    vertices = inside + _smooth_field(inside, rng)
    rest = vertices - model.instance(model.coefficients(vertices, noise_mm=0.0))
    mesh = Mesh(vertices=vertices.astype(np.float32), faces=model.faces)
    along_normal = np.einsum("nk,nk->n", rest, vertex_normals(mesh))
    outside_mm = float(np.sqrt(np.mean(np.square(along_normal))))
    if outside_mm < _MIN_OUTSIDE_MM:
        raise InputError(
            f"the demonstration needs a bone at least {_MIN_OUTSIDE_MM} mm outside the model, "
            f"drew one {outside_mm:.2f} mm outside"
        )
    return mesh, outside_mm


def _smooth_field(points: F64, rng: Generator) -> F64:
    frequency = rng.normal(0.0, 1.0 / _FIELD_LENGTH_MM, (3, _NUM_WAVES))
    phase = rng.uniform(0.0, 2.0 * np.pi, _NUM_WAVES)
    amplitude = rng.normal(0.0, _FIELD_SD_MM * np.sqrt(2.0 / _NUM_WAVES), (_NUM_WAVES, 3))
    return np.asarray(np.cos(points @ frequency + phase) @ amplitude)


def write_demonstration(folder: Path, demonstration: Demonstration) -> dict[str, Any]:
    """Write the reconstruction's files and `surface_error.png`; return all numbers."""
    model, trial = demonstration.model, demonstration.trial
    bone = demonstration.reconstruction.bones[model.bone]
    bone_from_world = np.asarray(np.linalg.inv(trial.world_from_bone), np.float64)
    upright = transformed(trial.truth, bone_from_world)
    upright = upright if demonstration.side == "right" else mirrored(upright)
    errors = distances_to_surface(trial.truth.vertices, bone.mesh)
    title = (
        f"{model.bone}: distance of the true surface to the reconstruction, "
        f"mean {demonstration.error.mean_mm:.2f} mm"
    )
    save_png(draw_surface_error(upright, errors, title=title), folder / "surface_error.png")
    values = write_reconstruction(
        folder, demonstration.reconstruction, trial.views, {model.bone: model}
    )
    return {**values, "true_error": error_values(demonstration)}


def error_values(demonstration: Demonstration) -> dict[str, float]:
    """The true error and its floor [mm]."""
    error = demonstration.error
    return {
        "mean_mm": error.mean_mm,
        "rms_mm": error.rms_mm,
        "p95_mm": error.p95_mm,
        "max_mm": error.max_mm,
        "outside_model_rms_mm": demonstration.outside_mm,
    }
