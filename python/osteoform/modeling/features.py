"""Anatomical feature points and feature ellipsoids of the leg bones.

`FEATURES` fixes names and order for models, simulated truth and detector channels.
`define_features` finds them once, on a right, z-up bone, `standing_features` on one whose axes are
not quite a leg's; the definition then holds for every mesh in correspondence with that bone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from osteoform._errors import InputError
from osteoform._leg import anatomical_frame, standing_turns
from osteoform.modeling.femur_points import femur_points
from osteoform.modeling.leg_points import fibula_points, patella_points, tibia_points
from osteoform.modeling.spheres import fit_sphere
from osteoform.modeling.surface import F64, Surface

I64 = NDArray[np.int64]

_MAX_TURNS = 8
_STILL_DEG = 0.3


@dataclass(frozen=True, kw_only=True)
class BoneFeatures:
    """The features of one bone, in their fixed order; axes are (name, from point, to point)."""

    points: tuple[str, ...]
    ellipsoids: tuple[str, ...]
    axes: tuple[tuple[str, str, str], ...]

    def axis_indices(self) -> tuple[tuple[str, int, int], ...]:
        """The axes with the indices of their points."""
        return tuple((n, self.points.index(a), self.points.index(b)) for n, a, b in self.axes)


FEATURES: dict[str, BoneFeatures] = {
    "femur": BoneFeatures(
        points=(
            "femoral_head_center",
            "greater_trochanter_tip",
            "lesser_trochanter_tip",
            "neck_center",
            "shaft_80",
            "shaft_65",
            "shaft_50",
            "shaft_35",
            "shaft_20",
            "medial_epicondyle",
            "lateral_epicondyle",
            "medial_condyle_center",
            "lateral_condyle_center",
            "medial_condyle_distal",
            "lateral_condyle_distal",
            "medial_condyle_posterior",
            "lateral_condyle_posterior",
            "intercondylar_notch",
            "trochlea_anterior",
        ),
        ellipsoids=("femoral_head", "medial_condyle", "lateral_condyle"),
        axes=(
            ("mechanical", "intercondylar_notch", "femoral_head_center"),
            ("neck", "neck_center", "femoral_head_center"),
            ("shaft", "shaft_20", "shaft_80"),
            ("epicondylar", "lateral_epicondyle", "medial_epicondyle"),
            ("posterior_condylar", "lateral_condyle_posterior", "medial_condyle_posterior"),
            ("condyle_centers", "lateral_condyle_center", "medial_condyle_center"),
        ),
    ),
    "tibia": BoneFeatures(
        points=(
            "medial_plateau_center",
            "lateral_plateau_center",
            "medial_plateau_rim",
            "lateral_plateau_rim",
            "medial_spine",
            "lateral_spine",
            "tibial_tubercle",
            "posterior_plateau",
            "shaft_85",
            "shaft_70",
            "shaft_50",
            "shaft_30",
            "shaft_15",
            "plafond_center",
            "medial_malleolus_tip",
        ),
        ellipsoids=("medial_plateau", "lateral_plateau"),
        axes=(
            ("shaft", "shaft_15", "shaft_85"),
            ("plateau", "lateral_plateau_center", "medial_plateau_center"),
            ("plateau_width", "lateral_plateau_rim", "medial_plateau_rim"),
        ),
    ),
    "fibula": BoneFeatures(
        points=(
            "fibular_head_tip",
            "shaft_85",
            "shaft_70",
            "shaft_50",
            "shaft_30",
            "shaft_15",
            "lateral_malleolus_tip",
        ),
        ellipsoids=(),
        axes=(("length", "lateral_malleolus_tip", "fibular_head_tip"),),
    ),
    "patella": BoneFeatures(
        points=(
            "patella_center",
            "superior_pole",
            "inferior_pole",
            "medial_edge",
            "lateral_edge",
            "anterior_apex",
        ),
        ellipsoids=("patella",),
        axes=(
            ("height", "inferior_pole", "superior_pole"),
            ("width", "lateral_edge", "medial_edge"),
        ),
    ),
}


@dataclass(frozen=True, kw_only=True)
class EllipsoidPatch:
    """The vertices (n,) of one feature ellipsoid, their area weights (n,), and how it is fitted.

    A `sphere` is fitted to the vertices; an `ellipsoid` has three times their covariance as the
    matrix of its squared semi-axes, which is exact for points spread evenly over a sphere.
    """

    kind: Literal["sphere", "ellipsoid"]
    vertex_ids: I64 = field(repr=False)
    weights: F64 = field(repr=False)

    def fit(self, vertices: F64) -> tuple[F64, F64]:
        """Centre (3,) [mm] and matrix of squared semi-axes (3, 3) [mm^2]."""
        points = vertices[self.vertex_ids]
        if self.kind == "sphere":
            center, radius = fit_sphere(points, self.weights)
            return center, radius**2 * np.eye(3)
        share = self.weights / self.weights.sum()
        center = share @ points
        offset = points - center
        return center, 3.0 * offset.T @ (offset * share[:, None])


@dataclass(frozen=True, kw_only=True)
class FeatureDefinition:
    """Where the features of one bone lie on every mesh in correspondence.

    Attributes
    ----------
    point_weights
        (F, N) vertex weights; each row sums to 1.
    patches
        One per ellipsoid.
    """

    bone: str
    point_weights: F64 = field(repr=False)
    patches: tuple[EllipsoidPatch, ...] = field(repr=False)

    @property
    def names(self) -> BoneFeatures:
        """The features' names, in order."""
        return FEATURES[self.bone]

    def points(self, vertices: ArrayLike) -> F64:
        """Feature points (F, 3) [mm] of vertices (N, 3), in the frame of the vertices."""
        return np.asarray(self.point_weights @ self._check(vertices), dtype=np.float64)

    def ellipsoids(self, vertices: ArrayLike) -> tuple[F64, F64]:
        """Centres (E, 3) [mm] and matrices of squared semi-axes (E, 3, 3) [mm^2]."""
        checked = self._check(vertices)
        fitted = [patch.fit(checked) for patch in self.patches]
        if not fitted:
            return np.zeros((0, 3)), np.zeros((0, 3, 3))
        return np.stack([c for c, _ in fitted]), np.stack([s for _, s in fitted])

    def _check(self, vertices: ArrayLike) -> F64:
        checked = np.asarray(vertices, dtype=np.float64)
        expected = (self.point_weights.shape[1], 3)
        if checked.shape != expected:
            raise InputError(f"vertices must have the shape {expected}, got {checked.shape}")
        return checked


