"""From raw meshes of bones to a shape model: repair, register, pool with the template, measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from osteoform._errors import InputError
from osteoform._shape_model import ShapeModel
from osteoform._types import Side
from osteoform.modeling.build import DEFAULT_KERNEL, assemble_model
from osteoform.modeling.features import standing_features
from osteoform.modeling.inadequacy import inadequacy
from osteoform.modeling.kernel_modes import KernelOptions, kernel_modes
from osteoform.modeling.pooled import pooled_modes
from osteoform.modeling.procrustes import align_rigid
from osteoform.modeling.quality import ModelQuality, measure_quality
from osteoform.modeling.register import Registration, register_bone
from osteoform.modeling.repair import RepairedBone
from osteoform.modeling.surface import F64

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class BuiltModel:
    """A model with how its bones came to correspond and how good it is."""

    model: ShapeModel
    names: tuple[str, ...]
    repairs: tuple[tuple[str, ...], ...]
    registrations: tuple[Registration, ...] = field(repr=False)
    quality: ModelQuality = field(repr=False)

    def values(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "registration": [
                {
                    "name": name,
                    "side": found.side,
                    "side_said": found.side_said,
                    "side_sure": found.side_sure,
                    "repairs": list(repairs),
                    "residual_rms_mm": found.rms_mm,
                    "residual_max_mm": found.max_mm,
                    "min_triangle_quality": found.min_quality,
                    "left_out_rms_mm": float(np.sqrt(np.mean(np.square(left)))),
                }
                for name, repairs, found, left in zip(
                    self.names,
                    self.repairs,
                    self.registrations,
                    self.quality.residuals_mm,
                    strict=True,
                )
            ],
            "quality": self.quality.values(),
        }


def register_all(
    template: ShapeModel,
    bones: Sequence[RepairedBone],
    *,
    side: Side | None = None,
    progress: Progress | None = None,
) -> list[Registration]:
    """Register each bone; `progress` is told the name of each that is done.

    Raises
    ------
    InputError
        A bone cannot be registered; the message names it.
    """
    done = []
    for bone in bones:
        try:
            done.append(register_bone(template, bone.mesh, side=side))
        except InputError as error:
            raise InputError(f"{bone.name}: {error}") from None
        if progress is not None:
            progress(bone.name)
    return done


def build_from_meshes(
    template: ShapeModel,
    bones: Sequence[RepairedBone],
    *,
    side: Side | None = None,
    num_pca: int | None = None,
    kernel: KernelOptions | None = DEFAULT_KERNEL,
    origin: str = "",
    progress: Progress | None = None,
) -> BuiltModel:
    """Build a shape model from raw meshes of one kind of bone.

    Parameters
    ----------
    template
        A model of the bone: its faces, axes, features and, for few bones, its learned modes.
    bones
        One or more, repaired.
    side
        Of all of them. None: found for each.
    num_pca
        Learned modes to keep; None: all.
    kernel
        The smooth local modes to add; None: none.
    progress
        Told the name of each bone when it is registered, and again when it was left out.

    Raises
    ------
    InputError
        There is no bone, or one cannot be registered.
    """
    if not bones:
        raise InputError("needed one mesh or more, found none")
    registrations = register_all(template, bones, side=side, progress=progress)
    return build_from_registrations(
        template,
        bones,
        registrations,
        num_pca=num_pca,
        kernel=kernel,
        origin=origin,
        progress=progress,
    )


def build_from_registrations(
    template: ShapeModel,
    bones: Sequence[RepairedBone],
    registrations: Sequence[Registration],
    *,
    num_pca: int | None = None,
    kernel: KernelOptions | None = DEFAULT_KERNEL,
    origin: str = "",
    progress: Progress | None = None,
) -> BuiltModel:
    """Build a shape model from bones that are registered with the template already.

    Parameters
    ----------
    template, bones, num_pca, kernel
        As in `build_from_meshes`.
    registrations
        One for each of the bones.
    progress
        Told the name of each bone when it was left out.

    Raises
    ------
    InputError
        There is no registration, or not one for each bone.
    """
    if len(bones) != len(registrations):
        raise InputError(
            f"needed one registration for each of {len(bones)} bones, found {len(registrations)}"
        )
    shapes = _aligned(registrations)
    mean, learned, local = _pool(template, shapes, num_pca, kernel)
    quality = measure_quality(
        shapes,
        template.faces,
        lambda some: _learn(template, some, num_pca),
        local,
        progress=None if progress is None else lambda i, _: progress(bones[i - 1].name),
    )
    return BuiltModel(
        model=_assemble(template, mean, learned, local, quality.residuals_mm, origin),
        names=tuple(bone.name for bone in bones),
        repairs=tuple(bone.repairs for bone in bones),
        registrations=tuple(registrations),
        quality=quality,
    )


def pool_registrations(
    template: ShapeModel,
    registrations: Sequence[Registration],
    residuals_mm: F64,
    *,
    num_pca: int | None = None,
    kernel: KernelOptions | None = DEFAULT_KERNEL,
    origin: str = "",
) -> ShapeModel:
    """Build a shape model from registrations, its inadequacy from residuals known already.

    Parameters
    ----------
    template, num_pca, kernel
        As in `build_from_meshes`.
    residuals_mm
        (R, N) [mm], R >= 1, as in `ModelQuality`.

    Raises
    ------
    InputError
        There is no registration.
    """
    mean, learned, local = _pool(template, _aligned(registrations), num_pca, kernel)
    return _assemble(template, mean, learned, local, residuals_mm, origin)


def _aligned(registrations: Sequence[Registration]) -> F64:
    if not registrations:
        raise InputError("needed one registration or more, found none")
    return align_rigid(np.stack([found.vertices for found in registrations]))


def _learn(template: ShapeModel, shapes: F64, num_pca: int | None) -> tuple[F64, F64]:
    before = template.modes[: template.num_pca].astype(np.float64)
    mean = template.mean.astype(np.float64)
    return pooled_modes(shapes, template.faces, mean, before, num_modes=num_pca)


def _pool(
    template: ShapeModel, shapes: F64, num_pca: int | None, kernel: KernelOptions | None
) -> tuple[F64, F64, F64]:
    """Mean, learned modes and local modes of aligned shapes (S, N, 3)."""
    mean, learned = _learn(template, shapes, num_pca)
    if kernel is None:
        return mean, learned, np.zeros((0, *mean.shape))
    return mean, learned, kernel_modes(mean, template.faces, kernel)


def _assemble(
    template: ShapeModel, mean: F64, learned: F64, local: F64, residuals_mm: F64, origin: str
) -> ShapeModel:
    template_mean = template.mean.astype(np.float64)
    return assemble_model(
        template.bone,
        mean,
        template.faces,
        np.concatenate([learned, local]),
        inadequacy_mm=inadequacy(residuals_mm),
        num_pca=len(learned),
        features=standing_features(template.bone, template_mean, template.faces),
        origin=origin,
    )
