"""From meshes in correspondence to a shape model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from osteoform._errors import InputError
from osteoform._shape_model import ShapeModel
from osteoform.modeling.correspondence import check_collection
from osteoform.modeling.features import FeatureDefinition, standing_features
from osteoform.modeling.inadequacy import Progress, inadequacy, leave_one_out_residuals
from osteoform.modeling.kernel_modes import KernelOptions, kernel_modes
from osteoform.modeling.pca import principal_modes
from osteoform.modeling.procrustes import align_rigid
from osteoform.modeling.surface import F64, I32

DEFAULT_KERNEL = KernelOptions()


def build_model(
    vertices: ArrayLike,
    faces: ArrayLike,
    bone: str,
    *,
    num_pca: int | None = None,
    kernel: KernelOptions | None = DEFAULT_KERNEL,
    leave_out: Sequence[int] = (),
    inadequacy_mm: float | None = None,
    origin: str = "",
    progress: Progress | None = None,
) -> ShapeModel:
    """Build a shape model from right-sided bones in correspondence.

    Parameters
    ----------
    vertices, faces
        (S, N, 3) [mm], x medial, y posterior, z proximal, in any pose near that; (M, 3), closed,
        wound outward.
    bone
        "femur", "tibia", "fibula" or "patella".
    num_pca
        Principal modes to keep; None: all S - 1.
    kernel
        The smooth local modes to add; None: none.
    leave_out
        Indices of bones not to use.
    inadequacy_mm
        Stated instead of measured. Needed when fewer than 3 bones are used.
    origin
        Kept in the model: the command and the data that made it.
    progress
        Called with (bones done, bones in all) while the inadequacy is measured.

    Returns
    -------
    ShapeModel
        With the axes of the given bones and its origin at the mean's centroid.

    Raises
    ------
    InputError
        An array is wrong, a feature cannot be found, or the bones are too few.
    """
    all_vertices, checked_faces = check_collection(vertices, faces)
    used = _without(all_vertices, leave_out)
    if len(used) < 3 and inadequacy_mm is None:
        raise InputError(
            f"inadequacy_mm must be given when fewer than 3 bones are used, got {len(used)}"
        )
    shapes = align_rigid(used)
    mean, learned = principal_modes(shapes, num_modes=num_pca)
    local = np.zeros((0, *mean.shape))
    if kernel is not None:
        local = kernel_modes(mean, checked_faces, kernel)
    if inadequacy_mm is None:
        residuals = leave_one_out_residuals(
            shapes, checked_faces, local, num_pca=num_pca, progress=progress
        )
        unexpressed = inadequacy(residuals)
    else:
        unexpressed = np.full(len(mean), inadequacy_mm)
    return assemble_model(
        bone,
        mean,
        checked_faces,
        np.concatenate([learned, local]),
        inadequacy_mm=unexpressed,
        num_pca=len(learned),
        origin=origin,
    )


def assemble_model(
    bone: str,
    mean: F64,
    faces: I32,
    modes: F64,
    *,
    inadequacy_mm: F64,
    num_pca: int,
    features: FeatureDefinition | None = None,
    origin: str = "",
) -> ShapeModel:
    """A model from its mean (N, 3), modes (K, N, 3) and inadequacy (N,), with its features.

    The mean is moved so that its centroid is the origin. Features are found on it, unless their
    definition on a mesh in correspondence is given. Feature points are linear in the vertices;
    ellipsoids are linearised mode by mode, by central differences.
    """
    mean = mean - mean.mean(axis=0)
    if features is None:
        features = standing_features(bone, mean, faces)
    center, shape = features.ellipsoids(mean)
    center_modes, scale_modes = _ellipsoid_modes(features, mean, modes)
    return ShapeModel(
        bone=bone,
        mean=mean.astype(np.float32),
        faces=faces,
        modes=modes.astype(np.float32),
        inadequacy_mm=inadequacy_mm.astype(np.float32),
        point_names=features.names.points,
        point_mean=features.points(mean),
        point_modes=np.einsum("fn,knc->kfc", features.point_weights, modes),
        ellipsoid_names=features.names.ellipsoids,
        ellipsoid_mean=center,
        ellipsoid_modes=center_modes,
        ellipsoid_shape=shape,
        ellipsoid_scale_modes=scale_modes,
        axes=features.names.axis_indices(),
        num_pca=num_pca,
        origin=origin,
    )


def _ellipsoid_modes(features: FeatureDefinition, mean: F64, modes: F64) -> tuple[F64, F64]:
    count = len(features.patches)
    centers, scales = np.zeros((len(modes), count, 3)), np.zeros((len(modes), count))
    for k, mode in enumerate(modes):
        ahead, behind = (features.ellipsoids(mean + s * mode) for s in (0.5, -0.5))
        centers[k] = ahead[0] - behind[0]
        scales[k] = _log_radius(ahead[1]) - _log_radius(behind[1])
    return centers, scales


def _log_radius(shapes: F64) -> F64:
    """Logarithm of the geometric mean of the semi-axes of (E, 3, 3)."""
    return np.asarray(np.linalg.slogdet(shapes)[1] / 6.0, dtype=np.float64)


def _without(vertices: F64, leave_out: Sequence[int]) -> F64:
    count = len(vertices)
    wrong = [i for i in leave_out if not 0 <= i < count]
    if wrong:
        raise InputError(f"leave_out must hold indices 0..{count - 1}, got {wrong}")
    used = np.delete(vertices, list(set(leave_out)), axis=0)
    if len(used) == 0:
        raise InputError("leave_out leaves no bone to build from")
    return used
