"""How far a bone is from the true one, vertex by vertex: as a shift and as turns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

import osteoform
from osteoform import Mesh, ShapeModel
from osteoform._core import ClosestPointTree
from osteoform.modeling.procrustes import apply_rigid, rigid_transform
from osteoform.modeling.register import register_bone
from osteoform.modeling.rigid_fit import align_surface
from osteoform.modeling.surface_fit import barycentric
from osteoform.train.legs import LegAtlas

LIMIT_MM = 5.0
LIMIT_DEG = 5.0
# Features hardly tell a turn about the long axis of these: it does not decide.
NEARLY_ROUND = ("fibula", "patella")

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
    """Gap between a bone and the true one.

    Attributes
    ----------
    position_mm
        Mean distance of the vertices that all views show to their counterparts.
    rotation_deg
        Angle of the rotation that brings all vertices closest to their counterparts.
    swing_deg, twist_deg
        Its parts: how far the bone's z axis is tilted, and the turn about that axis.
    """

    bone: str
    position_mm: float
    rotation_deg: float
    swing_deg: float
    twist_deg: float

    @staticmethod
    def of(bone: str, found: F64, truth: F64, *, axis: F64, seen: NDArray[np.bool_]) -> PoseGap:
        """Compare vertices (N, 3) [mm].

        Parameters
        ----------
        axis
            (3,) unit vector: the z axis of the bone that was found.
        seen
            (N,) marks the vertices that all views show.
        """
        turn = rigid_transform(found, truth)[:3, :3]
        x, y, z, w = Rotation.from_matrix(turn).as_quat()
        twist = 2.0 * np.arctan2(axis @ [x, y, z], w)
        return PoseGap(
            bone=bone,
            position_mm=float(np.linalg.norm(found - truth, axis=1)[seen].mean()),
            rotation_deg=float(np.rad2deg(Rotation.from_matrix(turn).magnitude())),
            swing_deg=float(np.rad2deg(np.arccos(np.clip(axis @ turn @ axis, -1.0, 1.0)))),
            twist_deg=float(abs(np.rad2deg((twist + np.pi) % (2.0 * np.pi) - np.pi))),
        )

    def within(self, limit_mm: float, limit_deg: float) -> bool:
        """Whether the shift and the turn, of a nearly round bone the swing alone, are so small."""
        turn = self.swing_deg if self.bone in NEARLY_ROUND else self.rotation_deg
        return self.position_mm <= limit_mm and turn <= limit_deg

    @property
    def aligned(self) -> bool:
        """Close enough to count as found."""
        return self.within(LIMIT_MM, LIMIT_DEG)
