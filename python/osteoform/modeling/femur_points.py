"""Anatomical points of a right femur, found by geometry alone (x medial, y posterior, z up)."""

from __future__ import annotations

import itertools

import numpy as np

from osteoform._errors import InputError
from osteoform.modeling.sections import level_section, plane_sections
from osteoform.modeling.spheres import SpherePatch, center_weights, grow_sphere
from osteoform.modeling.surface import F64, Mask, Surface

_MEDIAL, _POSTERIOR, _UP = np.eye(3)


def femur_points(surface: Surface) -> tuple[dict[str, F64], dict[str, SpherePatch]]:
    """Vertex weights of every feature point, and the spheres of head and condyles."""
    head = _head(surface)
    points = {f"shaft_{p}": level_section(surface, p / 100.0).weights for p in (80, 65, 50, 35, 20)}
    points["femoral_head_center"] = center_weights(surface, head)
    points["greater_trochanter_tip"] = _greater_trochanter(surface, head)
    points["lesser_trochanter_tip"] = _lesser_trochanter(surface, head, points)
    points["neck_center"] = _neck(surface, head, points)
    condyles = _distal_points(surface, points)
    return points, {"femoral_head": head, **condyles}


def _head(surface: Surface) -> SpherePatch:
    top = surface.above(0.85)
    radius = 0.052 * surface.length_mm
    most_medial = surface.at(surface.tip(_MEDIAL, top, "femoral head"))

    def accept(direction: F64) -> Mask:
        return top & (direction @ (_UP + _MEDIAL) > -0.5)

    return grow_sphere(surface, most_medial - radius * _MEDIAL, radius, accept, "femoral head")


def _greater_trochanter(surface: Surface, head: SpherePatch) -> F64:
    lateral = surface.vertices[:, 0] < head.center[0] - 1.5 * head.radius_mm
    return surface.tip(_UP, surface.above(0.8) & lateral, "greater trochanter")


def _lesser_trochanter(surface: Surface, head: SpherePatch, points: dict[str, F64]) -> F64:
    """The bulge of the posteromedial profile over its chord between neck base and shaft."""
    reach = surface.vertices @ (0.6 * _MEDIAL + 0.8 * _POSTERIOR)
    below_head = (head.center[2] - surface.vertices[:, 2]) / surface.length_mm
    middle = surface.at(points["shaft_80"])[0]
    medial = surface.vertices[:, 0] > middle - 0.01 * surface.length_mm
    return profile_bulge(
        surface, reach, medial & (below_head > 0.07) & (below_head < 0.21), "lesser trochanter"
    )


def profile_bulge(surface: Surface, reach_mm: F64, mask: Mask, what: str) -> F64:
    """Weights of the vertex region that stands out most over the chord of a vertical profile.

    The profile is the greatest reach in each of twelve height bins; the chord joins its ends.
    """
    if not mask.any():
        raise InputError(f"no {what} found: is the bone right-sided, whole and z-up?")
    z = surface.vertices[:, 2]
    edges = np.linspace(z[mask].min(), z[mask].max(), 13)
    centers, tops = [], []
    for low, high in itertools.pairwise(edges):
        inside = mask & (z >= low) & (z <= high)
        if inside.any():
            centers.append(0.5 * (low + high))
            tops.append(reach_mm[inside].max())
    slope = (tops[-1] - tops[0]) / max(centers[-1] - centers[0], 1e-9)
    bulge = reach_mm - tops[0] - slope * (z - centers[0])
    return surface.peak(bulge, mask, what, depth_mm=1.0, radius_mm=10.0)


def _neck(surface: Surface, head: SpherePatch, points: dict[str, F64]) -> F64:
    """Centroid of the narrowest section square to the line from the head through the neck."""
    trochanter = surface.at(points["greater_trochanter_tip"])
    shaft = surface.at(points["shaft_80"])
    target = 0.5 * (trochanter + shaft)
    weights = np.zeros(len(surface.vertices))
    for _ in range(4):
        axis = (target - head.center) / np.linalg.norm(target - head.center)
        narrowest = np.inf
        for reach in np.linspace(0.9, 1.7, 17) * head.radius_mm:
            here = head.center + reach * axis
            loop = min(
                plane_sections(surface, here, axis),
                key=lambda s: float(np.linalg.norm(surface.at(s.weights) - here)),
            )
            if loop.area_mm2 < narrowest:
                narrowest, weights = loop.area_mm2, loop.weights
        target = surface.at(weights)
    return weights


def _distal_points(surface: Surface, points: dict[str, F64]) -> dict[str, SpherePatch]:
    distal = surface.below(0.12)
    x = surface.vertices[:, 0]
    middle = 0.5 * (x[distal].min() + x[distal].max())
    halves = {"medial": distal & (x > middle), "lateral": distal & (x <= middle)}
    condyles = {}
    for side, half in halves.items():
        sign = 1.0 if side == "medial" else -1.0
        raised = half & surface.above(0.02)
        points[f"{side}_epicondyle"] = surface.tip(
            sign * _MEDIAL, raised, f"{side} epicondyle", depth_mm=1.5
        )
        points[f"{side}_condyle_distal"] = surface.tip(-_UP, half, f"{side} condyle")
        points[f"{side}_condyle_posterior"] = surface.tip(_POSTERIOR, half, f"{side} condyle")
        patch = _condyle(surface, half, surface.at(points[f"{side}_condyle_posterior"]), side)
        points[f"{side}_condyle_center"] = center_weights(surface, patch)
        condyles[f"{side}_condyle"] = patch
    between = 0.5 * (condyles["medial_condyle"].center + condyles["lateral_condyle"].center)
    ahead = _UP - _POSTERIOR
    outside = between - surface.length_mm * ahead
    points["intercondylar_notch"] = surface.first_hit(outside, ahead, "notch")
    points["trochlea_anterior"] = surface.last_hit(between, -_POSTERIOR, "trochlea")
    return condyles


def _condyle(surface: Surface, half: Mask, posterior: F64, side: str) -> SpherePatch:
    radius = 0.045 * surface.length_mm
    aim = 0.9 * _POSTERIOR - 0.43 * _UP

    def accept(direction: F64) -> Mask:
        return half & (direction @ aim > 0.34)

    return grow_sphere(
        surface, posterior - radius * _POSTERIOR, radius, accept, f"{side} posterior condyle"
    )
