"""Random views of a leg: where the beam comes from, what it aims at, cone or slot."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from osteoform import _core
from osteoform._types import F64
from osteoform.train.legs import Leg, LegAtlas
from osteoform.train.rays import View

_JITTER = {
    "knee": 0.13,
    "hip": 0.12,
    "ankle": 0.12,
    "femur": 0.04,
    "shank": 0.04,
    "leg": 0.03,
    "patella": 0.1,
}


def sample_view(
    atlas: LegAtlas,
    leg: Leg,
    rng: Generator,
    *,
    site: str,
    mm_per_px: float,
    shape: tuple[int, int],
    margin_px: int = 0,
    azimuth_rad: float | None = None,
) -> tuple[View, float]:
    """Draw a view of a body part, and tell the beam's azimuth [rad].

    Parameters
    ----------
    mm_per_px
        At the part.
    shape, margin_px
        Rows and columns of the image, and what the canvas has more of all round.
    azimuth_rad
        From the leg's medial to its anterior axis; None draws one.
    """
    center, up, medial = _aim(atlas, leg, rng, site)
    azimuth = _sample_azimuth(rng) if azimuth_rad is None else azimuth_rad
    rotation = _orientation(rng, up, medial, azimuth)
    distance = rng.uniform(700.0, 1500.0) * (1.8 if site == "leg" else 1.0)
    middle = np.array([shape[1] - 1, shape[0] - 1]) / 2 + margin_px
    aim_px = middle + rng.normal(0.0, _JITTER[site], 2) * min(shape)
    principal = middle + rng.normal(0.0, 20.0, 2)
    offset = (aim_px - principal) * mm_per_px
    view_from_world = np.eye(4)
    view_from_world[:3, :3] = rotation
    view_from_world[:3, 3] = np.array([*offset, distance]) - rotation @ center
    focal = distance / mm_per_px
    if site in ("leg", "femur", "shank") and rng.uniform() < 0.25:
        slot = _core.SlotView(
            focal_px=focal,
            principal_u_px=principal[0],
            row_pitch_mm=mm_per_px,
            first_row_mm=-principal[1] * mm_per_px,
            view_from_world=view_from_world,
        )
        return slot, azimuth
    K = np.array([[focal, 0.0, principal[0]], [0.0, focal, principal[1]], [0.0, 0.0, 1.0]])
    return _core.ConeView(K=K, view_from_world=view_from_world), azimuth


def _aim(atlas: LegAtlas, leg: Leg, rng: Generator, site: str) -> tuple[F64, F64, F64]:
    """Where to look: a point, the direction that shall be up, and the knee's medial axis."""
    knee, medial = leg.knee_axis
    head = leg.head
    ankle = atlas.features["tibia"].points(leg.vertices["tibia"])[-2]
    thigh, shank = head - knee, knee - ankle
    share = {"femur": 0.0, "hip": 0.0, "ankle": 1.0, "shank": 1.0, "leg": 0.5}.get(
        site, rng.uniform()
    )
    up = (1 - share) * thigh / np.linalg.norm(thigh) + share * shank / np.linalg.norm(shank)
    center = {
        "knee": knee,
        "femur": 0.5 * (knee + head),
        "hip": head,
        "ankle": ankle,
        "shank": 0.5 * (knee + ankle),
        "leg": 0.5 * (head + ankle),
        "patella": leg.vertices["patella"].mean(axis=0),
    }[site]
    return center, up / np.linalg.norm(up), medial


def _sample_azimuth(rng: Generator) -> float:
    """From any side [rad], half of them about from the front, the back or a side."""
    azimuth = float(rng.uniform(0.0, 2 * np.pi))
    if rng.uniform() < 0.5:
        azimuth = float(rng.integers(4) * np.pi / 2 + rng.normal(0.0, 0.2))
    return azimuth


def _orientation(rng: Generator, up: F64, medial: F64, azimuth: float) -> F64:
    """Rotation view_from_world of a beam from one side of the leg, tilted and rolled a little."""
    side = medial - up * (medial @ up)
    side /= np.linalg.norm(side)
    front = np.cross(side, up)
    tilt = np.clip(rng.normal(0.0, 0.17), -0.45, 0.45)
    beam = np.cos(tilt) * (np.cos(azimuth) * side + np.sin(azimuth) * front) + np.sin(tilt) * up
    down = -(up - beam * (up @ beam))
    down /= np.linalg.norm(down)
    right = np.cross(down, beam)
    roll = np.clip(rng.normal(0.0, 0.22), -0.6, 0.6)
    c, s = np.cos(roll), np.sin(roll)
    return np.stack([c * right + s * down, c * down - s * right, beam])
