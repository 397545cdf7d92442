"""Clinical measurements of a tibia from its mesh alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from osteoform._types import F64, I32
from osteoform.modeling.features import define_features
from osteoform.modeling.surface import Surface

_STANDING = 12  # rounds of finding the frame: features and frame hang on each other
_PLATEAU_REACH = (0.16, 0.40)  # of the width from the middle: the middle of each plateau
_SLOPE_REACH = 0.28  # of the depth to each side of the plateau's centre
_UNDER_PLATEAU_MM, _OVER_PLAFOND_MM = 10.0, 6.0
_TUBERCLE_BAND = (0.78, 0.94)  # of the length
LEVELS = {"upper": 0.80, "middle": 0.50, "lower": 0.25}  # of the length, from below


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A tibia in its own frame (see `_tibia.py`) and its feature points there."""

    vertices: F64 = field(repr=False)
    faces: I32 = field(repr=False)
    found: dict[str, F64] = field(repr=False)


def stand(vertices: ArrayLike, faces: ArrayLike) -> Standing:
    """Move a right tibia that is roughly upright into its own frame."""
    surface = Surface.of(vertices, faces)
    points = surface.vertices
    for _ in range(_STANDING):
        found = _features(points, surface.faces)
        medial, lateral = found["medial_plateau_center"], found["lateral_plateau_center"]
        origin = found["plafond_center"]
        up = (medial + lateral) / 2 - origin
        up /= np.linalg.norm(up)
        across = medial - lateral
        across -= (across @ up) * up
        across /= np.linalg.norm(across)
        turn = np.stack([across, np.cross(up, across), up])
        points = (points - origin) @ turn.T
        if np.trace(turn) > 3 - 1e-9:
            break
    points = points - np.array([0.0, 0.0, points[:, 2].min()])
    return Standing(vertices=points, faces=surface.faces, found=_features(points, surface.faces))


def _features(points: F64, faces: I32) -> dict[str, F64]:
    features = define_features("tibia", points, faces)
    return dict(zip(features.names.points, features.points(points), strict=True))


def measure_tibia(vertices: ArrayLike, faces: ArrayLike) -> dict[str, float]:
    """Measure a right tibia, wherever it stands.

    Parameters
    ----------
    vertices, faces
        (N, 3) [mm], x about medial, y about posterior, z about proximal; (M, 3), closed, wound
        outward.

    Returns
    -------
    dict
        The parameters of `tibia.toml`, by name: lengths [mm], slopes, tilt and torsion [deg].
    """
    bone = stand(vertices, faces)
    return {**_plateau(bone), **_tubercle(bone), **_shaft(bone), **_ankle(bone)}


def _plateau(bone: Standing) -> dict[str, float]:
    points, found = bone.vertices, bone.found
    medial, lateral = found["medial_plateau_center"], found["lateral_plateau_center"]
    height = (medial[2] + lateral[2]) / 2
    under = cut(points, bone.faces, height - _UNDER_PLATEAU_MM)
    middle, width = (under[:, 0].min() + under[:, 0].max()) / 2, float(np.ptp(under[:, 0]))
    out = {
        "length": float(np.ptp(points[:, 2])),
        "plateau_width": float(np.ptp(points[points[:, 2] > 0.92 * points[:, 2].max(), 0])),
        "plateau_tilt": float(
            np.degrees(np.arctan2(medial[2] - lateral[2], medial[0] - lateral[0]))
        ),
        "spine_height": float(points[:, 2].max() - height),
    }
    surface = Surface.of(points, bone.faces)
    for side, sign in (("medial", 1.0), ("lateral", -1.0)):
        reach = sign * (under[:, 0] - middle) / width
        depth = float(np.ptp(under[(reach > _PLATEAU_REACH[0]) & (reach < _PLATEAU_REACH[1]), 1]))
        out[f"{side}_depth"] = depth
        out[f"{side}_slope"] = _slope_deg(surface, sign, middle, width, depth)
    return out


