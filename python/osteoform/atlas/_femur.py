"""The parametric femur: named anatomical parameters to an implicit solid.

Frame: right femur, x medial, y posterior, z proximal [mm]; x = y = 0 under the middle of the
epicondyles on the mechanical axis, z = 0 at the distal condyles.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from osteoform._types import F64
from osteoform.atlas import _fields as fields
from osteoform.atlas._proportions import Proportions

PARTS = ("shaft", "head", "neck", "lesser", "medial", "lateral", "bridge")


def _step(low: float, high: float, at: F64) -> F64:
    t = np.clip((at - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))


@dataclass(frozen=True)
class Femur(Proportions):
    """One femur: parameter `values` on the fixed `form`, relative to the table's `mean` values."""

    # -- shaft and greater trochanter: one swept table -----------------------------------------

    @cached_property
    def levels(self) -> F64:
        """Heights of the table's sections in this bone [mm]."""
        return self.height(self.form["shaft"]["height_mm"])

    @cached_property
    def _station_parts(self) -> tuple[F64, F64, F64]:
        """How much of each section belongs to knee end, trochanters, version turn."""
        s = self.form["shaft"]["height_mm"] / self.mean["length"]
        return 1 - _step(0.06, 0.30, s), _step(0.74, 0.88, s), _step(0.45, 0.85, s)

    @cached_property
    def centers(self) -> F64:
        """Section centres (S, 2) in x, y [mm]."""
        shaft = self.form["shaft"]
        s = shaft["height_mm"] / self.mean["length"]
        knee, hip, _ = self._station_parts
        arch = 4 * s * (1 - s)
        x = shaft["center_x_mm"] * (
            knee * self.ratio("bicondylar_width") + (1 - knee) * self.ratio("neck_offset")
        )
        x = x - (self.levels * np.tan(np.radians(self.change("valgus_angle"))))
        x = x - arch * self.change("lateral_bow")
        y = shaft["center_y_mm"] * (knee * self.ratio("lateral_depth") + 1 - knee)
        y = y - arch * self.change("anterior_bow")
        centers = np.stack([x, y], axis=1)
        axis = self._axis_at(centers, self.levels)
        turned = (centers - axis) @ fields.turn_z(-self.proximal_turn)[:2, :2].T
        above = hip[:, None]
        size = self.ratio("head_radius")
        return np.asarray(centers + above * (axis + turned * size - centers))

    def _axis_of(self, centers: F64) -> tuple[F64, F64]:
        """Proximal shaft axis: its point at the upper axis height (3,) and its direction (3,)."""
        heights = self.height(self.form["shaft"]["axis_height_mm"])
        low, high = fields.along(self.levels, centers, heights)
        point = np.array([*high, heights[1]])
        direction = point - np.array([*low, heights[0]])
        return point, direction / np.linalg.norm(direction)

    def _axis_at(self, centers: F64, heights: F64) -> F64:
        """Proximal shaft axis (S, 2) at the given heights."""
        point, direction = self._axis_of(centers)
        return np.asarray(
            point[:2] + ((heights - point[2]) / direction[2])[:, None] * direction[:2]
        )

    @cached_property
    def proximal_turn(self) -> float:
        """Turn of the trochanters against the mean bone, from version [rad], head forward > 0."""
        return float(np.radians(self.change("anteversion") + self.change("trochanter_turn")))

    @cached_property
    def station_scale(self) -> F64:
        """Section scales (S, 2): across, front to back."""
        knee, hip, _ = self._station_parts
        mid = 1 - knee - hip
        size = self.ratio("head_radius")
        across = (
            knee * np.log(self.ratio("bicondylar_width") * self.ratio("distal_flare"))
            + mid * np.log(self.ratio("shaft_width"))
            + hip * np.log(size * self.ratio("trochanteric_width"))
        )
        depth = (
            knee * np.log(self.ratio("lateral_depth"))
            + mid * np.log(self.ratio("shaft_depth"))
            + hip * np.log(size * self.ratio("trochanteric_depth"))
        )
        return np.asarray(np.exp(np.stack([across, depth], axis=1)))

    @cached_property
    def station_turn(self) -> F64:
        """Section turns (S,) about z [rad]."""
        return np.asarray(-self._station_parts[2] * self.proximal_turn)

    @cached_property
    def _stations(self) -> F64:
        half = self.form["shaft"]["half_width_mm"]
        return np.concatenate(
            [self.centers, self.station_scale, self.station_turn[:, None], half], axis=1
        )

    def sections(self, heights: F64) -> F64:
        """Centre x, y, scale across and in depth, turn, half-widths (N, 5 + D) at heights (N,)."""
        return fields.along(self.levels, self._stations, heights)

    def section_coordinates(self, points: F64) -> tuple[F64, F64]:
        """Points in their section's own axes (N, 2) and the section rows (N, 5 + D)."""
        rows = self.sections(points[:, 2])
        offset = points[:, :2] - rows[:, :2]
        c, s = np.cos(rows[:, 4]), np.sin(rows[:, 4])
        local = np.stack(
            [c * offset[:, 0] + s * offset[:, 1], -s * offset[:, 0] + c * offset[:, 1]], axis=1
        )
        return local / rows[:, 2:4], rows

    def _swept(self, points: F64) -> F64:
        local, rows = self.section_coordinates(points)
        half = rows[:, 5:]
        angle = np.arctan2(local[:, 1], local[:, 0])
        radius = np.einsum("nd,nd->n", fields.compass(angle, half.shape[1]), half)
        side = fields.bore(np.linalg.norm(local, axis=1), np.maximum(radius, 1.0))
        side = side * rows[:, 2:4].min(axis=1)
        shaft = self.form["shaft"]
        top = points[:, 2] - self.levels[-1] - shaft["top_mm"]
        bottom = self.levels[0] - points[:, 2]
        side = fields.smooth_cut(side, -top, float(shaft["top_round_mm"]))
        return fields.smooth_cut(side, -bottom, float(shaft["top_round_mm"]))

    # -- head and neck --------------------------------------------------------------------------

    @cached_property
    def _neck_frame(self) -> tuple[F64, F64]:
        """Foot of the neck on the shaft axis and head centre (3,) [mm].

        The head centre is the set offset from the axis, the neck leaves it at the set angle, and
        its direction seen from above is the set version forward of x.
        """
        point, shaft = self._axis_of(self.centers)
        version, rise = np.radians(self.neck_setting("anteversion")), np.tan(self.neck_slope)
        turn = version
        for _ in range(6):
            across = np.array([np.cos(turn), -np.sin(turn), 0.0])
            across = across - (across @ shaft) * shaft
            reach = across / np.linalg.norm(across) + rise * shaft
            turn += version - np.arctan2(-reach[1], reach[0])
        reach = reach * self.neck_setting("neck_offset")
        top = self.values["length"] - self.values["head_radius"]
        foot = point + (top - reach[2] - point[2]) / shaft[2] * shaft
        return foot, foot + reach

    @property
    def neck_foot(self) -> F64:
        """Where the neck axis meets the shaft axis (3,) [mm]."""
        return self._neck_frame[0]

    @property
    def head_center(self) -> F64:
        """Head centre (3,) [mm]."""
        return self._neck_frame[1]

    @cached_property
    def neck_axes(self) -> F64:
        """Columns: along the neck, towards superior, towards posterior."""
        first = self.head_center - self.neck_foot
        first = first / np.linalg.norm(first)
        third = np.cross(np.array([0, 0, 1.0]), first)
        third = third / np.linalg.norm(third)
        return np.stack([first, np.cross(first, third), third], axis=1)

    @property
    def neck_scale(self) -> tuple[float, float]:
        """Scale of the neck's height and depth; a larger head has a stouter neck."""
        size = self.ratio("head_radius")
        return size * self.ratio("neck_height"), size * self.ratio("neck_depth")

    def _neck(self, points: F64) -> F64:
        neck = self.form["neck"]
        length = np.linalg.norm(self.head_center - self.neck_foot)
        q = (points - self.neck_foot) @ self.neck_axes
        t = np.clip(q[:, 0] / length, 0.0, 1.0)
        rows = fields.along(neck["station"], neck["half_width_mm"], t)
        across, through = self.neck_scale
        u, v = q[:, 1] / across, q[:, 2] / through
        radius = np.einsum("nd,nd->n", fields.compass(np.arctan2(v, u), rows.shape[1]), rows)
        side = fields.bore(np.hypot(u, v), np.maximum(radius, 1.0))
        beyond = np.abs(q[:, 0] - length / 2) - length / 2
        return fields.smooth_cut(side, -beyond, 8.0)

    # -- trochanters ----------------------------------------------------------------------------

    @cached_property
    def _mean_femur(self) -> Femur:
        return self if self.values is self.mean else Femur(self.mean, self.mean, self.form)

    def hip_point(self, mean_point: F64) -> F64:
        """Carry a point of the mean bone's trochanteric block into this bone."""
        foot = self._mean_femur.neck_foot
        offset = fields.turn_z(-self.proximal_turn) @ np.array([*(mean_point - foot)[:2], 0.0])
        scale = self.ratio("head_radius")
        at = self.neck_foot + scale * offset
        return np.array([at[0], at[1], float(self.height(float(mean_point[2])))])

    @cached_property
    def lesser_center(self) -> F64:
        """Centre of the lesser trochanter (3,) [mm]."""
        return self.hip_point(self.form["lesser"]["center_mm"])

    @cached_property
    def lesser_axes(self) -> F64:
        """Axes of the lesser trochanter, as columns."""
        tilt = np.radians(self.form["lesser"]["turn_deg"])
        turn = fields.turn_z(float(tilt[0]) - self.proximal_turn) @ fields.turn_y(float(tilt[1]))
        return np.asarray(turn @ fields.turn_x(float(tilt[2])))

    def _lesser(self, points: F64) -> F64:
        radii = self.form["lesser"]["radii_mm"] * self.ratio("head_radius")
        radii = radii * np.array([self.ratio("lesser_prominence"), 1, 1])
        return fields.ellipsoid(points, self.lesser_center, radii, self.lesser_axes)

    def _crest(self, points: F64) -> F64:
        crest = self.form["crest"]
        a, b = self.hip_point(crest["upper_mm"]), self.hip_point(crest["lower_mm"])
        size = self.ratio("head_radius")
        return fields.capsule(points, a, b, *(float(r) * size for r in crest["radius_mm"]))

    def _fossa(self, points: F64) -> F64:
        fossa = self.form["fossa"]
        turn = fields.turn_z(-self.proximal_turn)
        tilt = np.radians(fossa["turn_deg"])
        axes = turn @ fields.turn_z(float(tilt[0])) @ fields.turn_y(float(tilt[1]))
        radii = fossa["radii_mm"] * self.ratio("head_radius")
        return fields.ellipsoid(points, self.hip_point(fossa["center_mm"]), radii, axes)

    # -- knee end -------------------------------------------------------------------------------

    def knee_point(self, mean_point: F64) -> F64:
        """Carry a point of the mean bone's knee end into this bone."""
        scale = np.array(
            [self.ratio("bicondylar_width"), self.ratio("lateral_depth"), self.distal_scale]
        )
        return np.asarray(mean_point * scale)

    def knee_scale(self, part: str) -> F64:
        """Scale (3,) of a knee part along its own axes: width, depth, height."""
        if part == "bridge":
            return np.array(
                [self.ratio("bicondylar_width"), self.ratio("lateral_depth"), self.distal_scale]
            )
        width = self.ratio("bicondylar_width") * self.ratio(f"{part}_condyle_width")
        depth = self.ratio(f"{part}_depth")
        return np.array([width, depth, np.sqrt(depth * self.distal_scale)])

    def knee_axes(self, part: str) -> F64:
        """Axes of a knee part, as columns (x = axle)."""
        tilt = np.radians(self.form[part]["turn_deg"])
        return np.asarray(fields.turn_z(float(tilt[0])) @ fields.turn_y(float(tilt[1])))

    def knee_center(self, part: str) -> F64:
        """Centre of a knee part (3,) [mm]."""
        center = self.knee_point(self.form[part]["center_mm"])
        if part == "lateral":
            center = center + np.array([0, 0, self.change("lateral_rise")])
        return center

    def _knee_part(self, points: F64, part: str) -> F64:
        table = self.form[part]
        scale = self.knee_scale(part)
        q = ((points - self.knee_center(part)) @ self.knee_axes(part)) / scale
        radii = table["radius_mm"]
        if part == "bridge":
            angle = 2 * np.pi * np.arange(len(radii)) / len(radii)
            front = np.maximum(0.0, -np.cos(angle)) ** 2
            radii = radii - self.change("trochlear_depth") * front
        inner, outer = (float(w) for w in table["half_width_mm"])
        slope = 1 + float(table["cone_per_mm"]) * np.clip(q[:, 0], -25, 25)
        q = np.stack([q[:, 0], q[:, 1] / slope, q[:, 2] / slope], axis=1)
        return fields.disc(q, radii, inner, outer, float(table["power"])) * float(scale.min())

    def _epicondyle(self, points: F64, side: str) -> F64:
        table = self.form[f"{side}_epicondyle"]
        center = self.knee_point(table["center_mm"])
        radii = self.knee_point(table["radii_mm"])
        radii = radii + np.array([self.change(f"{side}_epicondyle_prominence"), 0, 0])
        return fields.ellipsoid(points, center, radii, np.eye(3))

    # -- the whole ------------------------------------------------------------------------------

    def parts(self, points: F64) -> dict[str, F64]:
        """Fields of the parts that carry the template."""
        out = {"shaft": self._swept(points), "neck": self._neck(points)}
        out["head"] = fields.sphere(points, self.head_center, self.values["head_radius"])
        out["lesser"] = self._lesser(points)
        for part in ("medial", "lateral", "bridge"):
            out[part] = self._knee_part(points, part)
        return out

    def field(self, points: F64) -> F64:
        """Signed field (N,) of the whole femur at (N, 3) points, negative inside [mm]."""
        blend = {k: float(v) for k, v in self.form["blend"].items()}
        out = self.parts(points)
        hip = fields.smooth_union(out["neck"], out["head"], blend["head_mm"])
        body = fields.smooth_union(out["shaft"], hip, blend["neck_mm"])
        body = fields.smooth_union(body, self._crest(points), blend["crest_mm"])
        body = fields.smooth_cut(body, self._fossa(points), blend["fossa_mm"])
        body = fields.smooth_union(body, out["lesser"], blend["lesser_mm"])
        knee = fields.smooth_union(out["medial"], out["bridge"], blend["bridge_mm"])
        knee = fields.smooth_union(knee, out["lateral"], blend["bridge_mm"])
        for side in ("medial", "lateral"):
            knee = fields.smooth_union(knee, self._epicondyle(points, side), blend["epicondyle_mm"])
        return fields.smooth_union(body, knee, blend["knee_mm"])

    def slope(self, points: F64, *, step_mm: float = 0.05) -> tuple[F64, F64]:
        """Gradient (N, 3) and value (N,) of the field, by forward differences."""
        value = self.field(points)
        steps = step_mm * np.eye(3)
        moved = [(self.field(points + e) - value) / step_mm for e in steps]
        return np.stack(moved, axis=1), value
