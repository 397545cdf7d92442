"""Anatomical points of right tibia, fibula and patella (x medial, y posterior, z up)."""

from __future__ import annotations

import numpy as np

from osteoform.modeling.femur_points import profile_bulge
from osteoform.modeling.sections import level_section
from osteoform.modeling.surface import F64, Mask, Surface

_MEDIAL, _POSTERIOR, _UP = np.eye(3)
Found = tuple[dict[str, F64], dict[str, Mask]]


def tibia_points(surface: Surface) -> Found:
    """Vertex weights of every feature point, and the patches of the two plateaus."""
    points = {f"shaft_{p}": level_section(surface, p / 100.0).weights for p in (85, 70, 50, 30, 15)}
    top = surface.above(0.93)
    x = surface.vertices[:, 0]
    left, right = float(x[top].min()), float(x[top].max())
    middle, width = 0.5 * (left + right), right - left
    facing_up = surface.normals[:, 2] > 0.8
    patches = {}
    for side, sign in (("medial", 1.0), ("lateral", -1.0)):
        off_middle = sign * (x - middle) / width
        plateau = top & facing_up & (off_middle > 0.12)
        points[f"{side}_plateau_center"] = surface.patch(plateau, f"{side} plateau")
        points[f"{side}_plateau_rim"] = surface.tip(sign * _MEDIAL, top, f"{side} plateau rim")
        crest = top & (off_middle > 0.03) & (off_middle < 0.2)
        points[f"{side}_spine"] = surface.tip(_UP, crest, f"{side} spine", radius_mm=6.0)
        patches[f"{side}_plateau"] = surface.above(0.955) & (off_middle > 0.08)
    points["tibial_tubercle"] = _tubercle(surface)
    points["posterior_plateau"] = surface.tip(_POSTERIOR, top, "posterior plateau")
    above_ankle = surface.at(level_section(surface, 0.08).weights)
    points["plafond_center"] = surface.last_hit(above_ankle, -_UP, "plafond")
    points["medial_malleolus_tip"] = surface.tip(-_UP, surface.below(0.1), "medial malleolus")
    return points, patches


def _tubercle(surface: Surface) -> F64:
    band = surface.above(0.76) & surface.below(0.95)
    return profile_bulge(surface, -surface.vertices[:, 1], band, "tibial tubercle")


def fibula_points(surface: Surface) -> Found:
    """Vertex weights of every feature point; no ellipsoids."""
    points = {f"shaft_{p}": level_section(surface, p / 100.0).weights for p in (85, 70, 50, 30, 15)}
    points["fibular_head_tip"] = surface.tip(_UP, surface.above(0.9), "fibular head")
    points["lateral_malleolus_tip"] = surface.tip(-_UP, surface.below(0.1), "lateral malleolus")
    return points, {}


def patella_points(surface: Surface) -> Found:
    """Vertex weights of every feature point; the whole surface as one ellipsoid."""
    whole = np.ones(len(surface.vertices), dtype=np.bool_)
    directions = {
        "superior_pole": _UP,
        "inferior_pole": -_UP,
        "medial_edge": _MEDIAL,
        "lateral_edge": -_MEDIAL,
        "anterior_apex": -_POSTERIOR,
    }
    points = {name: surface.tip(d, whole, name) for name, d in directions.items()}
    points["patella_center"] = surface.patch(whole, "patella")
    return points, {"patella": whole}
