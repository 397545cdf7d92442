"""Measurements of a fibula from its mesh alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from osteoform._errors import InputError
from osteoform._types import F64, I32
from osteoform.atlas._fields import turn_z
from osteoform.atlas._table import load_table
from osteoform.modeling.surface import Mask, check_mesh

AXIS_LEVELS = (0.1, 0.9)
MALLEOLUS_LEVELS = (0.02, 0.03, 0.04)
HEAD_LEVEL, APEX_LEVEL = 0.965, 0.992
TORSION_LEVEL = 0.62
_STEP, _ENDS = 0.004, 25  # the ends are looked through in steps of the length, this many


@dataclass(frozen=True)
class Bone:
    """Vertices (N, 3) [mm] and faces (M, 3), to be cut level."""

    vertices: F64 = field(repr=False)
    faces: I32 = field(repr=False)

    @property
    def low_mm(self) -> float:
        """Height of the lowest vertex."""
        return float(self.vertices[:, 2].min())

    @property
    def length_mm(self) -> float:
        """Extent along z."""
        return float(np.ptp(self.vertices[:, 2]))

    def turned(self, rotation: F64) -> Bone:
        """The bone with every vertex multiplied by a rotation (3, 3)."""
        return Bone(self.vertices @ rotation.T, self.faces)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A horizontal section: area [mm^2], centroid (2,), covariance (2, 2) [mm^2], outline (S, 2)."""

    area: float
    center: F64 = field(repr=False)
    covariance: F64 = field(repr=False)
    outline: F64 = field(repr=False)

    @property
    def long_axis_deg(self) -> float:
        """Bearing of the longer axis of the section, -90 to 90; see `bearing_deg`."""
        return _long_axis_deg(self.covariance)

    def extent(self, bearing_deg: float) -> float:
        """Size along a direction; see `bearing_deg`."""
        turn = np.radians(bearing_deg)
        return float(np.ptp(self.outline @ np.array([np.sin(turn), np.cos(turn)])))

    def diameters(self) -> tuple[float, float]:
        """Sizes along and across the longer axis."""
        axis = self.long_axis_deg
        return self.extent(axis), self.extent(axis + 90.0)


def measure_fibula(vertices: ArrayLike, faces: ArrayLike) -> dict[str, float]:
    """Measure a right fibula, whichever way it is turned about its length.

    The bone is set upright first: the centroids of its sections at 10 and 90 % of the length stand
    over each other, and the long axis of the malleolus lies as in the mean bone.

    Parameters
    ----------
    vertices, faces
        (N, 3) [mm], x medial, y posterior, z proximal within some 30 degrees; (M, 3), closed,
        wound outward.

    Returns
    -------
    dict
        The parameters of `fibula.toml`, in its units.

    Raises
    ------
    InputError
        An array is wrong, or the bone has no section where one is needed.
    """
    stance = float(load_table("fibula").form["axes"]["bearing_deg"][0])
    bone = upright(Bone(*check_mesh(vertices, faces)), stance)
    middle = {p: cut_at(bone, p / 100.0) for p in (20, 30, 50, 70, 80)}
    low = [cut_at(bone, f) for f in np.arange(_STEP, 0.16, _STEP)]
    high = [cut_at(bone, 1.0 - f) for f in np.arange(_STEP, 0.18, _STEP)]
    foot, head = cut_at(bone, MALLEOLUS_LEVELS[1]), cut_at(bone, HEAD_LEVEL)
    axis = cut_at(bone, AXIS_LEVELS[0]).center
    bow = {p: cut.center - axis for p, cut in middle.items()}
    found = {
        "length": bone.length_mm,
        "malleolus_length": _reach(low, middle[20].area, 0.5) * bone.length_mm,
        "head_height": _reach(high, middle[80].area, 0.5) * bone.length_mm,
        "apex_height": _rise(high, 0.7) * bone.length_mm,
        "malleolus_width": max(c.extent(stance + 90.0) for c in low[:_ENDS]),
        "malleolus_depth": max(c.extent(stance) for c in low[:_ENDS]),
        "head_width": max(c.extent(90.0) for c in high[:_ENDS]),
        "head_depth": max(c.extent(0.0) for c in high[:_ENDS]),
    }
    for name, p in (("distal", 20), ("middle", 50), ("proximal", 80)):
        found[f"{name}_depth"], found[f"{name}_width"] = middle[p].diameters()
    for k, name in enumerate(("medial", "posterior")):
        found[f"{name}_bow"] = float(bow[50][k])
        found[f"{name}_sway"] = float(bow[30][k] - bow[70][k]) / 2.0
        found[f"malleolus_{name}"] = float(foot.center[k] - axis[k])
        found[f"head_{name}"] = float(head.center[k] - axis[k])
    found["shaft_torsion"] = cut_at(bone, TORSION_LEVEL).long_axis_deg
    found["head_torsion"] = bearing_deg(cut_at(bone, APEX_LEVEL).center - head.center)
    return found


