"""The two X-ray geometries: a cone (point source, flat detector) and a slot (the source scans).

Points are (N, 3) in the view's world [mm], pixels (N, 2) = (u, v).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class View:
    """Where the source stands: x_in_view = rotation @ x_in_world + translation."""

    rotation: F64
    translation: F64

    def in_view(self, points: F64) -> F64:
        return points @ self.rotation.T + self.translation

    def sees(self, points: F64) -> NDArray[np.bool_]:
        """Which points lie in front of the source."""
        return self.in_view(points)[:, 2] > 1e-6

    def of_bone(self, rotation: F64, translation: F64) -> Self:
        """The same view with the bone frame as its world."""
        return replace(
            self,
            rotation=self.rotation @ rotation,
            translation=self.rotation @ translation + self.translation,
        )

    def project(self, points: F64) -> F64:
        raise NotImplementedError

    def jacobian(self, points: F64) -> F64:
        """d(u, v) / d(point), (N, 2, 3) [px/mm]."""
        raise NotImplementedError

    def px_per_mm(self, point: F64) -> float:
        """Image scale across the ray at one point (3,)."""
        return float(np.sqrt(0.5 * np.sum(self.jacobian(point[None]) ** 2)))


@dataclass(frozen=True, kw_only=True)
class Cone(View):
    """u = fx x/z + cx, v = fy y/z + cy."""

    focal_px: F64
    principal_px: F64

    def project(self, points: F64) -> F64:
        x = self.in_view(points)
        return self.focal_px * x[:, :2] / x[:, 2:] + self.principal_px

    def jacobian(self, points: F64) -> F64:
        x = self.in_view(points)
        f = self.focal_px / x[:, 2:]
        along = (f * x[:, :2] / x[:, 2:])[..., None] * self.rotation[2]
        return f[..., None] * self.rotation[:2] - along

    def rays(self, points: F64) -> F64:
        """From the source through the points, not normalised."""
        return points + self.rotation.T @ self.translation

    def rays_through(self, px: F64) -> tuple[F64, F64]:
        """Origins and unit directions (N, 3) of the rays that meet pixels."""
        direction = np.column_stack([(px - self.principal_px) / self.focal_px, np.ones(len(px))])
        direction = direction @ self.rotation
        origin = np.broadcast_to(-self.rotation.T @ self.translation, direction.shape)
        return origin, direction / np.linalg.norm(direction, axis=1, keepdims=True)


@dataclass(frozen=True, kw_only=True)
class Slot(View):
    """u = f x/z + cu, v = (y - y0) / pitch: the ray lies in the plane of its row."""

    focal_px: float
    principal_u_px: float
    row_pitch_mm: float
    first_row_mm: float

    def project(self, points: F64) -> F64:
        x = self.in_view(points)
        u = self.focal_px * x[:, 0] / x[:, 2] + self.principal_u_px
        return np.column_stack([u, (x[:, 1] - self.first_row_mm) / self.row_pitch_mm])

    def jacobian(self, points: F64) -> F64:
        x = self.in_view(points)
        f = (self.focal_px / x[:, 2])[:, None]
        du = f * self.rotation[0] - f * (x[:, :1] / x[:, 2:]) * self.rotation[2]
        dv = np.broadcast_to(self.rotation[1] / self.row_pitch_mm, du.shape)
        return np.stack([du, dv], axis=1)

    def rays(self, points: F64) -> F64:
        return (self.in_view(points) * [1.0, 0.0, 1.0]) @ self.rotation

    def rays_through(self, px: F64) -> tuple[F64, F64]:
        y = px[:, 1] * self.row_pitch_mm + self.first_row_mm
        zero = np.zeros(len(px))
        origin = (np.column_stack([zero, y, zero]) - self.translation) @ self.rotation
        direction = np.column_stack(
            [(px[:, 0] - self.principal_u_px) / self.focal_px, zero, np.ones(len(px))]
        )
        direction = direction @ self.rotation
        return origin, direction / np.linalg.norm(direction, axis=1, keepdims=True)
