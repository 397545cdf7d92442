"""Where a bone lies in a mesh file whose axes are unknown: a model aligned to it in 3D."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations, product

import numpy as np

from osteoform._core import closest_points
from osteoform._distance import distances_to_surface, sample_surface
from osteoform._errors import InputError
from osteoform._shape_model import ShapeModel
from osteoform._types import F64, Mesh, Side

_COARSE_POINTS = 300
_COARSE_STEPS = 10
_FINE_CANDIDATES = 8
_SAME_COSINE = float(np.cos(np.deg2rad(10.0)))
_FINE_POINTS = 1500
_FINE_STEPS = 20
_NUM_MODES = 12
_DEFORM_STEPS = 15
_DEFORM_NOISE_MM = 3.0


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """x_mesh = scale * rotation @ x_model + translation."""

    scale: float
    rotation: F64 = field(repr=False)
    translation: F64 = field(repr=False)

    def apply(self, points: F64) -> F64:
        """Model points (N, 3) in the mesh frame."""
        return np.asarray(self.scale * points @ self.rotation.T + self.translation)

    def apply_inverse(self, points: F64) -> F64:
        """Mesh points (N, 3) in the model frame."""
        return np.asarray((points - self.translation) @ self.rotation / self.scale)

    def rigid(self) -> F64:
        """(4, 4) without the scale: what the model's origin and axes become."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation
        matrix[:3, 3] = self.translation
        return matrix


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A rigid pose of the model in a mesh's frame.

    Attributes
    ----------
    mesh_from_bone
        (4, 4) [mm], without scale.
    rms_mm
        Surface distance after the best scale and a few modes: how alike the two bones are.
    """

    mesh_from_bone: F64
    rms_mm: float

    def to_bone(self, mesh: Mesh) -> Mesh:
        """Express a mesh of the file's frame in the bone's frame."""
        rotation, translation = self.mesh_from_bone[:3, :3], self.mesh_from_bone[:3, 3]
        vertices = (mesh.vertices.astype(np.float64) - translation) @ rotation
        return Mesh(vertices=np.ascontiguousarray(vertices, np.float32), faces=mesh.faces)


def place_model(model: ShapeModel, mesh: Mesh, *, side: Side) -> Placement:
    """Align a model with a whole bone of unknown position, orientation and size.

    Principal axes give 48 starts (every right-handed assignment of axes and signs, and the same
    turned by 45 degrees about the longest axis); each is refined by iterated closest points (Besl and McKay 1992) with a scale (Umeyama 1991), since
    bones differ in size. The best of them are told apart by letting the model deform: the bone
    looks like the model one way round only.

    Raises
    ------
    InputError
        The mesh has no extent.
    """
    model = model if side == "right" else model.mirrored()
    mean = Mesh(vertices=model.mean, faces=model.faces)
    if np.array_equal(model.faces, mesh.faces) and len(model.mean) == len(mesh.vertices):
        return _place_by_correspondence(mean, mesh)
    starts = _starts(sample_surface(mean, 4000), sample_surface(mesh, 4000))
    points = sample_surface(mesh, _COARSE_POINTS)
    coarse = [_refine_one_way(start, points, mean) for start in starts]
    coarse.sort(key=lambda candidate: _one_way_rms(candidate, points, mean))
    fine = [_refine(candidate, mean, mesh) for candidate in _distinct(coarse)]
    leading = model.truncated(min(model.num_pca, _NUM_MODES))
    deformed = [_deform(candidate, leading, mesh) for candidate in fine]
    best, shape = min(deformed, key=lambda fitted: _rms(*fitted, mesh))
    return Placement(mesh_from_bone=best.rigid(), rms_mm=_rms(best, shape, mesh))


def _place_by_correspondence(mean: Mesh, mesh: Mesh) -> Placement:
    """Same faces: vertex by vertex, nothing to search."""
    best = umeyama(mean.vertices.astype(np.float64), mesh.vertices.astype(np.float64))
    return Placement(mesh_from_bone=best.rigid(), rms_mm=_rms(best, mean, mesh))


def rigid_fit_to_surface(points: F64, surface: Mesh, *, steps: int = 50) -> Similarity:
    """The rigid motion that brings points (N, 3), already near a surface, closest to it."""
    motion = Similarity(scale=1.0, rotation=np.eye(3), translation=np.zeros(3))
    for _ in range(steps):
        nearest, _, _ = closest_points(
            points=motion.apply(points), vertices=surface.vertices, faces=surface.faces
        )
        motion = umeyama(points, nearest, scale=1.0)
    return motion


def _deform(start: Similarity, model: ShapeModel, mesh: Mesh) -> tuple[Similarity, Mesh]:
    """Alternate closest points, shape coefficients and similarity."""
    current, shape = start, Mesh(vertices=model.mean, faces=model.faces)
    for _ in range(_DEFORM_STEPS):
        on_mesh, _, _ = closest_points(
            points=current.apply(shape.vertices.astype(np.float64)),
            vertices=mesh.vertices,
            faces=mesh.faces,
        )
        b = model.coefficients(current.apply_inverse(on_mesh), noise_mm=_DEFORM_NOISE_MM)
        shape = Mesh(vertices=model.instance(b), faces=model.faces)
        current = umeyama(shape.vertices.astype(np.float64), on_mesh)
    return current, shape


def _starts(model_points: F64, mesh_points: F64) -> list[Similarity]:
    model_center, model_axes, model_spread = _moments(model_points)
    mesh_center, mesh_axes, mesh_spread = _moments(mesh_points)
    if not mesh_spread > 0.0:
        raise InputError("the mesh must have an extent, all its points are the same")
    scale = mesh_spread / model_spread
    starts = []
    for order, turn in product(permutations(range(3)), (0.0, np.pi / 4.0)):
        for signs in product((1.0, -1.0), repeat=3):
            axes = mesh_axes @ (np.eye(3)[:, order] * signs)
            rotation = axes @ _about_last_axis(turn) @ model_axes.T
            if np.linalg.det(rotation) > 0.0:
                translation = mesh_center - scale * rotation @ model_center
                starts.append(Similarity(scale=scale, rotation=rotation, translation=translation))
    return starts


def _about_last_axis(angle_rad: float) -> F64:
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _distinct(candidates: list[Similarity]) -> list[Similarity]:
    """The first few that are turned from each other."""
    chosen: list[Similarity] = []
    for candidate in candidates:
        cosines = [(np.trace(candidate.rotation.T @ c.rotation) - 1.0) / 2.0 for c in chosen]
        if all(cosine < _SAME_COSINE for cosine in cosines):
            chosen.append(candidate)
    return chosen[:_FINE_CANDIDATES]


def _moments(points: F64) -> tuple[F64, F64, float]:
    """Centre (3,), principal axes in the columns (3, 3), and root-mean-square radius."""
    center = points.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov((points - center).T))
    return center, np.asarray(axes), float(np.sqrt(values.sum()))


def umeyama(source: F64, target: F64, *, scale: float | None = None) -> Similarity:
    """Least-squares similarity that maps points (N, 3) to points (N, 3); `scale` fixes it."""
    source_center, target_center = source.mean(axis=0), target.mean(axis=0)
    x, y = source - source_center, target - target_center
    u, singular, vt = np.linalg.svd(y.T @ x)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ (signs[:, None] * vt)
    if scale is None:
        scale = float((singular * signs).sum() / np.square(x).sum())
    translation = target_center - scale * rotation @ source_center
    return Similarity(scale=scale, rotation=rotation, translation=translation)


def _refine_one_way(start: Similarity, points: F64, model: Mesh) -> Similarity:
    current = start
    for _ in range(_COARSE_STEPS):
        on_model, _, _ = closest_points(
            points=current.apply_inverse(points), vertices=model.vertices, faces=model.faces
        )
        current = umeyama(on_model, points, scale=start.scale)
    return current


def _refine(start: Similarity, model: Mesh, mesh: Mesh) -> Similarity:
    current = start
    of_model = sample_surface(model, _FINE_POINTS)
    of_mesh = sample_surface(mesh, _FINE_POINTS)
    for _ in range(_FINE_STEPS):
        on_model, _, _ = closest_points(
            points=current.apply_inverse(of_mesh), vertices=model.vertices, faces=model.faces
        )
        on_mesh, _, _ = closest_points(
            points=current.apply(of_model), vertices=mesh.vertices, faces=mesh.faces
        )
        current = umeyama(np.vstack([on_model, of_model]), np.vstack([of_mesh, on_mesh]))
    return current


def _one_way_rms(candidate: Similarity, points: F64, model: Mesh) -> float:
    distances = distances_to_surface(candidate.apply_inverse(points), model)
    return float(np.sqrt(np.mean(np.square(distances))))


def _rms(candidate: Similarity, model: Mesh, mesh: Mesh) -> float:
    to_model = candidate.scale * distances_to_surface(
        candidate.apply_inverse(sample_surface(mesh, _FINE_POINTS)), model
    )
    to_mesh = distances_to_surface(candidate.apply(sample_surface(model, _FINE_POINTS)), mesh)
    return float(np.sqrt(0.5 * (np.mean(np.square(to_model)) + np.mean(np.square(to_mesh)))))
