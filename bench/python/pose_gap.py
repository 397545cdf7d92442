"""How far a bone is from the true one, as a shift and as turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

import osteoform
from osteoform import Mesh, ShapeModel, XrayView
from osteoform._core import ClosestPointTree, closest_points
from osteoform.modeling.procrustes import apply_rigid, rigid_transform
from osteoform.modeling.register import register_bone
from osteoform.modeling.rigid_fit import align_surface, settle_points
from osteoform.modeling.surface_fit import barycentric
from osteoform.train.legs import LegAtlas
from shown import px_per_mm

LIMIT_MM = 5.0
LIMIT_DEG = 5.0
# Features hardly tell a turn about the long axis of these: it does not decide.
NEARLY_ROUND = ("fibula", "patella")
NUM_POINTS = 800  # of those that settle on the surface
DISC_MM = 1.7  # that 5 degrees move the rim of a patella, 20 mm from its middle
DISC_DEG = 45.0  # a patella turned by less is the right way round

F64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Counterparts:
    """Where each vertex of a model is on the bones of a collection in correspondence.

    corners (N, 3) are vertices of the collection's mesh, shares (N, 3) their weights.
    """

    corners: NDArray[np.int32] = field(repr=False)
    shares: F64 = field(repr=False)

    @staticmethod
    def of(model: ShapeModel, mesh: Mesh) -> Counterparts:
        """Bend the model on to a right bone of the collection, by surfaces alone."""
        bent = register_bone(model, mesh, side="right").vertices
        pose = align_surface(Mesh(vertices=bent.astype(np.float32), faces=model.faces), mesh)
        tree = ClosestPointTree(vertices=mesh.vertices, faces=mesh.faces)
        found, _, face = tree.find(apply_rigid(pose, bent))
        corners = mesh.faces[face]
        shares = barycentric(found, mesh.vertices[corners].astype(np.float64))
        return Counterparts(corners=corners, shares=shares)

    def on(self, vertices: F64) -> F64:
        """The model's vertices (N, 3) on a bone of the collection, in the bone's frame."""
        return np.asarray(np.einsum("nc,ncx->nx", self.shares, vertices[self.corners]))


def counterparts_in(atlas: LegAtlas) -> dict[str, Counterparts]:
    """Those of the shipped models."""
    means = {bone: atlas.vertices[bone].mean(axis=0).astype(np.float32) for bone in atlas.features}
    return {
        bone: Counterparts.of(
            osteoform.load_model(bone=bone), Mesh(vertices=mean, faces=atlas.faces[bone])
        )
        for bone, mean in means.items()
    }


@dataclass(frozen=True, kw_only=True)
class PoseGap:
    """Gap between a bone and the true one, over the vertices that all views show.

    What no view shows tells of the shape's prior, not of the pose: a femur seen at the knee alone
    may have any torsion above it. Vertices say which way round a bone is, surfaces how far it is
    off: a model's vertices may slide along its surface as it bends, a tibia's by 10 degrees about
    its shaft where the surfaces are 0.5 mm apart. A patella is so round that even its surface hardly
    tells its turn: it is also within the limits where the surface lies as near as the limit would
    move its rim, and the right way round.

    Attributes
    ----------
    shift_mm
        How far the middle moves when the true surface is brought on to the one that was found, from
        where vertices meet their counterparts.
    rotation_deg
        Angle of that motion's rotation.
    swing_deg, twist_deg
        Its parts: how far the bone's z axis is tilted, and the turn about that axis.
    position_mm
        Mean distance of the vertices to their counterparts: pose, shape and what slides.
    surface_mm
        Mean distance of the counterparts to the surface that was found: pose and shape.
    """

    bone: str
    shift_mm: float
    rotation_deg: float
    swing_deg: float
    twist_deg: float
    position_mm: float
    surface_mm: float

    @staticmethod
    def of(bone: str, found: Mesh, truth: F64, *, axis: F64, seen: NDArray[np.bool_]) -> PoseGap:
        """Compare a mesh [mm] with the counterparts (N, 3) of its vertices.

        Parameters
        ----------
        axis
            (3,) unit vector: the z axis of the bone that was found.
        seen
            (N,) marks the vertices that all views show.
        """
        vertices, wanted = found.vertices.astype(np.float64)[seen], truth[seen]
        met = rigid_transform(wanted, vertices)
        some = wanted[:: max(1, len(wanted) // NUM_POINTS)]
        motion = settle_points(some, found, start=met)
        turn, middle = motion[:3, :3].T, wanted.mean(axis=0, keepdims=True)
        x, y, z, w = Rotation.from_matrix(turn).as_quat()
        twist = 2.0 * np.arctan2(axis @ [x, y, z], w)
        _, distances, _ = closest_points(points=wanted, vertices=found.vertices, faces=found.faces)
        return PoseGap(
            bone=bone,
            shift_mm=float(np.linalg.norm(apply_rigid(motion, middle) - middle)),
            rotation_deg=float(np.rad2deg(Rotation.from_matrix(turn).magnitude())),
            swing_deg=float(np.rad2deg(np.arccos(np.clip(axis @ turn @ axis, -1.0, 1.0)))),
            twist_deg=float(abs(np.rad2deg((twist + np.pi) % (2.0 * np.pi) - np.pi))),
            position_mm=float(np.linalg.norm(vertices - wanted, axis=1).mean()),
            surface_mm=float(distances.mean()),
        )

    @property
    def turn_deg(self) -> float:
        """The turn that decides: of a nearly round bone the swing alone."""
        return self.swing_deg if self.bone in NEARLY_ROUND else self.rotation_deg

    def within(self, factor: float = 1.0) -> bool:
        """Whether it is within so many times the limits."""
        near = self.shift_mm <= factor * LIMIT_MM
        return near and (self.turn_deg <= factor * LIMIT_DEG or self._lies_well(factor))

    def _lies_well(self, factor: float) -> bool:
        upright = self.bone == "patella" and self.rotation_deg <= DISC_DEG
        return upright and self.surface_mm <= factor * DISC_MM

    @property
    def aligned(self) -> bool:
        """Close enough to count as found."""
        return self.within()


def shown_gap_mm(
    found: Mesh, truth: F64, views: Sequence[XrayView], seen: NDArray[np.bool_]
) -> float:
    """How far a bone is off in the image that shows it worst, as mm at the bone.

    Mean distance of the images of the vertices that all views show (`seen`, (N,)) from those of
    their counterparts (N, 3).
    """
    vertices, wanted = found.vertices.astype(np.float64)[seen], truth[seen]
    middle, gaps = wanted.mean(axis=0), []
    for view in views:
        off = view.geometry.project(vertices) - view.geometry.project(wanted)
        gaps.append(np.linalg.norm(off, axis=1).mean() / px_per_mm(view, middle))
    return float(max(gaps))
