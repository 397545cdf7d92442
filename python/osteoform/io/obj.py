"""Wavefront OBJ: vertices and faces, nothing else."""

from __future__ import annotations

import numpy as np

from osteoform._errors import InputError
from osteoform.io.polygons import Polygons, fan


def parse_obj(data: bytes) -> Polygons:
    """Vertices and triangulated faces of an OBJ file."""
    vertices = list[list[float]]()
    sizes, corners = list[int](), list[int]()
    for number, line in enumerate(data.decode("latin-1").splitlines(), start=1):
        words = line.split()
        try:
            if words[:1] == ["v"]:
                vertices.append([float(words[i]) for i in (1, 2, 3)])
            elif words[:1] == ["f"]:
                ids = [_index(word, len(vertices)) for word in words[1:]]
                sizes.append(len(ids))
                corners += ids
        except (ValueError, IndexError):
            raise InputError(f"found the damaged line {number}: {line[:60]!r}") from None
    if not vertices or not sizes:
        raise InputError(f"needed vertices and faces, found {len(vertices)} and {len(sizes)}")
    return Polygons(
        vertices=np.array(vertices, dtype=np.float64),
        faces=fan(np.array(sizes), np.array(corners, dtype=np.int64)),
    )


def _index(word: str, num_vertices: int) -> int:
    """From `7`, `7/1` or `-1//2`: counted from 1, or backwards from the last vertex."""
    index = int(word.split("/")[0])
    if index == 0:
        raise ValueError(word)
    return index - 1 if index > 0 else num_vertices + index
