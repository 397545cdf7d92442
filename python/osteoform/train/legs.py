"""Random legs for training: people mixed, deformed, scaled and bent at the knee.

Everything is in one right-leg frame: x medial, y posterior, z proximal [mm].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from osteoform._errors import OsteoformError
from osteoform._leg import anatomical_frame, joints, parent_from_child, size_mm
from osteoform._rotation import rotation
from osteoform._split import learned_from
from osteoform._types import BONES, F32, F64, I32
from osteoform.modeling.features import FeatureDefinition, define_features

PELVIS = "pelvis"

_SCALE = (0.88, 1.15)
_STRETCH = 0.03
_NUM_WAVES = 24


@dataclass(frozen=True, kw_only=True)
class LegAtlas:
    """Legs of several people in correspondence.

    `vertices[part]` is (people, N, 3), `faces[part]` (M, 3); parts are the bones and the pelvis.
    """

    vertices: Mapping[str, F64]
    faces: Mapping[str, I32]
    features: Mapping[str, FeatureDefinition]

    @property
    def num_people(self) -> int:
        return len(self.vertices["femur"])


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One posed leg: vertices (N, 3) of every part.

    `femur_centers` (3, 3) are those of its head and of the medial and the lateral condyle.
    """

    vertices: Mapping[str, F64]
    femur_centers: F64

    def transformed(self, parts: Sequence[str], turn: F64, center: F64, shift: F64) -> Leg:
        """Turn `parts`, the femur not among them, about `center` and shift them."""
        moved = dict(self.vertices)
        for part in parts:
            moved[part] = (moved[part] - center) @ turn.T + center + shift
        return Leg(vertices=moved, femur_centers=self.femur_centers)

    @property
    def head(self) -> F64:
        """Centre of the femoral head (3,)."""
        return self.femur_centers[0]

    @property
    def knee_axis(self) -> tuple[F64, F64]:
        """Centre of the knee and the unit axis, lateral to medial, about which it bends."""
        medial, lateral = self.femur_centers[1:]
        axis = medial - lateral
        return 0.5 * (medial + lateral), axis / np.linalg.norm(axis)


def load_atlas(folder: Path, people: Sequence[int]) -> LegAtlas:
    """Read left legs (`*_left_<part>.npz`: vertices (P, N, 3), faces (M, 3)) and mirror them.

    What a feature is, the people that the detector learns from say, whoever is read: a tip of
    another mean is another vertex, of a tibia up to 8 mm away.

    Raises
    ------
    OsteoformError
        A part is not there, or not of as many people as the split counts.
    """
    learned = list(learned_from())
    num_needed = 1 + max(*people, *learned)
    vertices, faces, features = {}, {}, {}
    for part in (*BONES, PELVIS):
        everyone, faces[part] = _read_part(folder, part, num_needed)
        vertices[part] = everyone[list(people)]
        if part in BONES:
            mean = everyone[learned].mean(axis=0)
            features[part] = define_features(part, mean, faces[part])
    jointed = [
        _jointed({p: v[i] for p, v in vertices.items()}, features) for i in range(len(people))
    ]
    centers = np.stack([features["femur"].ellipsoids(leg["femur"])[0] for leg in jointed])
    heads, knees = centers[:, 0], centers[:, 1:3].mean(axis=1)
    for leg, head in zip(jointed, heads, strict=True):
        leg[PELVIS] = leg[PELVIS] + head - heads.mean(axis=0)
    centred = {
        part: np.stack([leg[part] - knee for leg, knee in zip(jointed, knees, strict=True)])
        for part in vertices
    }
    return LegAtlas(vertices=centred, faces=faces, features=features)


def _read_part(folder: Path, part: str, num_needed: int) -> tuple[F64, I32]:
    """A part of everybody's right leg: vertices (people, N, 3) and faces (M, 3)."""
    found = sorted(folder.glob(f"*_left_{part}.npz"))
    if len(found) != 1:
        raise OsteoformError(f"{folder}: need one *_left_{part}.npz, found {len(found)}")
    with np.load(found[0], allow_pickle=False) as stored:
        vertices = stored["vertices"] * np.array([-1.0, 1.0, 1.0])
        faces = np.ascontiguousarray(stored["faces"][:, ::-1], dtype=np.int32)
    if len(vertices) < num_needed:
        raise OsteoformError(
            f"{found[0]}: need {num_needed} people, found {len(vertices)}: data/split.toml of the "
            "package says by their index whom training may see"
        )
    return vertices, faces