def define_features(bone: str, vertices: ArrayLike, faces: ArrayLike) -> FeatureDefinition:
    """Find the features of a right, z-up bone by its geometry alone.

    Parameters
    ----------
    bone
        "femur", "tibia", "fibula" or "patella".
    vertices, faces
        (N, 3) [mm], x medial, y posterior, z proximal, anywhere; (M, 3), closed, wound outward.

    Returns
    -------
    FeatureDefinition
        Weights and patches for any mesh in correspondence.

    Raises
    ------
    InputError
        The bone is unknown, an array is wrong, or a feature cannot be found.
    """
    if bone not in FEATURES:
        raise InputError(f"bone must be one of {', '.join(FEATURES)}, got {bone!r}")
    surface = Surface.of(vertices, faces)
    names = FEATURES[bone]
    if bone == "femur":
        points, spheres = femur_points(surface)
        masks = {name: patch.mask for name, patch in spheres.items()}
        kind: Literal["sphere", "ellipsoid"] = "sphere"
    else:
        find = {"tibia": tibia_points, "fibula": fibula_points, "patella": patella_points}[bone]
        points, masks = find(surface)
        kind = "ellipsoid"
    patches = tuple(
        EllipsoidPatch(
            kind=kind,
            vertex_ids=np.flatnonzero(masks[name]),
            weights=surface.areas[masks[name]],
        )
        for name in names.ellipsoids
    )
    weights = np.stack([points[name] for name in names.points])
    return FeatureDefinition(bone=bone, point_weights=weights, patches=patches)


def standing_features(bone: str, vertices: ArrayLike, faces: ArrayLike) -> FeatureDefinition:
    """Find the features of a right bone whose axes are some 30 degrees or less off a leg's.

    Tips and edges are where a bone reaches furthest along an axis: a bone that is turned has
    others. Femur and tibia are turned as in a leg that stands, which the detector learned from;
    the anatomical frame that tells how far is made of features, so this is repeated.

    Parameters and what is returned and raised are those of `define_features`.
    """
    definition = define_features(bone, vertices, faces)
    if bone not in standing_turns():
        return definition
    turned = np.asarray(vertices, dtype=np.float64)
    for _ in range(_MAX_TURNS):
        points = dict(zip(definition.names.points, definition.points(turned), strict=True))
        step = standing_turns()[bone] @ anatomical_frame(bone, points)[:3, :3].T
        if np.trace(step) > 1.0 + 2.0 * np.cos(np.deg2rad(_STILL_DEG)):
            break
        turned = turned @ step.T
        definition = define_features(bone, turned, faces)
    return definition
