"""How good a shape model is: compactness, generalization, specificity (R. H. Davies, 2002)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from osteoform.modeling.surface import F64, I32, vertex_normals
from osteoform.modeling.vertex_fit import fit_vertices

# Of shapes S, those without number i: mean and modes.
Learn = Callable[[F64], tuple[F64, F64]]
Progress = Callable[[int, int], None]
_NUM_RANDOM = 100


@dataclass(frozen=True, kw_only=True)
class ModelQuality:
    """Measures over the number of learned modes; local modes are in none but `residuals_mm`.

    Attributes
    ----------
    compactness
        (K,) share of the variance in the first 1..K modes.
    generalization_mm
        (K + 1,) RMS distance along the normal between a bone and its fit by the others' model with
        0..K modes; None where there are fewer than 2 bones.
    specificity_mm
        (K + 1,) RMS distance along the normal between random shapes of the model and the bone most
        like them.
    residuals_mm
        (S, N) what each bone leaves along the normal when the others' model, local modes
        included, is fitted to it; the template alone stands for the others of one bone.
    """

    compactness: F64 = field(repr=False)
    generalization_mm: F64 | None = field(repr=False)
    specificity_mm: F64 = field(repr=False)
    residuals_mm: F64 = field(repr=False)

    def values(self) -> dict[str, Any]:
        """Plain values for JSON."""
        general = self.generalization_mm
        return {
            "compactness": self.compactness.tolist(),
            "generalization_mm": None if general is None else general.tolist(),
            "specificity_mm": self.specificity_mm.tolist(),
            "left_out_rms_mm": float(np.sqrt(np.mean(np.square(self.residuals_mm)))),
        }


def measure_quality(
    shapes: F64,
    faces: I32,
    learn: Learn,
    local: F64,
    *,
    progress: Progress | None = None,
) -> ModelQuality:
    """Measure a way of learning a model from shapes (S, N, 3), leaving each out in turn.

    Parameters
    ----------
    learn
        Makes mean and modes of shapes, of none too.
    local
        (L, N, 3) local modes [mm], fitted beside the learned ones for `residuals_mm`.
    """
    mean, modes = learn(shapes)
    counts = range(len(modes) + 1)
    residuals = np.empty(shapes.shape[:2])
    missed = np.full((len(shapes), len(counts)), np.nan)
    for i in range(len(shapes)):
        others_mean, others = learn(np.delete(shapes, i, axis=0))
        residuals[i] = _left(others_mean, np.concatenate([others, local]), shapes[i], faces)
        if len(shapes) > 1:
            for k in counts:
                left = _left(others_mean, others[:k], shapes[i], faces)
                missed[i, k] = np.sqrt(np.mean(np.square(left)))
        if progress is not None:
            progress(i + 1, len(shapes))
    return ModelQuality(
        compactness=_compactness(modes),
        generalization_mm=None if len(shapes) < 2 else np.sqrt(np.mean(np.square(missed), axis=0)),
        specificity_mm=_specificity(mean, modes, shapes, faces),
        residuals_mm=residuals,
    )


def _left(mean: F64, modes: F64, shape: F64, faces: I32) -> F64:
    normals = vertex_normals(mean, faces)
    fit = fit_vertices(mean, modes, shape, normals=normals)
    return np.asarray(np.einsum("ij,ij->i", fit.target - fit.fitted, normals))


def _compactness(modes: F64) -> F64:
    variance = np.square(modes).sum(axis=(1, 2))
    return np.cumsum(variance) / max(float(variance.sum()), 1e-12)


def _specificity(mean: F64, modes: F64, shapes: F64, faces: I32) -> F64:
    normals = vertex_normals(mean, faces)
    b = np.random.default_rng(0).standard_normal((_NUM_RANDOM, len(modes)))
    # Distances along the normals only: everything is (N,) per shape and linear.
    heights = np.einsum("knc,nc->kn", modes, normals)
    known = np.einsum("snc,nc->sn", shapes - mean, normals)
    result = np.empty(len(modes) + 1)
    for k in range(len(modes) + 1):
        drawn = b[:, :k] @ heights[:k]
        squares = [np.mean(np.square(drawn - one), axis=1) for one in known]
        result[k] = np.sqrt(np.mean(np.min(squares, axis=0)))
    return result


def residual_table(names: Sequence[str], quality: ModelQuality) -> list[tuple[str, float]]:
    """Of each bone, by name, the RMS that the others' model leaves [mm]."""
    rms = np.sqrt(np.mean(np.square(quality.residuals_mm), axis=1))
    return [(name, float(value)) for name, value in zip(names, rms, strict=True)]
