"""Collections of meshes in correspondence: one .npz for all people."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteoform._errors import InputError
from osteoform._npz import read_npz
from osteoform._types import Side
from osteoform.modeling.surface import F64, I32, check_mesh, signed_volume


def is_collection(path: Path) -> bool:
    """Whether a file is an .npz of several meshes in correspondence."""
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    vertices = read_npz(path.read_bytes()).get("vertices")
    return vertices is not None and np.ndim(vertices) == 3


def read_correspondence(path: str | Path, *, side: Side | None = None) -> tuple[F64, I32]:
    """Read meshes in correspondence and turn them right-sided.

    Parameters
    ----------
    path
        An .npz with `vertices` (S, N, 3) [mm, axes as LPS] and `faces` (M, 3).
    side
        Side of the bones in the file. None: the file's entry `side`, else the word left or right
        in its name.

    Returns
    -------
    vertices, faces
        (S, N, 3) float64 [mm], x medial of a right leg; (M, 3) int32, wound outward.

    Raises
    ------
    InputError
        The file is missing, truncated, pickled, or does not hold such arrays; or its side is
        not said.
    """
    file = Path(path)
    arrays = _read_arrays(file)
    try:
        vertices, faces = check_collection(arrays["vertices"], arrays["faces"])
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    found = side or _stated_side(file, arrays)
    if found not in ("left", "right"):
        raise InputError(f"{file}: side must be 'left' or 'right', found {found!r}")
    if found == "left":
        vertices = vertices * np.array([-1.0, 1.0, 1.0])
        faces = faces[:, ::-1].copy()
    if signed_volume(vertices[0], faces) < 0.0:
        raise InputError(f"{file}: faces must be wound outward, they are wound inward")
    return vertices, faces


def check_collection(vertices: Any, faces: Any) -> tuple[F64, I32]:
    """Vertices (S, N, 3) float64 and faces (M, 3) int32, or an InputError."""
    v = np.asarray(vertices)
    if v.dtype.kind not in "fiu" or v.ndim != 3 or v.shape[2] != 3 or len(v) == 0:
        raise InputError(
            f"vertices must be numbers of the shape (S, N, 3), got {v.shape} {v.dtype}"
        )
    v = np.ascontiguousarray(v, dtype=np.float64)
    if not np.isfinite(v).all():
        raise InputError("vertices must be finite")
    _, checked = check_mesh(v[0], faces)
    return v, checked


def _read_arrays(file: Path) -> dict[str, NDArray[Any]]:
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    try:
        arrays = read_npz(file.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: {error}") from None
    for name in ("vertices", "faces"):
        if name not in arrays:
            raise InputError(f"{file}: needs an array {name!r}, has {', '.join(arrays) or 'none'}")
    return arrays


def _stated_side(file: Path, arrays: dict[str, NDArray[Any]]) -> str:
    if "side" in arrays:
        return str(arrays["side"])
    words = set(re.split(r"[^a-z]+", file.stem.lower())) & {"left", "right"}
    if len(words) != 1:
        raise InputError(f"{file}: the side is not said; pass side='left' or side='right'")
    return words.pop()
