"""Does a fit to one view of a study say where the boundary is in the other?

    python bench/python/left_out_view.py DATA/xrays/knee-biplane/study.json --json OUT

One cone view leaves the depth open, size and distance being one unknown. So the bone is also moved
along the beam of the view that it was fitted to, to where the left-out view agrees best: `moved_mm`
is how far, and what remains is the error of the shape and of the other five degrees of freedom.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import osteoform
from implant_pose import zero_mode_model_of
from machine import describe_machine

REACH_MM, STEP_MM = 200.0, 2.0


def boundary(
    view: osteoform.XrayView, model: osteoform.ShapeModel, shift_mm: np.ndarray, side: str
) -> tuple[float, float]:
    """Boundary RMS [mm] and the share found of a mesh that is looked for where it is."""
    pose = np.eye(4)
    pose[:3, 3] = shift_mm
    found = osteoform.reconstruct(
        [view],
        side=side,
        bones=(model.bone,),
        models={model.bone: model},
        starts={model.bone: pose},
        options=osteoform.FitOptions(iterations=0, covariance=False),
    ).bones[model.bone]
    return found.boundary_rms_mm, found.boundary_found


def beam(view: osteoform.XrayView) -> np.ndarray:
    """Unit direction of the central ray in the world."""
    return np.asarray(view.geometry.view_from_world[2, :3])


def left_out(study: osteoform.Study, index: int) -> dict[str, Any]:
    """Fit to all views but one, and ask that one."""
    used = [view for i, view in enumerate(study.views) if i != index]
    asked = replace(study.views[index], polarity=study.views[index].polarity or "dark_is_dense")
    side = study.side or "right"
    result = osteoform.reconstruct(used, side=side, bones=study.bones)
    bones = {}
    for name, bone in result.bones.items():
        # The mesh is in the world already; models are of right bones, so the left is mirrored twice.
        flip = np.array([1.0 if side == "right" else -1.0, 1.0, 1.0], np.float32)
        faces = bone.mesh.faces if side == "right" else bone.mesh.faces[:, ::-1].copy()
        model = zero_mode_model_of(bone.mesh.vertices * flip, faces, bone=name)
        shifts = np.arange(-REACH_MM, REACH_MM + STEP_MM, STEP_MM)
        tried = [boundary(asked, model, s * beam(used[0]), side) for s in shifts]
        raw = boundary(asked, model, np.zeros(3), side)
        # The least of a share that is rich in edges: distances of points without one do not count.
        agreement = [found * np.exp(-((rms / 3.0) ** 2)) for rms, found in tried]
        best = int(np.nanargmax(agreement))
        bones[name] = {
            "status": bone.status.name,
            "rms_mm": raw[0],
            "found": raw[1],
            "moved_mm": float(shifts[best]),
            "moved_rms_mm": tried[best][0],
            "moved_found": tried[best][1],
        }
    return {"fitted_to": [view.name for view in used], "asked": asked.name, "bones": bones}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    study = osteoform.read_study(arguments.study)
    values = {
        "machine": describe_machine(),
        "views": [left_out(study, index) for index in range(len(study.views))],
    }
    text = json.dumps(values, indent=1)
    arguments.json.write_text(text)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