def _jointed(
    vertices: Mapping[str, F64], features: Mapping[str, FeatureDefinition]
) -> dict[str, F64]:
    """Bones shifted to where their joints are: in the files each is centred by itself."""
    moved = dict(vertices)
    for bone, joint in joints().items():  # parents come first
        parent, own = (_points(features[b], moved[b]) for b in (joint.parent, bone))
        frame = anatomical_frame(joint.parent, parent)
        wanted = frame @ parent_from_child(joint, size_mm(joint.parent, parent))
        moved[bone] = moved[bone] + wanted[:3, 3] - anatomical_frame(bone, own)[:3, 3]
    return moved


def _points(definition: FeatureDefinition, vertices: F64) -> dict[str, F64]:
    return dict(zip(definition.names.points, definition.points(vertices), strict=True))


def sample_leg(atlas: LegAtlas, rng: Generator, *, flexion_rad: float) -> Leg:
    """Draw a leg that nobody has, and bend its knee."""
    return bend_knee(draw_shape(atlas, rng), rng, flexion_rad=flexion_rad)


def draw_shape(atlas: LegAtlas, rng: Generator) -> Leg:
    """Mix three people (beyond the convex hull too), deform smoothly and scale."""
    who = rng.choice(atlas.num_people, 3, replace=atlas.num_people < 3)
    first, share = rng.uniform(0.5, 1.15), rng.uniform(0.0, 1.0)
    weights = np.array([first, (1 - first) * share, (1 - first) * (1 - share)])
    mixed = {part: np.tensordot(weights, v[who], 1) for part, v in atlas.vertices.items()}
    stretch = rng.uniform(*_SCALE) * (1 + rng.uniform(-_STRETCH, _STRETCH, 3))
    field = _SmoothField.draw(rng)
    vertices = {part: (v + field(v)) * stretch for part, v in mixed.items()}
    centers, _ = atlas.features["femur"].ellipsoids(vertices["femur"])
    return Leg(vertices=vertices, femur_centers=centers[:3])


def bend_knee(leg: Leg, rng: Generator, *, flexion_rad: float) -> Leg:
    """Bend the knee, with some play, and let the patella glide part of the way."""
    center, axis = leg.knee_axis
    play = rotation(rng.normal(0.0, np.deg2rad([3.0, 2.0, 6.0])))
    shank = play @ rotation(axis * flexion_rad)
    shift = rng.normal(0.0, [1.5, 2.5, 1.5])
    leg = leg.transformed(("tibia", "fibula"), shank, center, shift)
    glide = rotation(axis * flexion_rad * rng.uniform(0.55, 0.85) + rng.normal(0.0, 0.04, 3))
    leg = leg.transformed(("patella",), glide, center, rng.normal(0.0, 2.0, 3))
    tilt = rotation(rng.normal(0.0, np.deg2rad([15.0, 5.0, 10.0])))
    return leg.transformed((PELVIS,), tilt, leg.head, np.zeros(3))


@dataclass(frozen=True, kw_only=True)
class _SmoothField:
    """A Gaussian random displacement by random Fourier features (Rahimi and Recht 2007)."""

    frequency: F64
    phase: F64
    amplitude: F64

    @staticmethod
    def draw(rng: Generator) -> _SmoothField:
        length_mm, size_mm = rng.uniform(25.0, 90.0), rng.uniform(0.3, 2.0)
        return _SmoothField(
            frequency=rng.normal(0.0, 1.0 / length_mm, (3, _NUM_WAVES)),
            phase=rng.uniform(0.0, 2 * np.pi, _NUM_WAVES),
            amplitude=rng.normal(0.0, size_mm * np.sqrt(2.0 / _NUM_WAVES), (_NUM_WAVES, 3)),
        )

    def __call__(self, points: F64) -> F64:
        moved: F64 = np.cos(points @ self.frequency + self.phase) @ self.amplitude
        return moved


def vertex_normals(vertices: F64, faces: I32) -> F64:
    """Outward unit normals (N, 3), faces weighted by area."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    by_face = np.cross(b - a, c - a)
    normals = np.empty_like(vertices)
    corners, count = faces.ravel(), len(vertices)
    for i in range(3):
        normals[:, i] = np.bincount(corners, np.repeat(by_face[:, i], 3), count)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    return normals


def as_mesh(vertices: F64, faces: I32) -> tuple[F32, I32]:
    """Arrays as the core takes them."""
    return np.ascontiguousarray(vertices, np.float32), faces
