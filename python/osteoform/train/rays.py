"""Thickness of closed meshes along the rays of a view."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from osteoform import _core
from osteoform._types import F32, F64, I32
from osteoform.train.legs import as_mesh


def thickness(
    vertices: Sequence[F64],
    faces: Sequence[I32],
    view: _core.ConeView | _core.SlotView,
    canvas: tuple[int, int],
) -> F32:
    """Length [mm] of every pixel's ray inside the meshes, summed: (rows, columns) of `canvas`."""
    starts = np.cumsum([0, *(len(v) for v in vertices[:-1])])
    joined = np.concatenate([f + s for f, s in zip(faces, starts, strict=True)]).astype(np.int32)
    points, triangles = as_mesh(np.concatenate(vertices), np.ascontiguousarray(joined))
    length: F32 = _core.thickness(
        vertices=points, faces=triangles, view=view, width=canvas[1], height=canvas[0]
    )
    return np.maximum(length, 0.0)
