"""How long a fit takes, by stage of the work. Not part of the tests:

pytest bench/python/test_latency.py --benchmark-json=bench/results/latency.json
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fit_case import FitCase, default_model, fit_in_python
from osteoform import FitOptions, _core, reconstruct
from scipy_step import scipy_step

MODEL = default_model()


@pytest.fixture(scope="module")
def case() -> FitCase:
    return FitCase.draw(MODEL, seed=1)


@pytest.mark.parametrize("num_threads", [1, 2])
def test_fit(benchmark: Any, case: FitCase, num_threads: int) -> None:
    fit = benchmark(case.fit, FitOptions(num_threads=num_threads))
    benchmark.extra_info["mean_error_mm"] = case.error(fit.vertices).mean_mm


def test_reconstruct_with_given_features(benchmark: Any, case: FitCase) -> None:
    """Alignment from features alone, no start, results wrapped."""
    found = benchmark(
        reconstruct,
        case.trial.views,
        side="right",
        models={MODEL.bone: MODEL},
        features={MODEL.bone: case.detections},
    )
    vertices = found.bones[MODEL.bone].mesh.vertices
    benchmark.extra_info["mean_error_mm"] = case.error(vertices).mean_mm
    benchmark.extra_info["timings_ms"] = dict(found.timings_ms)


@pytest.mark.parametrize("method", ["numpy_analytic", "scipy_analytic", "scipy_numeric"])
def test_fit_in_python(benchmark: Any, case: FitCase, method: str) -> None:
    steps = {"scipy_analytic": scipy_step("analytic"), "scipy_numeric": scipy_step("2-point")}
    fit = benchmark.pedantic(
        fit_in_python,
        args=(case.reference(), FitOptions(), steps.get(method)),
        rounds=3,
        warmup_rounds=1,
    )
    benchmark.extra_info["mean_error_mm"] = case.error(fit.vertices).mean_mm


def test_instance(benchmark: Any) -> None:
    benchmark(MODEL.core("right").instance, np.zeros(MODEL.num_modes, np.float32))


def test_silhouette(benchmark: Any, case: FitCase) -> None:
    """With vertex normals and edges, which a fit keeps."""
    geometry = case.trial.views[0].geometry
    benchmark(_core.silhouette, geometry, case.trial.truth.vertices, MODEL.faces, max_points=400)


def test_gaussian_blur(benchmark: Any, case: FitCase) -> None:
    benchmark(_core.gaussian_blur, case.trial.views[0].pixels, sigma_px=2.0)
