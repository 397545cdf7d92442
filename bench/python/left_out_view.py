"""What one real view tells of another: fit to one of two calibrated X-rays, look at the other.

    python bench/python/left_out_view.py STUDY.json --json OUT

The boundary in the view that was left out is the one that a fit to both views found there. One cone
view leaves size and distance open: bones are compared as they were found, and after the one motion
which the view that was used cannot see, nearer to its source and smaller or farther and larger.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.spatial import cKDTree

import osteoform
from machine import describe_machine
from osteoform import BoneReconstruction, FitStatus, XrayView
from osteoform._core import silhouette
from osteoform._types import F64
from osteoform.io.study import read_study
from results import write_json
from shown import px_per_mm

NUM_RIM_POINTS = 4000
SCALES = (0.7, 1.4)  # of the distance from the source


def predictions(views: list[XrayView], side: str) -> list[dict[str, Any]]:
    """Of every bone and view that is left out."""
    both = osteoform.reconstruct(views, side=side).bones
    rows = []
    for used, left_out in ((0, 1), (1, 0)):
        alone = osteoform.reconstruct([views[used]], side=side).bones
        for bone, fit in alone.items():
            row = {"bone": bone, "used": views[used].name, "confidence": round(fit.confidence, 3)}
            found = FitStatus.NOT_FOUND not in (fit.status, both[bone].status)
            rows.append(
                {**row, **(_compare(fit, both[bone], views, used, left_out) if found else {})}
            )
    return rows


def _compare(
    fit: BoneReconstruction,
    both: BoneReconstruction,
    views: list[XrayView],
    used: int,
    left_out: int,
) -> dict[str, float]:
    source, view = _source(views[used]), views[left_out].geometry
    boundary = both.boundary_px[left_out]
    boundary = boundary[np.isfinite(boundary).all(axis=1)].astype(np.float64)
    middle = both.mesh.vertices.mean(axis=0).astype(np.float64)
    scale_px = px_per_mm(views[left_out], middle)
    vertices = fit.mesh.vertices.astype(np.float64)

    def rms_mm(scale: float) -> float:
        moved = (source + scale * (vertices - source)).astype(np.float32)
        rims = silhouette(view, moved, fit.mesh.faces, max_points=NUM_RIM_POINTS)[2]
        gaps, _ = cKDTree(rims).query(boundary)
        return float(np.sqrt(np.mean(gaps**2))) / scale_px

    coarse = min(np.linspace(*SCALES, 71), key=rms_mm)
    best = minimize_scalar(rms_mm, bounds=(coarse - 0.01, coarse + 0.01), method="bounded")
    distance = float(np.linalg.norm(vertices.mean(axis=0) - source))
    return {
        "rms_mm": round(rms_mm(1.0), 2),
        "rms_after_depth_mm": round(float(best.fun), 2),
        "depth_off_mm": round((float(best.x) - 1.0) * distance, 1),
        "rms_of_both_mm": round(both.boundary_rms_mm, 2),
    }


def _source(view: XrayView) -> F64:
    """(3,) of a cone view, in the world [mm]."""
    pose = view.geometry.view_from_world
    return np.asarray(-pose[:3, :3].T @ pose[:3, 3])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, help="study.json with two cone views")
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    study = read_study(arguments.study)
    values = {
        "machine": describe_machine(),
        "study": arguments.study.parent.name,
        "bones": predictions(list(study.views), study.side),
    }
    write_json(arguments.json, values)


if __name__ == "__main__":
    main()
