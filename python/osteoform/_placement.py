"""Where a bone lies in a mesh file whose axes are unknown: a model aligned to it in 3D."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations, product

import numpy as np

from osteoform._core import ClosestPointTree
from osteoform._distance import sample_surface
from osteoform._errors import InputError
from osteoform._shape_model import ShapeModel
from osteoform._types import F64, I32, Mesh, Side
from osteoform.modeling.procrustes import align_rigid

_NUM_POINTS = 1000
_NUM_FEW = 200
_COARSE_STEPS = 8
_FINE_CANDIDATES = 8
_SAME_COSINE = float(np.cos(np.deg2rad(10.0)))
_FINE_STEPS = 15
_DEFORM_CANDIDATES = 8
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


def place_collection(model: ShapeModel, vertices: F64, faces: I32, *, side: Side) -> F64:
    """Which way round the bones of a collection in correspondence lie: (S, 3, 3) mesh from bone.

    Their mean is placed by its shape, and each of them by its vertices beside the mean: a single
    patella is so round that another's shape may fit it better upside down.

    Parameters
    ----------
    vertices, faces
        (S, N, 3) [mm], (M, 3) of right bones.
    side
        Of the bones that are asked for: left ones are the right ones mirrored in x.
    """
    mean = align_rigid(vertices).mean(axis=0)
    placed = place_model(model, Mesh(vertices=mean.astype(np.float32), faces=faces), side="right")
    turns = [umeyama(mean, own, scale=1.0).rotation for own in vertices.astype(np.float64)]
    mirror = np.diag([-1.0 if side == "left" else 1.0, 1.0, 1.0])
    return mirror @ np.stack(turns) @ placed.mesh_from_bone[:3, :3] @ mirror


def place_model(
    model: ShapeModel,
    mesh: Mesh,
    *,
    side: Side,
    num_points: int = _NUM_POINTS,
    rotation: F64 | None = None,
) -> Placement:
    """Align a model with a whole bone of unknown position, orientation and size.

    Principal axes give 48 starts (every right-handed assignment of axes and signs, and the same
    turned by 45 degrees about the longest axis); each is refined by iterated closest points (Besl and McKay 1992) with a scale (Umeyama 1991), since
    bones differ in size. The best of them are told apart by letting the model deform: the bone
    looks like the model one way round only. `num_points` points of each surface are compared.
    A `rotation` (3, 3) mesh from bone that is known, roughly, is the only start.

    Raises
    ------
    InputError
        The mesh has no extent.
    """
    model = model if side == "right" else model.mirrored()
    mean = _Surface.of(Mesh(vertices=model.mean, faces=model.faces), num_points)
    if np.array_equal(model.faces, mesh.faces) and len(model.mean) == len(mesh.vertices):
        return _place_by_correspondence(mean, _Surface.of(mesh, num_points))
    bone = _Surface.of(mesh, num_points)
    starts = _starts(mean.points, bone.points, rotation)
    coarse = [_refine_one_way(start, bone.few, mean) for start in starts]
    coarse.sort(key=lambda candidate: _one_way_rms(candidate, bone.few, mean))
    fine = [_refine(candidate, mean, bone) for candidate in _distinct(coarse)]
    fine.sort(key=lambda candidate: _rms(candidate, mean, bone))
    leading = model.truncated(min(model.num_pca, _NUM_MODES))
    deformed = [_deform(candidate, leading, bone) for candidate in fine[:_DEFORM_CANDIDATES]]
    best, rms_mm = min(deformed, key=lambda fitted: fitted[1])
    return Placement(mesh_from_bone=best.rigid(), rms_mm=rms_mm)


@dataclass(frozen=True)
class _Surface:
    """A surface with its search tree and points spread over it (P, 3), and a few of them."""

    tree: ClosestPointTree
    vertices: F64
    points: F64
    few: F64

    @staticmethod
    def of(mesh: Mesh, num_points: int) -> _Surface:
        return _Surface(
            ClosestPointTree(vertices=mesh.vertices, faces=mesh.faces),
            mesh.vertices.astype(np.float64),
            sample_surface(mesh, num_points),
            sample_surface(mesh, min(num_points, _NUM_FEW)),
        )


def _place_by_correspondence(mean: _Surface, mesh: _Surface) -> Placement:
    """Same faces: vertex by vertex, nothing to search."""
    best = umeyama(mean.vertices, mesh.vertices)
    return Placement(mesh_from_bone=best.rigid(), rms_mm=_rms(best, mean, mesh))


def rigid_fit_to_surface(points: F64, surface: Mesh, *, steps: int = 50) -> Similarity:
    """The rigid motion that brings points (N, 3), already near a surface, closest to it."""
    tree = ClosestPointTree(vertices=surface.vertices, faces=surface.faces)
    motion = Similarity(scale=1.0, rotation=np.eye(3), translation=np.zeros(3))
    for _ in range(steps):
        nearest, _, _ = tree.find(motion.apply(points))
        motion = umeyama(points, nearest, scale=1.0)
    return motion


def _deform(start: Similarity, model: ShapeModel, bone: _Surface) -> tuple[Similarity, float]:
    """Alternate closest points, shape coefficients and similarity on a share of the vertices.

    Returns the similarity and the root mean square distance that is left [mm].
    """
    step = max(1, model.num_vertices // len(bone.points))
    mean = model.mean[::step].astype(np.float64)
    modes = model.modes[:, ::step].astype(np.float64).reshape(model.num_modes, -1)
    normal = modes @ modes.T + _DEFORM_NOISE_MM**2 * np.eye(model.num_modes)
    current, shape, distances_mm = start, mean, np.zeros(1)
    for _ in range(_DEFORM_STEPS):
        on_bone, distances_mm, _ = bone.tree.find(current.apply(shape))
        target = current.apply_inverse(on_bone)
        b = np.linalg.solve(normal, modes @ (target - mean).ravel())
        shape = mean + (b @ modes).reshape(-1, 3)
        current = umeyama(shape, on_bone)
    return current, float(np.sqrt(np.mean(np.square(distances_mm))))


def _starts(model_points: F64, mesh_points: F64, known: F64 | None) -> list[Similarity]:
    model_center, model_axes, model_spread = _moments(model_points)
    mesh_center, mesh_axes, mesh_spread = _moments(mesh_points)
    if not mesh_spread > 0.0:
        raise InputError("the mesh must have an extent, all its points are the same")
    scale = mesh_spread / model_spread
    rotations = [known] if known is not None else _axis_rotations(model_axes, mesh_axes)
    return [
        Similarity(scale=scale, rotation=r, translation=mesh_center - scale * r @ model_center)
        for r in rotations
    ]


def _axis_rotations(model_axes: F64, mesh_axes: F64) -> list[F64]:
    rotations = []
    for order, turn in product(permutations(range(3)), (0.0, np.pi / 4.0)):
        for signs in product((1.0, -1.0), repeat=3):
            axes = mesh_axes @ (np.eye(3)[:, order] * signs)
            rotation = axes @ _about_last_axis(turn) @ model_axes.T
            if np.linalg.det(rotation) > 0.0:
                rotations.append(rotation)
    return rotations


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


def _refine_one_way(start: Similarity, points: F64, mean: _Surface) -> Similarity:
    current = start
    for _ in range(_COARSE_STEPS):
        on_mean, _, _ = mean.tree.find(current.apply_inverse(points))
        current = umeyama(on_mean, points, scale=start.scale)
    return current


def _refine(start: Similarity, mean: _Surface, bone: _Surface) -> Similarity:
    current = start
    for _ in range(_FINE_STEPS):
        on_mean, _, _ = mean.tree.find(current.apply_inverse(bone.points))
        on_bone, _, _ = bone.tree.find(current.apply(mean.points))
        current = umeyama(np.vstack([on_mean, mean.points]), np.vstack([bone.points, on_bone]))
    return current


def _one_way_rms(candidate: Similarity, points: F64, mean: _Surface) -> float:
    _, distances, _ = mean.tree.find(candidate.apply_inverse(points))
    return float(np.sqrt(np.mean(np.square(distances))))


def _rms(candidate: Similarity, mean: _Surface, bone: _Surface) -> float:
    _, to_mean, _ = mean.tree.find(candidate.apply_inverse(bone.points))
    _, to_bone, _ = bone.tree.find(candidate.apply(mean.points))
    squares = np.square(candidate.scale * to_mean).mean() + np.square(to_bone).mean()
    return float(np.sqrt(0.5 * squares))
