"""A closer look at the joints that a whole image shows too small to read them well."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from osteoform._crop import read_part, shows
from osteoform._detections import joined, only
from osteoform._fit_bones import AlignedBone, BoneFitter, Readings
from osteoform._types import F64, Detection, Detector, Reading, Side, XrayView

_WORTH = 0.6  # of the image's longer side: a larger part shows hardly more than the whole
_AGREE = 3.0  # standard deviations between two looks at the same feature
_MIN_AGREEING = 4
_RIM_SHARE = 0.08  # of the part, where nothing can be told apart
_AGREEING_SHARE = 0.75


@dataclass(frozen=True, kw_only=True)
class _Joint:
    """What to look at closely.

    Attributes
    ----------
    field_mm
        Of the joint with what tells it apart.
    middles
        Per bone the feature point at its middle; the first of a bone that is there tells the place.
    """

    field_mm: float
    middles: Mapping[str, str]


_JOINTS = (
    # Behind a trunk the network reads a hip better with some of the thigh.
    _Joint(field_mm=300.0, middles={"femur": "femoral_head_center"}),
    _Joint(
        field_mm=220.0,
        middles={
            "femur": "intercondylar_notch",
            "tibia": "medial_spine",
            "patella": "patella_center",
            "fibula": "fibular_head_tip",
        },
    ),
    _Joint(field_mm=220.0, middles={"tibia": "plafond_center", "fibula": "lateral_malleolus_tip"}),
)


def align_closely(
    wanted: Mapping[str, tuple[Readings, F64 | None]], fitter: BoneFitter, look: CloserLook
) -> dict[str, AlignedBone]:
    """Bring bones to their readings, look closer at where they are, and bring them to all of it.

    Parameters
    ----------
    wanted
        Readings per bone, one list per view, and a start if there is one.
    """
    aligned = fitter.align_all(wanted)
    closer = look.add({bone: readings for bone, (readings, _) in wanted.items()}, aligned)
    again = {bone: (readings, wanted[bone][1]) for bone, readings in closer.items()}
    return aligned | fitter.align_all(again)


@dataclass(frozen=True, kw_only=True)
class CloserLook:
    """Whom to ask, and about which bones in each view."""

    side: Side
    detector: Detector = field(repr=False)
    views: Sequence[XrayView] = field(repr=False)
    asked: Sequence[Collection[str]]

    def add(
        self, readings: Mapping[str, Readings], aligned: Mapping[str, AlignedBone]
    ) -> dict[str, Readings]:
        """Readings with what a closer look adds to those that alignment took; changed ones only.

        The first look's features stay: the doubly stochastic assignment shares a feature of the
        model out among all that claim to be it, each by how sure it is.
        """
        closer = [self._look(index, aligned) for index in range(len(self.views))]
        changed: dict[str, Readings] = {}
        for bone in aligned:
            more = [[part[bone] for part in parts if shows(part, bone)] for parts in closer]
            if any(more):
                changed[bone] = [
                    [{bone: joined([first, *parts])} if r[bone] is first else r for r in of_view]
                    for of_view, first, parts in zip(
                        readings[bone], aligned[bone].detections, more, strict=True
                    )
                ]
        return changed

    def _look(self, index: int, aligned: Mapping[str, AlignedBone]) -> list[Reading]:
        """What is believed of a look at each joint that a view shows."""
        view = self.views[index]
        bones = tuple(self.asked[index])
        first = {bone: placed.detections[index] for bone, placed in aligned.items()}
        looks: list[Reading] = []
        for joint in _JOINTS if bones else ():
            there = [bone for bone in joint.middles if shows(first, bone)]
            if not there:
                continue
            middle = aligned[there[0]].points()[joint.middles[there[0]]]
            box = _square_about(view, middle, joint.field_mm)
            if np.ptp(box.reshape(2, 2), axis=0).max() >= _WORTH * max(view.pixels.shape):
                continue
            parts = read_part(view, box, self.detector, side=self.side, bones=bones)
            inside = [
                {
                    bone: _inside(seen, first[bone], aligned[bone], view, box)
                    for bone, seen in r.items()
                }
                for r in parts
            ]
            looks += believed(inside, first)
        return looks


def believed(parts: Sequence[Reading], first: Reading) -> list[Reading]:
    """The reading of a part, one at most, that agrees best with the first look at the whole image.

    A look at a part may be confidently wrong, above all of an image that is turned. It counts if
    most of the points that both looks tell lie in the same places; those that do not are left out.
    """
    best: list[Reading] = []
    most = _MIN_AGREEING - 1
    for part in parts:
        told = {bone: _Agreement.of(seen, first[bone]) for bone, seen in part.items()}
        shared = sum(int(both.shared.sum()) for both in told.values())
        agreeing = sum(int((both.shared & both.agrees).sum()) for both in told.values())
        if agreeing > most and agreeing >= _AGREEING_SHARE * shared:
            best, most = [{bone: both.kept for bone, both in told.items()}], agreeing
    return best


@dataclass(frozen=True, kw_only=True)
class _Agreement:
    """Points (n,) of a closer look that the first one tells too, and those it does not gainsay.

    kept: the second ones, and such ellipses.
    """

    shared: NDArray[np.bool_]
    agrees: NDArray[np.bool_]
    kept: Detection

    @staticmethod
    def of(seen: Detection, first: Detection) -> _Agreement:
        off = _offsets(
            (_names(seen), seen.points_px, seen.sigma_px),
            (_names(first), first.points_px, first.sigma_px),
        )
        ellipses_off = _offsets(
            (seen.ellipse_ids, seen.ellipse_center_px, seen.ellipse_sigma_px),
            (first.ellipse_ids, first.ellipse_center_px, first.ellipse_sigma_px),
        )
        agrees = ~(off > _AGREE)  # also what only one look tells
        return _Agreement(
            shared=np.isfinite(off),
            agrees=agrees,
            kept=only(seen, points=agrees, ellipses=~(ellipses_off > _AGREE)),
        )


def _inside(
    seen: Detection, first: Detection, aligned: AlignedBone, view: XrayView, box_px: F64
) -> Detection:
    """The features of a bone in a part that can lie there.

    The network was asked about less than it knows: along a shaft it tells of points that lie
    beyond the part's edge.
    """
    if not len(first.points_px):
        return seen
    margin = _RIM_SHARE * (box_px[2:] - box_px[:2])
    at = view.geometry.project(aligned.places())
    inside = np.all((at > box_px[:2] + margin) & (at < box_px[2:] - margin), axis=1)
    every = np.ones(len(seen.ellipse_ids), np.bool_)
    return only(seen, points=np.asarray(inside)[_names(seen)], ellipses=every)


def _names(detection: Detection) -> NDArray[np.intp]:
    """The likeliest name of every point."""
    return np.asarray(detection.class_probability.argmax(axis=1), np.intp)


_Marks = tuple[NDArray[np.integer], F64, F64]  # names (n,), places (n, 2) and deviations (n,) [px]


def _offsets(marks: _Marks, others: _Marks) -> F64:
    """Distances (n,) to the nearest namesake, in standard deviations; NaN where there is none."""
    names, at, sigma = marks
    other_names, other_at, other_sigma = others
    gaps = np.linalg.norm(at[:, None] - other_at, axis=2) / np.hypot(sigma[:, None], other_sigma)
    gaps[names[:, None] != other_names] = np.inf
    nearest = gaps.min(axis=1, initial=np.inf)
    return np.where(np.isfinite(nearest), nearest, np.nan)


def _square_about(view: XrayView, middle: F64, side_mm: float) -> F64:
    """Box (4,) u0, v0, u1, v1 with this side about a point (3,) in the world [mm]."""
    u, v = view.geometry.project(middle[None])[0]
    px_per_mm = float(np.linalg.svd(view.geometry.project_jacobian(middle))[1].max())
    half = 0.5 * side_mm * px_per_mm
    return np.array([u - half, v - half, u + half, v + half])
