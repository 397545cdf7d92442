"""Whether vertices are as far off as their standard deviations say.

    python bench/python/vertex_sd.py --json OUT

Whole bones of people held out, each X-rayed from the front and the side as `osteoform evaluate` does
it, with mean bones around it. A vertex's error is its distance from the true surface: the standard
deviation is along the normal. Where they agree, the root mean square of error over deviation is 1,
and 95 % of the errors are within 1.96 deviations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import osteoform
from confidence import planned_study
from machine import describe_machine
from options import legs_parser
from osteoform import FitStatus
from osteoform._core import closest_points
from osteoform._detect import OnnxDetector
from osteoform._split import held_out
from osteoform._types import BONES, F64
from osteoform.train.legs import LegAtlas, load_atlas
from results import write_json

WITHIN = 1.96


def deviations(
    atlas: LegAtlas, bone: str, person: int, seed: int, detector: OnnxDetector
) -> tuple[F64, F64] | None:
    """Per vertex error and standard deviation [mm] of one bone; None where it is not found."""
    study = planned_study(atlas, bone, person, (seed, person, BONES.index(bone)))
    found = osteoform.reconstruct(study.views, side="right", detector=detector).bones[bone]
    if found.status is FitStatus.NOT_FOUND:
        return None
    _, errors, _ = closest_points(
        points=found.mesh.vertices.astype(np.float64),
        vertices=study.vertices[bone].astype(np.float32),
        faces=atlas.faces[bone],
    )
    return np.asarray(errors, np.float64), found.vertex_sd_mm.astype(np.float64)


def summarise(of_bones: list[tuple[F64, F64]]) -> dict[str, Any]:
    """Over all vertices of all bones of a kind."""
    errors, sd = (np.concatenate(part) for part in zip(*of_bones, strict=True))
    z = errors / sd
    return {
        "bones": len(of_bones),
        "mean_error_mm": round(float(errors.mean()), 3),
        "mean_sd_mm": round(float(sd.mean()), 3),
        "rms_error_over_sd": round(float(np.sqrt((z**2).mean())), 3),
        "within_1": round(float((z < 1.0).mean()), 3),
        "within_1_96": round(float((z < WITHIN).mean()), 3),
    }


def run(data: Path, *, repeats: int, seed: int) -> dict[str, Any]:
    """All people held out, each bone `repeats` times."""
    atlas, detector = load_atlas(data, held_out()), OnnxDetector(None, num_threads=1)
    values = {}
    for bone in BONES:
        tried = [
            deviations(atlas, bone, person, seed + repeat, detector)
            for repeat in range(repeats)
            for person in range(atlas.num_people)
        ]
        values[bone] = summarise([pair for pair in tried if pair is not None])
    return values


def main() -> None:
    parser = legs_parser(__doc__, seed=3)
    parser.add_argument("--repeats", type=int, default=3, help="times each bone")
    arguments = parser.parse_args()
    about = {"machine": describe_machine(), "repeats": arguments.repeats, "seed": arguments.seed}
    found = run(arguments.data, repeats=arguments.repeats, seed=arguments.seed)
    write_json(arguments.json, about | {"bones": found})


if __name__ == "__main__":
    main()
