"""Reading meshes of bones from the usual files, and writing them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from osteoform._errors import InputError
from osteoform._npz import read_npz
from osteoform._types import Mesh
from osteoform.io.obj import parse_obj
from osteoform.io.ply import format_ply, parse_ply
from osteoform.io.polygons import I64, Polygons, as_integers
from osteoform.io.stl import format_stl, parse_stl
from osteoform.io.vtk import parse_vtk

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MeshFile:
    """A mesh, and in words what had to be repaired to make it one."""

    mesh: Mesh
    repairs: tuple[str, ...]


def read_mesh(path: str | Path) -> Mesh:
    """Read a triangle mesh: PLY, STL, legacy VTK polydata, OBJ, or .npz.

    Returns
    -------
    Mesh
        Vertices as in the file [mm], axes LPS; repairs go to the log as warnings.

    Raises
    ------
    InputError
        The file is missing, empty, truncated, of another format, or holds no usable mesh.
    """
    read = read_mesh_file(path)
    for repair in read.repairs:
        _log.warning("%s: %s", path, repair)
    return read.mesh


def read_mesh_file(path: str | Path) -> MeshFile:
    """Read a mesh as `read_mesh` does, and say what was repaired.

    Repaired are: axes that the file says are RAS, triangles without three corners of their own,
    vertices that no triangle uses, and a closed surface wound inward.
    """
    file = Path(path)
    parse = _PARSERS.get(file.suffix.lower())
    if parse is None:
        raise InputError(f"{file}: needed one of {', '.join(_PARSERS)}, found {file.suffix!r}")
    if not file.is_file():
        raise InputError(f"{file}: needed a mesh, found no file")
    data = file.read_bytes()
    if not data:
        raise InputError(f"{file}: needed a mesh, found an empty file")
    try:
        # A damaged file may hold any bits, signalling NaN among them; they are checked after.
        with np.errstate(invalid="ignore"):
            raw = parse(data)
        return _repair(raw, says_ras=_says_ras(file.suffix.lower(), data))
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def write_ply(path: str | Path, mesh: Mesh, *, comment: str = "") -> None:
    """Write a binary PLY that keeps the order of vertices and says SPACE=LPS."""
    _check_writable(mesh)
    Path(path).write_bytes(format_ply(mesh.vertices, mesh.faces, comment))


def write_stl(path: str | Path, mesh: Mesh) -> None:
    """Write a binary STL. STL forgets which vertex is which; PLY does not."""
    _check_writable(mesh)
    Path(path).write_bytes(format_stl(mesh.vertices, mesh.faces))


def _parse_npz(data: bytes) -> Polygons:
    try:
        arrays = read_npz(data)
    except ValueError as error:
        raise InputError(str(error)) from None
    for name in ("vertices", "faces"):
        if name not in arrays or arrays[name].ndim != 2 or arrays[name].shape[1] != 3:
            shape = arrays[name].shape if name in arrays else "none"
            raise InputError(f"needed an array {name} of the shape (n, 3), found {shape}")
        if arrays[name].dtype.kind not in "fiu":
            raise InputError(f"needed numbers in {name}, found {arrays[name].dtype}")
    return Polygons(
        vertices=arrays["vertices"].astype(np.float64),
        faces=as_integers(arrays["faces"], "vertex numbers"),
    )


_PARSERS: dict[str, Callable[[bytes], Polygons]] = {
    ".ply": parse_ply,
    ".stl": parse_stl,
    ".vtk": parse_vtk,
    ".obj": parse_obj,
    ".npz": _parse_npz,
}


def _says_ras(suffix: str, data: bytes) -> bool:
    return suffix in (".ply", ".stl", ".obj", ".vtk") and b"SPACE=RAS" in data[:2048]


def _repair(raw: Polygons, *, says_ras: bool) -> MeshFile:
    vertices, faces = raw.vertices, raw.faces
    _check(vertices, faces)
    repairs = list[str]()
    if says_ras:
        vertices = vertices * np.array([-1.0, -1.0, 1.0])
        repairs.append("the file says its axes are RAS: turned to LPS")
    distinct = (np.diff(np.sort(faces, axis=1), axis=1) > 0).all(axis=1)
    if not distinct.all():
        repairs.append(f"{int(np.sum(~distinct))} triangles without three corners removed")
        faces = faces[distinct]
    used = np.unique(faces)
    if len(used) < len(vertices):
        repairs.append(f"{len(vertices) - len(used)} vertices that no triangle uses removed")
        vertices, faces = vertices[used], np.searchsorted(used, faces)
    if len(faces) < 4:
        raise InputError(f"needed 4 triangles or more, found {len(faces)}")
    if is_closed(faces) and _volume(vertices, faces) < 0.0:
        faces = faces[:, ::-1]
        repairs.append("the surface was wound inward: turned outward")
    mesh = Mesh(
        vertices=np.ascontiguousarray(vertices, dtype=np.float32),
        faces=np.ascontiguousarray(faces, dtype=np.int32),
    )
    return MeshFile(mesh=mesh, repairs=tuple(repairs))


def _check(vertices: NDArray[np.float64], faces: I64) -> None:
    if len(vertices) == 0 or len(faces) == 0:
        raise InputError(f"needed vertices and faces, found {len(vertices)} and {len(faces)}")
    if not np.isfinite(vertices).all() or np.abs(vertices).max() > 1e7:
        raise InputError("needed finite vertices in mm, found others")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(
            f"needed faces of the vertices 0..{len(vertices) - 1}, "
            f"found {int(faces.min())}..{int(faces.max())}"
        )


def is_closed(faces: NDArray[np.integer]) -> bool:
    """Whether every edge is run through once in each direction."""
    ids = faces.astype(np.int64)
    start, end = ids.reshape(-1), np.roll(ids, -1, axis=1).reshape(-1)
    size = int(ids.max()) + 1
    ahead = np.sort(start * size + end)
    behind = np.sort(end * size + start)
    return bool((np.diff(ahead) > 0).all() and np.array_equal(ahead, behind))


def _volume(vertices: NDArray[np.float64], faces: I64) -> float:
    a, b, c = (vertices[faces[:, k]] - vertices.mean(axis=0) for k in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)


def _check_writable(mesh: Mesh) -> None:
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    if vertices.ndim != 2 or vertices.shape[1] != 3 or not np.isfinite(vertices).all():
        raise InputError(f"vertices must be finite, (N, 3), got {vertices.shape}")
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu":
        raise InputError(f"faces must be integers, (M, 3), got {faces.shape} {faces.dtype}")
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise InputError(f"faces must name vertices 0..{len(vertices) - 1}")
