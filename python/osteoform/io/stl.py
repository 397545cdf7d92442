"""STL: ascii and binary, read with equal vertices merged; binary written."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from osteoform._errors import InputError
from osteoform._types import F64
from osteoform.io.polygons import Polygons

_HEADER_BYTES = 84
_TRIANGLE = np.dtype([("normal", "<f4", (3,)), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def parse_stl(data: bytes) -> Polygons:
    """Vertices, equal ones merged, and triangles of an STL file."""
    # Binary files may begin with "solid" too: only their length tells them apart.
    if len(data) >= _HEADER_BYTES:
        count = int(np.frombuffer(data, "<u4", 1, 80)[0])
        if len(data) == _HEADER_BYTES + count * _TRIANGLE.itemsize:
            triangles = np.frombuffer(data, _TRIANGLE, count, _HEADER_BYTES)
            return _merge(triangles["corners"].astype(np.float64))
    if data.lstrip()[:5].lower() == b"solid":
        return _merge(_ascii_corners(data))
    if len(data) < _HEADER_BYTES:
        raise InputError(f"needed a binary STL of 84 bytes or more, found {len(data)}")
    raise InputError(
        f"needed {_HEADER_BYTES + count * _TRIANGLE.itemsize} bytes for {count} triangles, "
        f"found {len(data)}: it is truncated or no STL"
    )


def format_stl(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> bytes:
    """A binary STL; the header says that the axes are LPS."""
    rows = np.zeros(len(faces), dtype=_TRIANGLE)
    corners = vertices[faces].astype(np.float64)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    rows["normal"] = normal / np.where(length > 0.0, length, 1.0)
    rows["corners"] = corners
    header = b"osteoform SPACE=LPS unit mm".ljust(80, b"\0")
    return header + np.array(len(faces), dtype="<u4").tobytes() + rows.tobytes()


def _ascii_corners(data: bytes) -> F64:
    if b"endsolid" not in data:
        raise InputError("needed an ascii STL up to endsolid, found none: it is truncated")
    found = re.findall(rb"vertex\s+(\S+)\s+(\S+)\s+(\S+)", data)
    if len(found) == 0 or len(found) % 3 != 0:
        raise InputError(f"needed three vertices per triangle, found {len(found)} in all")
    try:
        return np.array(found, dtype=np.float64).reshape(-1, 3, 3)
    except ValueError as error:
        raise InputError(f"needed numbers for vertices: {error}") from None


def _merge(corners: F64) -> Polygons:
    # Adding zero makes -0.0 and 0.0 the same vertex.
    vertices, ids = np.unique(corners.reshape(-1, 3) + 0.0, axis=0, return_inverse=True)
    return Polygons(vertices=vertices, faces=ids.reshape(-1, 3).astype(np.int64))
