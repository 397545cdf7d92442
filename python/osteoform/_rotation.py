"""Rotations in Python; the fit has its own, in C++."""

from __future__ import annotations

import numpy as np

from osteoform._types import F64


def rotation(vector: F64) -> F64:
    """Rotation matrix (3, 3) of a rotation vector (3,) [rad], by Rodrigues' formula."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
