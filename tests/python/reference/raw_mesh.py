"""A surface as a scanner gives it: other triangles, other numbers, any pose, either side."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def raw(
    vertices: NDArray[Any], faces: NDArray[Any], rng: np.random.Generator, *, mirror: bool
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The same surface in other triangles, numbered and posed at random, of the other side or not.

    Every edge is split at a random place, every triangle in four.
    """
    pairs = np.sort(np.concatenate([faces[:, :2], faces[:, 1:], faces[:, [2, 0]]]), axis=1)
    edges, index = np.unique(pairs, axis=0, return_inverse=True)
    ab, bc, ca = index.reshape(3, -1) + len(vertices)
    share = rng.uniform(0.3, 0.7, (len(edges), 1))
    middle = (1.0 - share) * vertices[edges[:, 0]] + share * vertices[edges[:, 1]]
    points = np.concatenate([vertices, middle])
    a, b, c = faces.T
    four = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    split = np.concatenate([np.stack(corners, axis=1) for corners in four])
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    if (np.linalg.det(turn) < 0.0) != mirror:
        turn[:, 0] *= -1.0
    if mirror:
        split = split[:, ::-1]
    order = rng.permutation(len(points))
    number = np.argsort(order)
    points = (points @ turn.T + rng.normal(size=3) * 200.0)[order]
    faces = number[split][rng.permutation(len(split))]
    return points.astype(np.float32), np.ascontiguousarray(faces, dtype=np.int32)
