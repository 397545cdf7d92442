"""The demonstration: a leg the models cannot express, two X-rays of it, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from osteoform._leg import draw_flexion_rad, leg_poses, mirrored_pose, size_loadings, with_size
from osteoform._reconstruct import reconstruct
from osteoform._render import vertex_normals
from osteoform._report import write_reconstruction
from osteoform._result import Reconstruction
from osteoform._rotation import rotation
from osteoform._shape_model import ShapeModel
from osteoform._trial import GeometryKind, mirrored, random_pose, take_views, transformed
from osteoform._types import BONES, F64, Detector, Mesh, Side, XrayView

_FIELD_LENGTH_MM = 18.0  # or less: this share of the bone's length
_FIELD_LENGTH_SHARE = 0.25
_FIELD_SD_MM = 1.0
_NUM_WAVES = 400
_MAX_COEFFICIENT = 2.0
_MIN_OUTSIDE_MM = 0.1
_MAX_DRAWS = 20  # one patella in five is not outside at once
_PLAY_SD_DEG, _PLAY_SD_MM = 2.0, 1.0
# Source to detector, source to object; a whole leg is taken from further away than one bone.
_BONE_BEAM_MM = (1250.0, 950.0)
_LEG_BEAM_MM = (2400.0, 2100.0)


@dataclass(frozen=True, kw_only=True)
class TrueBone:
    """A simulated bone, and how well it came back.

    Attributes
    ----------
    mesh, world_from_bone
        In the world [mm]; (4, 4).
    outside_mm
        Root mean square of what the model cannot express of the true bone, in any pose of its
        coefficients: the floor of any reconstruction with it.
    error
        Distance from the true surface to the reconstructed one, not realigned.
    """

    mesh: Mesh = field(repr=False)
    world_from_bone: F64 = field(repr=False)
    outside_mm: float
    error: DistanceSummary


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """A simulated study, its reconstruction and the truth."""

    side: Side
    models: Mapping[str, ShapeModel] = field(repr=False)
    views: tuple[XrayView, ...] = field(repr=False)
    reconstruction: Reconstruction = field(repr=False)
    truth: Mapping[str, TrueBone]


@dataclass(frozen=True, kw_only=True)
class _DrawnBone:
    mesh: Mesh
    world_from_bone: F64
    outside_mm: float


def demonstrate(
    models: Mapping[str, ShapeModel],
    *,
    side: Side = "left",
    geometry: GeometryKind = "cone",
    seed: int = 0,
    detector: Detector | None = None,
) -> Demonstration:
    """Simulate two X-rays of bones drawn outside their models' modes and reconstruct them.

    Nothing but the images and their geometry reaches the reconstruction: the features are
    detected.

    Parameters
    ----------
    models
        Of one bone, or of all the bones of a leg: then they are drawn to fit together.
    """
    rng = np.random.default_rng(seed)
    drawn = _draw_leg(models, rng) if set(models) == set(BONES) else _draw_apart(models, rng)
    drawn = _posed(drawn, random_pose(rng), side)
    source_detector_mm, source_object_mm = _LEG_BEAM_MM if len(drawn) > 1 else _BONE_BEAM_MM
    views = take_views(
        [bone.mesh for bone in drawn.values()],
        rng,
        geometry=geometry,
        source_detector_mm=source_detector_mm,
        source_object_mm=source_object_mm,
    )
    found = reconstruct(views, side=side, bones=tuple(models), models=models, detector=detector)
    truth = {}
    for name, bone in drawn.items():
        surface = found.bones[name].mesh
        error = DistanceSummary.of(distances_to_surface(sample_surface(bone.mesh, 20_000), surface))
        truth[name] = TrueBone(**vars(bone), error=error)
    return Demonstration(side=side, models=models, views=views, reconstruction=found, truth=truth)


def _draw_apart(models: Mapping[str, ShapeModel], rng: Generator) -> dict[str, _DrawnBone]:
    """One right bone at the world's origin."""
    if len(models) != 1:
        raise InputError(
            f"the demonstration needs one bone or all of {', '.join(BONES)}, found {list(models)}"
        )
    [(name, model)] = models.items()
    mesh, outside_mm = draw_bone(model, rng)
    return {name: _DrawnBone(mesh=mesh, world_from_bone=np.eye(4), outside_mm=outside_mm)}


def _draw_leg(models: Mapping[str, ShapeModel], rng: Generator) -> dict[str, _DrawnBone]:
    """The bones of a straight right leg, sized and jointed together, about the world's origin."""
    leg_size = rng.standard_normal()
    shapes, meshes, outside = {}, {}, {}
    for bone, model in models.items():
        loading = size_loadings()[bone]
        deviation = loading * leg_size + np.sqrt(1 - loading**2) * rng.standard_normal()
        shapes[bone] = with_size(model, _draw_coefficients(model, rng), float(deviation))
        meshes[bone], outside[bone] = draw_bone(model, rng, b=shapes[bone])
    flexion_rad = draw_flexion_rad(rng)
    play = {bone: _draw_play(rng) for bone in models}
    poses = leg_poses(models, shapes, flexion_rad=flexion_rad, play=play)
    posed = [transformed(meshes[bone], pose).vertices for bone, pose in poses.items()]
    points = np.concatenate(posed)
    middle = np.eye(4)
    middle[:3, 3] = -0.5 * (points.min(axis=0) + points.max(axis=0))
    return {
        bone: _DrawnBone(
            mesh=meshes[bone], world_from_bone=middle @ poses[bone], outside_mm=outside[bone]
        )
        for bone in models
    }


