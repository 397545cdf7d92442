"""Thickness of closed meshes along the rays of a view."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from osteoform import _core
from osteoform._types import F32, F64, I32
from osteoform.train.legs import as_mesh

View = _core.ConeView | _core.SlotView
Mesh = tuple[F64, I32]  # vertices (n, 3) [mm] and faces (m, 3)


def thickness(meshes: Sequence[Mesh], view: View, canvas: tuple[int, int]) -> F32:
    """Length [mm] of every pixel's ray inside the meshes, summed: (rows, columns) of `canvas`."""
    if not meshes:
        return np.zeros(canvas, np.float32)
    starts = np.cumsum([0, *(len(v) for v, _ in meshes[:-1])])
    joined = np.concatenate([f + s for (_, f), s in zip(meshes, starts, strict=True)])
    points, triangles = as_mesh(
        np.concatenate([v for v, _ in meshes]), np.ascontiguousarray(joined, np.int32)
    )
    length: F32 = _core.thickness(
        vertices=points, faces=triangles, view=view, width=canvas[1], height=canvas[0]
    )
    return np.maximum(length, 0.0)
