"""Mean and modes of few bones, with what the template knows of the variation of many.

One bone says what bones look like and nothing about how they differ; the template's modes do. The
mean takes what the template's modes explain of the bones with care (the one bone may be a large
one) and what they do not explain almost whole (it is the template's own error). The covariance is
the bones' and the template's, weighted by numbers of people.
"""

from __future__ import annotations

import numpy as np

from osteoform.modeling.procrustes import apply_rigid, rigid_transform
from osteoform.modeling.surface import F64, I32, vertex_normals
from osteoform.modeling.vertex_fit import fit_vertices

# The template counts like so many people: in its own modes, and in what they do not explain.
MEAN_PEOPLE, ERROR_PEOPLE, VARIANCE_PEOPLE = 1.0, 0.25, 4.0


def pooled_modes(
    shapes: F64, faces: I32, template_mean: F64, template_modes: F64, *, num_modes: int | None
) -> tuple[F64, F64]:
    """Mean (N, 3) and modes (K, N, 3) [mm at b = 1] of registered shapes and their template.

    Parameters
    ----------
    shapes
        (S, N, 3) [mm], S >= 0, in any pose near the template's.
    template_mean, template_modes
        (N, 3) and (T, N, 3) [mm]: what was learned, without kernel modes.
    num_modes
        How many to keep; None: all with variance.
    """
    count = len(shapes)
    if count == 0:
        return template_mean, template_modes[:num_modes]
    normals = vertex_normals(template_mean, faces)
    fits = [fit_vertices(template_mean, template_modes, s, normals=normals) for s in shapes]
    explained = np.stack([fit.fitted for fit in fits]) - template_mean
    unexplained = np.stack([fit.target - fit.fitted for fit in fits])
    mean = (
        template_mean
        + explained.sum(axis=0) / (count + MEAN_PEOPLE)
        + unexplained.sum(axis=0) / (count + ERROR_PEOPLE)
    )
    aligned = np.stack([apply_rigid(rigid_transform(fit.target, mean), fit.target) for fit in fits])
    weight = 1.0 / np.sqrt(VARIANCE_PEOPLE + count - 1.0)
    rows = [np.sqrt(VARIANCE_PEOPLE) * weight * template_modes]
    if count > 1:
        rows.append(weight * (aligned - aligned.mean(axis=0)))
    return mean, _principal(np.concatenate(rows), num_modes)


def _principal(displacements: F64, num_modes: int | None) -> F64:
    """Orthogonal modes with the covariance of independent displacements (R, N, 3)."""
    if len(displacements) == 0:
        return displacements
    flat = displacements.reshape(len(displacements), -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    order = np.argsort(values)[::-1][:num_modes]
    order = order[values[order] > 1e-10 * max(float(values.max()), 1e-12)]
    return (vectors[:, order].T @ flat).reshape(-1, *displacements.shape[1:])