def _slope_deg(surface: Surface, sign: float, middle: float, width: float, depth: float) -> float:
    """Fall of one plateau towards posterior, from a plane through its middle part."""
    points = surface.vertices
    reach = sign * (points[:, 0] - middle) / width
    on = (surface.normals[:, 2] > 0.5) & (points[:, 2] > 0.9 * surface.high_mm)
    on &= (reach > _PLATEAU_REACH[0]) & (reach < _PLATEAU_REACH[1])
    on &= np.abs(points[:, 1]) < _SLOPE_REACH * depth
    rows = np.column_stack([points[on, :2], np.ones(on.sum())])
    weight = np.sqrt(surface.areas[on])[:, None]
    plane, *_ = np.linalg.lstsq(rows * weight, points[on, 2] * weight[:, 0], rcond=None)
    return float(-np.degrees(np.arctan(plane[1])))


def _tubercle(bone: Standing) -> dict[str, float]:
    """Middle of the bulge in front of a chord of the anterior profile.

    The bulge is too flat for its furthest point to hold still from one mesh to the next.
    """
    found, top = bone.found, float(bone.vertices[:, 2].max())
    heights = top * np.linspace(*_TUBERCLE_BAND, 33)
    front = np.stack([_front(cut(bone.vertices, bone.faces, h)) for h in heights])
    chord = np.linspace(front[0, 1], front[-1, 1], len(front))
    share = np.clip(chord - front[:, 1], 0.0, None) ** 2
    share /= share.sum()
    x, y = share @ front
    plateau = (found["medial_plateau_center"][2] + found["lateral_plateau_center"][2]) / 2
    return {
        "tubercle_drop": float(plateau - share @ heights),
        "tubercle_reach": float(-y),
        "tubercle_offset": float(-x),
    }


def _front(section: F64) -> F64:
    """The anterior end (2,) of a section, softly over its foremost millimetre."""
    share = np.exp(section[:, 1].min() - section[:, 1])
    return np.asarray(share @ section / share.sum())


def _shaft(bone: Standing) -> dict[str, float]:
    out = {}
    for name, fraction in LEVELS.items():
        section = cut(bone.vertices, bone.faces, fraction * float(bone.vertices[:, 2].max()))
        out[f"{name}_width"], out[f"{name}_depth"] = (float(s) for s in np.ptp(section, axis=0))
        if name == "middle":
            center = (section.min(axis=0) + section.max(axis=0)) / 2
            out["medial_bow"], out["anterior_bow"] = float(center[0]), float(-center[1])
    return out


def _ankle(bone: Standing) -> dict[str, float]:
    plafond = float(bone.found["plafond_center"][2])
    malleolus = cut(bone.vertices, bone.faces, plafond / 2)
    middle = (malleolus.min(axis=0) + malleolus.max(axis=0)) / 2
    axis = middle / np.linalg.norm(middle)
    axes = np.array([axis, [-axis[1], axis[0]]])
    section = cut(bone.vertices, bone.faces, plafond + _OVER_PLAFOND_MM) @ axes.T
    return {
        "torsion": float(-np.degrees(np.arctan2(axis[1], axis[0]))),
        "ankle_width": float(np.ptp(section[:, 0])),
        "ankle_depth": float(np.ptp(section[:, 1])),
        "malleolus_length": plafond,
        "malleolus_width": float(np.ptp(malleolus @ axes[1])),
    }


def cut(vertices: F64, faces: I32, height: float) -> F64:
    """Corners (K, 2) of the horizontal section at a height."""
    ends = np.roll(faces, -1, axis=1).ravel()
    a, b = vertices[faces.ravel()], vertices[ends]
    crossed = (a[:, 2] < height) & (b[:, 2] >= height)
    t = (height - a[crossed, 2]) / (b[crossed, 2] - a[crossed, 2])
    return np.asarray(a[crossed, :2] + t[:, None] * (b[crossed, :2] - a[crossed, :2]))
