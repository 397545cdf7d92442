"""Plain arrays: an .npz of modes, with the mean inside or as a mesh file beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteoform._errors import InputError
from osteoform._npz import read_npz
from osteoform._shape_model import ShapeModel
from osteoform._types import F64, Mesh
from osteoform.modeling.formats.points import PointModel, check_faces, numbers


def read_plain(path: Path, *, mesh: Mesh | None = None) -> PointModel:
    """Read `modes` (K, N, 3) [mm at b = 1] and what else the file says.

    `stddev` (K,) scales unit modes. `mean` (N, 3) and `faces` (M, 3) are the mesh's where one is
    given. `inadequacy_mm` is (N,) or one number.

    Parameters
    ----------
    mesh
        The mean shape, its vertices in the order of the modes.

    Raises
    ------
    InputError
        The file is missing, damaged or pickled, or an array is missing or of the wrong shape.
    """
    if not path.is_file():
        raise InputError(f"{path}: needed an .npz of modes, found no file")
    try:
        arrays = read_npz(path.read_bytes())
        return _point_model(arrays, mesh)
    except ValueError as error:  # InputError too
        raise InputError(f"{path}: {error}") from None


def write_plain(path: Path, model: ShapeModel) -> None:
    """Write mean, modes, faces and inadequacy as float32 arrays of an .npz."""
    np.savez_compressed(
        path,
        allow_pickle=False,
        mean=model.mean,
        modes=model.modes,
        faces=model.faces,
        inadequacy_mm=model.inadequacy_mm,
        bone=np.array(model.bone),
        origin=np.array(model.origin),
    )


def _point_model(arrays: dict[str, NDArray[Any]], mesh: Mesh | None) -> PointModel:
    if "modes" not in arrays:
        raise InputError(f"needed an array 'modes', found {', '.join(arrays) or 'none'}")
    modes = numbers(arrays["modes"], "modes")
    mean = _mean(arrays, mesh)
    if modes.ndim != 3 or modes.shape[1:] != mean.shape:
        raise InputError(f"modes must have the shape (K, {len(mean)}, 3), found {modes.shape}")
    if "stddev" in arrays:
        stddev = numbers(arrays["stddev"], "stddev")
        if stddev.shape != (len(modes),):
            raise InputError(f"stddev must have the shape ({len(modes)},), found {stddev.shape}")
        modes = modes * stddev[:, None, None]
    faces = mesh.faces if mesh is not None else arrays.get("faces")
    return PointModel(
        mean=mean,
        modes=modes,
        faces=None if faces is None else check_faces(faces, len(mean)),
        inadequacy_mm=_inadequacy(arrays, len(mean)),
    )


def _mean(arrays: dict[str, NDArray[Any]], mesh: Mesh | None) -> F64:
    if mesh is not None:
        return mesh.vertices.astype(np.float64)
    if "mean" not in arrays:
        raise InputError("needed an array 'mean', or the mean as a mesh (--mesh), found neither")
    mean = numbers(arrays["mean"], "mean")
    if mean.ndim != 2 or mean.shape[1] != 3:
        raise InputError(f"mean must have the shape (N, 3), found {mean.shape}")
    return mean


def _inadequacy(arrays: dict[str, NDArray[Any]], num_points: int) -> F64 | None:
    if "inadequacy_mm" not in arrays:
        return None
    stated = numbers(arrays["inadequacy_mm"], "inadequacy_mm")
    if stated.shape not in ((), (num_points,)):
        raise InputError(
            f"inadequacy_mm must be one number or ({num_points},), found {stated.shape}"
        )
    return np.ascontiguousarray(np.broadcast_to(stated, (num_points,)))