def _draw_play(rng: Generator) -> F64:
    """A small motion (4, 4) [mm] that a joint allows."""
    motion = np.eye(4)
    motion[:3, :3] = rotation(np.deg2rad(rng.normal(0.0, _PLAY_SD_DEG, 3)))
    motion[:3, 3] = rng.normal(0.0, _PLAY_SD_MM, 3)
    return motion


def _posed(drawn: Mapping[str, _DrawnBone], pose: F64, side: Side) -> dict[str, _DrawnBone]:
    """All bones of the side asked for, moved together by `pose` (4, 4) and put in the world."""
    placed = {}
    for name, bone in drawn.items():
        mesh = bone.mesh if side == "right" else mirrored(bone.mesh)
        world_from_bone = pose @ mirrored_pose(bone.world_from_bone, side)
        placed[name] = _DrawnBone(
            mesh=transformed(mesh, world_from_bone),
            world_from_bone=world_from_bone,
            outside_mm=bone.outside_mm,
        )
    return placed


def _draw_coefficients(model: ShapeModel, rng: Generator) -> F64:
    b = np.zeros(model.num_modes)
    b[: model.num_pca] = rng.standard_normal(model.num_pca)
    return np.clip(b, -_MAX_COEFFICIENT, _MAX_COEFFICIENT)


def draw_bone(model: ShapeModel, rng: Generator, *, b: F64 | None = None) -> tuple[Mesh, float]:
    """Draw a right bone: random leading coefficients, or `b`, and a smooth field of another kind.

    The field is Gaussian with a squared-exponential kernel, by random Fourier features (Rahimi
    and Recht 2007): free vectors, where kernel modes are few and of their own length. It is no
    combination of the model's modes; what is left after the best one is measured, and a field of
    which hardly anything is left is drawn anew.

    Returns
    -------
    mesh, outside_mm
        In the bone frame [mm], and the root mean square of the rest along the normals [mm].
    """
    inside = model.instance(_draw_coefficients(model, rng) if b is None else b).astype(np.float64)
    for _ in range(_MAX_DRAWS):
        vertices = inside + _smooth_field(inside, rng)
        rest = vertices - model.instance(model.coefficients(vertices, noise_mm=0.0))
        mesh = Mesh(vertices=vertices.astype(np.float32), faces=model.faces)
        along_normal = np.einsum("nk,nk->n", rest, vertex_normals(mesh))
        outside_mm = float(np.sqrt(np.mean(np.square(along_normal))))
        if outside_mm >= _MIN_OUTSIDE_MM:
            return mesh, outside_mm
    raise InputError(
        f"the demonstration needs a {model.bone} at least {_MIN_OUTSIDE_MM} mm outside its model, "
        f"none of {_MAX_DRAWS} was, the last by {outside_mm:.2f} mm: the model has too many modes"
    )


def _smooth_field(points: F64, rng: Generator) -> F64:
    extent = float(np.ptp(points, axis=0).max())
    length_mm = min(_FIELD_LENGTH_MM, _FIELD_LENGTH_SHARE * extent)
    frequency = rng.normal(0.0, 1.0 / length_mm, (3, _NUM_WAVES))
    phase = rng.uniform(0.0, 2.0 * np.pi, _NUM_WAVES)
    amplitude = rng.normal(0.0, _FIELD_SD_MM * np.sqrt(2.0 / _NUM_WAVES), (_NUM_WAVES, 3))
    return np.asarray(np.cos(points @ frequency + phase) @ amplitude)


def write_demonstration(folder: Path, demonstration: Demonstration) -> dict[str, Any]:
    """Write the reconstruction's files and `surface_error.png`; return all numbers."""
    meshes, errors = [], []
    reference = next(iter(demonstration.truth.values())).world_from_bone
    for name, bone in demonstration.truth.items():
        upright = transformed(bone.mesh, np.asarray(np.linalg.inv(reference), np.float64))
        meshes.append(upright if demonstration.side == "right" else mirrored(upright))
        surface = demonstration.reconstruction.bones[name].mesh
        errors.append(distances_to_surface(bone.mesh.vertices, surface))
    means = ", ".join(f"{n} {b.error.mean_mm:.2f} mm" for n, b in demonstration.truth.items())
    title = f"distance of the true surface to the reconstruction, mean: {means}"
    picture = draw_surface_error(joined(meshes), np.concatenate(errors), title=title)
    save_png(picture, folder / "surface_error.png")
    values = write_reconstruction(
        folder, demonstration.reconstruction, demonstration.views, demonstration.models
    )
    return {**values, "true_error": error_values(demonstration)}


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """Several bodies as one mesh."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        faces=np.concatenate(
            [mesh.faces + np.int32(start) for mesh, start in zip(meshes, starts, strict=True)]
        ),
    )


def error_values(demonstration: Demonstration) -> dict[str, dict[str, float]]:
    """Per bone the true error and its floor [mm]."""
    return {
        name: {
            "mean_mm": bone.error.mean_mm,
            "rms_mm": bone.error.rms_mm,
            "p95_mm": bone.error.p95_mm,
            "max_mm": bone.error.max_mm,
            "outside_model_rms_mm": bone.outside_mm,
        }
        for name, bone in demonstration.truth.items()
    }
