"""Bones beside the truth, counted: how many are right, and whether the others are doubted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from pose_gap import PoseGap
from shown import Shown

MEASURES = ("shift_mm", "rotation_deg", "swing_deg", "twist_deg", "position_mm", "surface_mm")
GOOD_BOX = 0.85  # intersection over union
SAME_DIRECTION_DEG = 22.5  # half of the way between AP and oblique
OUTLINE_BINS = (0.0, 0.3, 0.7, 1.0)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A bone in one study beside the truth.

    Attributes
    ----------
    doubted
        The answer says not to believe it.
    outline
        Share of the true outline that shows as an edge, in the image where that is least; of a bone
        that was reconstructed, None of others.
    shown
        Per view, of a bone that was reconstructed.
    """

    study: int
    site: str
    gap: PoseGap
    doubted: bool
    outline: float | None = None
    shown: tuple[Shown, ...] = field(default=(), repr=False)

    def plain(self) -> dict[str, Any]:
        """What is written of it alone."""
        return {k: v for k, v in asdict(self).items() if k != "shown"}


def summarise(answers: Sequence[Answer]) -> dict[str, Any]:
    """Per bone and in all: counts, shares and the middle of the gaps."""
    bones = dict.fromkeys(answer.gap.bone for answer in answers)
    by_bone = {bone: [a for a in answers if a.gap.bone == bone] for bone in sorted(bones)}
    return {name: _summary(group) for name, group in {**by_bone, "all": answers}.items()}


def by_outline(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """The shares of bones that were reconstructed whose outline shows little, some and most."""
    known = [a for a in answers if a.outline is not None]
    bins = np.digitize([a.outline for a in known], OUTLINE_BINS[1:-1])
    return [
        {
            "outline_from": low,
            "to": high,
            **_shares([a for a, of in zip(known, bins, strict=True) if of == index]),
        }
        for index, (low, high) in enumerate(pairwise(OUTLINE_BINS))
    ]


def _summary(answers: Sequence[Answer]) -> dict[str, Any]:
    medians = {
        f"median_{name}": float(np.median([getattr(a.gap, name) for a in answers]))
        for name in MEASURES
        if answers
    }
    told = [a for a in answers if a.shown and not a.doubted]
    return {**_shares(answers), **medians, **_shown_summary(told)}


def _shares(answers: Sequence[Answer]) -> dict[str, Any]:
    right = [a for a in answers if a.gap.aligned]
    wrong = [a for a in answers if not a.gap.aligned]
    far = [a for a in answers if not a.gap.within(2.0)]
    return {
        "cases": len(answers),
        "aligned": ratio(len(right), len(answers)),
        "within_twice_the_limits": ratio(len(answers) - len(far), len(answers)),
        "wrong_and_doubted": ratio(sum(a.doubted for a in wrong), len(wrong)),
        "far_and_doubted": ratio(sum(a.doubted for a in far), len(far)),
        "aligned_but_doubted": ratio(sum(a.doubted for a in right), len(right)),
    }


def _shown_summary(told: Sequence[Answer]) -> dict[str, Any]:
    """What the images show of bones that are told without doubt."""
    if not told:
        return {}
    shown = [shown for answer in told for shown in answer.shown]
    boxes = [s.box_iou >= GOOD_BOX for s in shown]
    seen_from = [a.gap.turn_deg < SAME_DIRECTION_DEG for a in told]
    return {
        "median_points_px": float(np.median(np.concatenate([s.points_px for s in shown]))),
        "median_box_iou": float(np.median([s.box_iou for s in shown])),
        "good_boxes": ratio(sum(boxes), len(boxes)),
        "right_direction": ratio(sum(seen_from), len(seen_from)),
    }


def ratio(part: int, whole: int) -> float | None:
    """Part over whole, to four digits; None of nothing."""
    return round(part / whole, 4) if whole else None


def rows(
    found: Mapping[tuple[str, float], Sequence[Answer]], keys: Sequence[tuple[str, float]]
) -> list[dict[str, Any]]:
    """One summary per kind and share of corruption."""
    return [
        {"corruption": name, "share": part, "bones": summarise(found[name, part])}
        for name, part in keys
    ]
