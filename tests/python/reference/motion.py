"""Rotations and rigid motions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def skew(a: F64) -> F64:
    """Matrix (3, 3) with skew(a) @ b = a x b."""
    return np.array([[0.0, -a[2], a[1]], [a[2], 0.0, -a[0]], [-a[1], a[0], 0.0]])


def so3_exp(w: F64) -> F64:
    """Rotation (3, 3) by |w| about w (Rodrigues)."""
    W = skew(w)
    theta2 = float(w @ w)
    if theta2 <= 1e-8:
        a, b = 1.0 - theta2 / 6.0, 0.5 - theta2 / 24.0
    else:
        theta = np.sqrt(theta2)
        a, b = np.sin(theta) / theta, (1.0 - np.cos(theta)) / theta2
    return np.eye(3) + a * W + b * W @ W


def so3_left_jacobian(w: F64) -> F64:
    """J (3, 3) with exp(w + dw) = exp(J dw) exp(w) to first order (Barfoot 2017, eq. 7.77)."""
    W = skew(w)
    theta2 = float(w @ w)
    if theta2 <= 1e-8:
        a, b = 0.5 - theta2 / 24.0, 1.0 / 6.0 - theta2 / 120.0
    else:
        theta = np.sqrt(theta2)
        a, b = (1.0 - np.cos(theta)) / theta2, (theta - np.sin(theta)) / (theta2 * theta)
    return np.eye(3) + a * W + b * W @ W


@dataclass(frozen=True)
class State:
    """What the solver moves: pose (6), b (K), then 6 per corrected view (views 1, 2, ...).

    `corrections` is (V - 1, 6), rotation vector [rad] and translation [mm], or (0, 6) where the
    calibration is trusted.
    """

    rotation: F64
    translation: F64
    b: F64
    corrections: F64

    @property
    def num_params(self) -> int:
        return 6 + self.b.size + self.corrections.size

    def corrects(self, view: int) -> bool:
        return 0 < view <= len(self.corrections)

    def correction_columns(self, view: int) -> slice:
        first = 6 + self.b.size + 6 * (view - 1)
        return slice(first, first + 6)

    def pose_for(self, view: int) -> tuple[F64, F64]:
        """Rotation and translation of the bone where one view sees it."""
        if not self.corrects(view):
            return self.rotation, self.translation
        c = self.corrections[view - 1]
        return so3_exp(c[:3]) @ self.rotation, self.translation + c[3:]

    def moved(self, dx: F64, max_b: float) -> State:
        """Rotations multiply from the left, about the bone's origin; the rest adds."""
        k = self.b.size
        return replace(
            self,
            rotation=so3_exp(dx[:3]) @ self.rotation,
            translation=self.translation + dx[3:6],
            b=np.clip(self.b + dx[6 : 6 + k], -max_b, max_b),
            corrections=self.corrections + dx[6 + k :].reshape(-1, 6),
        )


@dataclass(frozen=True)
class Frames:
    """Turn torque (x cross w) and force w of a bone-frame gradient into parameter derivatives."""

    pose_from_torque: F64
    pose_from_force: F64
    correction_from_torque: F64

    @staticmethod
    def of(state: State, view: int) -> Frames:
        turned = state.pose_for(view)[0]
        torque = turned
        if state.corrects(view):
            torque = so3_left_jacobian(state.corrections[view - 1, :3]).T @ turned
        return Frames(state.rotation, turned, torque)
