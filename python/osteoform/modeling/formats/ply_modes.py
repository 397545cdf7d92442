"""A shape model as meshes to look at: its mean, and its mean moved along each mode."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from osteoform._errors import InputError
from osteoform._shape_model import ShapeModel
from osteoform._types import Mesh
from osteoform.io.meshes import write_ply


def write_ply_modes(
    folder: Path, model: ShapeModel, *, num_modes: int = 5, num_sd: float = 2.0
) -> list[Path]:
    """Write `mean.ply` and `mode_01_plus.ply`, `mode_01_minus.ply` and on, in correspondence.

    Parameters
    ----------
    num_modes
        How many of the first modes; at most all.
    num_sd
        How far: b = +num_sd and -num_sd, one mode at a time.

    Raises
    ------
    InputError
        A number is out of range.
    """
    if num_modes < 0:
        raise InputError(f"num_modes must be 0 or more, got {num_modes}")
    if not (np.isfinite(num_sd) and num_sd > 0.0):
        raise InputError(f"num_sd must be positive, got {num_sd}")
    shapes = {"mean": np.zeros(model.num_modes)}
    for k in range(min(num_modes, model.num_modes)):
        for name, sign in (("plus", 1.0), ("minus", -1.0)):
            b = np.zeros(model.num_modes)
            b[k] = sign * num_sd
            shapes[f"mode_{k + 1:02d}_{name}"] = b
    written = []
    for name, b in shapes.items():
        path = folder / f"{name}.ply"
        mesh = Mesh(vertices=model.instance(b), faces=model.faces)
        write_ply(path, mesh, comment=f"{model.bone} {name}, {num_sd:g} standard deviations")
        written.append(path)
    return written