def upright(bone: Bone, malleolus_axis_deg: float) -> Bone:
    """The bone on its axis; see `measure_fibula`."""
    for _ in range(4):
        low, high = (_point(bone, f) for f in AXIS_LEVELS)
        z = (high - low) / np.linalg.norm(high - low)
        x = np.cross((0.0, 1.0, 0.0), z)
        x /= np.linalg.norm(x)
        bone = bone.turned(np.stack([x, np.cross(z, x), z]))
        bone = bone.turned(turn_z(np.radians(malleolus_axis(bone) - malleolus_axis_deg)))
    return bone


def malleolus_axis(bone: Bone) -> float:
    """Bearing [deg] of the long axis of the malleolus in horizontal sections."""
    cuts = [cut_at(bone, f) for f in MALLEOLUS_LEVELS]
    return _long_axis_deg(np.asarray(sum(cut.covariance for cut in cuts)))


def _long_axis_deg(covariance: F64) -> float:
    """Bearing of the longer axis, -90 to 90 [deg]."""
    _, axes = np.linalg.eigh(covariance)
    return bearing_deg(axes[:, 1] * np.where(axes[1, 1] < 0.0, -1.0, 1.0))


def bearing_deg(direction: F64) -> float:
    """Turn of a direction from posterior towards medial [deg]."""
    return float(np.degrees(np.arctan2(direction[0], direction[1])))


def _point(bone: Bone, fraction: float) -> F64:
    height = bone.low_mm + fraction * bone.length_mm
    return np.array([*cut_at(bone, fraction).center, height])


def cut_at(bone: Bone, fraction: float) -> Cut:
    """The section at a fraction of the length from the lowest point."""
    height = bone.vertices[:, 2] - bone.low_mm - fraction * bone.length_mm
    start, end = _segments(bone, height)
    if len(start) == 0:
        raise InputError(f"no section at {fraction:.0%} of the length: is the bone whole and z-up?")
    hub = (start.mean(axis=0) + end.mean(axis=0)) / 2.0
    p, q = start - hub, end - hub
    areas = (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]) / 2.0
    area = float(areas.sum())
    mean = (areas / area) @ (p + q) / 3.0
    square = sum(np.einsum("n,ni,nj->ij", areas, v, v) for v in (p, q, p + q)) / (12.0 * area)
    return Cut(
        area=abs(area),
        center=hub + mean,
        covariance=square - np.outer(mean, mean),
        outline=start,
    )


def _segments(bone: Bone, height: F64) -> tuple[F64, F64]:
    """Start and end (S, 2) of the segment in which each crossed face meets the level, in turn."""
    corners, over = bone.faces, (height >= 0.0)[bone.faces]
    crossed = over.any(axis=1) & ~over.all(axis=1)
    corners, over = corners[crossed], over[crossed]
    following = np.roll(over, -1, axis=1)
    rows = np.arange(len(corners))

    def meet(which: Mask) -> F64:
        first = which.argmax(axis=1)
        a, b = corners[rows, first], corners[rows, (first + 1) % 3]
        t = (height[a] / (height[a] - height[b]))[:, None]
        return np.asarray((bone.vertices[a] * (1 - t) + bone.vertices[b] * t)[:, :2])

    return meet(over & ~following), meet(~over & following)


def _reach(cuts: list[Cut], shaft_area: float, share: float) -> float:
    """Where, beyond its greatest, the area has fallen by `share` of its excess over the shaft's."""
    areas = np.array([c.area for c in cuts])
    top = int(areas.argmax())
    level = areas[top] + share * (shaft_area - areas[top])
    below = np.flatnonzero(areas[top:] <= level)
    after = top + (int(below[0]) if len(below) else len(areas) - 1 - top)
    return _between(areas, max(after, 1), level)


def _rise(cuts: list[Cut], share: float) -> float:
    """Where, from the tip, the area first reaches `share` of its greatest."""
    areas = np.array([c.area for c in cuts])
    level = share * areas.max()
    return _between(areas, max(int(np.flatnonzero(areas >= level)[0]), 1), level)


def _between(areas: F64, after: int, level: float) -> float:
    a, b = areas[after - 1], areas[after]
    t = float(np.clip((level - a) / (b - a), 0.0, 1.0)) if a != b else 1.0
    return _STEP * (after + t)
