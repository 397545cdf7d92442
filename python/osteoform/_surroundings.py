"""The rest of the leg around one bone: mean bones of the atlas, sized and jointed to it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.random import Generator

from osteoform._leg import draw_flexion_rad, leg_poses, points_of, size_loadings, size_mm, with_size
from osteoform._shape_model import ShapeModel
from osteoform._trial import mirrored, transformed
from osteoform._types import Mesh, Side

_MAX_DEVIATION = 3.0


def surroundings(
    bone: Mesh, models: Mapping[str, ShapeModel], name: str, rng: Generator, *, side: Side
) -> list[Mesh]:
    """The other bones of a leg, in the frame of one of them [mm].

    Parameters
    ----------
    bone, name
        A bone in its model's frame, and which one it is.
    models
        Of all bones of the leg.
    """
    deviation = _size_deviation(bone, models[name])
    shapes = {}
    for other, model in models.items():
        shared = 1.0 if other == name else size_loadings()[name] * size_loadings()[other]
        shapes[other] = with_size(model, np.zeros(model.num_modes), shared * deviation)
    poses = leg_poses(models, shapes, flexion_rad=draw_flexion_rad(rng))
    bone_from_leg = np.linalg.inv(poses[name])
    placed = []
    for other, model in models.items():
        if other != name:
            mesh = Mesh(vertices=model.instance(shapes[other]), faces=model.faces)
            right = transformed(mesh, np.asarray(bone_from_leg @ poses[other]))
            placed.append(right if side == "right" else mirrored(right))
    return placed


def _size_deviation(bone: Mesh, model: ShapeModel) -> float:
    """How many standard deviations a bone is longer than the mean, by its largest extent."""
    extent = np.ptp(model.mean, axis=0)
    axis = int(np.argmax(extent))
    ratio = float(np.ptp(bone.vertices[:, axis]) / extent[axis])
    zero = np.zeros(model.num_modes)
    mean, longer = (
        size_mm(model.bone, points_of(model, with_size(model, zero, d))) for d in (0, 1)
    )
    return float(np.clip((ratio - 1.0) * mean / (longer - mean), -_MAX_DEVIATION, _MAX_DEVIATION))
