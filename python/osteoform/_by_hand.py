"""What somebody says of a bone in a view, and how it meets what the detector finds there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteoform._core import InputError
from osteoform._detections import joined, only
from osteoform._shape_model import ShapeModel
from osteoform._types import F64, Detection, XrayView

HAND_SIGMA_PX = 1.5  # of a careful hand
_SAME = 1e-3  # what a detector may differ by from one run to the next


@dataclass(frozen=True, kw_only=True)
class HandPoint:
    """A feature point set by hand.

    Attributes
    ----------
    px
        (u, v) in the image.
    sigma_px
        Standard deviation on each axis.
    probability
        Of being the point of this name; the rest is the probability of being none.
    """

    name: str
    px: tuple[float, float]
    sigma_px: float = HAND_SIGMA_PX
    probability: float = 1.0

    def __post_init__(self) -> None:
        of = f"of the point {self.name!r}"
        _check(_is_finite(self.px, 2), f"px {of}", "2 finite numbers", self.px)
        _check_sigma(self.sigma_px, of)
        share = self.probability
        _check(_is_finite(share) and 0.0 < share <= 1.0, f"probability {of}", "in (0, 1]", share)


@dataclass(frozen=True, kw_only=True)
class HandEllipse:
    """A feature ellipse drawn by hand: the outline of one of the model's ellipsoids.

    Attributes
    ----------
    center_px
        (u, v) in the image.
    semi_axes_px
        Half the lengths of its two axes.
    angle_deg
        Of the first axis, from u towards v.
    sigma_px
        Standard deviation of the centre and of the semi-axes.
    """

    name: str
    center_px: tuple[float, float]
    semi_axes_px: tuple[float, float]
    angle_deg: float = 0.0
    sigma_px: float = HAND_SIGMA_PX

    def __post_init__(self) -> None:
        of, axes = f"of the ellipse {self.name!r}", self.semi_axes_px
        _check(_is_finite(self.center_px, 2), f"center_px {of}", "2 finite numbers", self.center_px)
        positive = _is_finite(axes, 2) and min(axes) > 0.0
        _check(positive, f"semi_axes_px {of}", "2 positive numbers", axes)
        _check(_is_finite(self.angle_deg), f"angle_deg {of}", "a finite number", self.angle_deg)
        _check_sigma(self.sigma_px, of)

    @staticmethod
    def of_shape(
        name: str,
        center_px: tuple[float, float],
        shape_px2: F64,
        *,
        sigma_px: float = HAND_SIGMA_PX,
    ) -> HandEllipse:
        """The ellipse of a matrix (2, 2) whose eigenvalues are the squared semi-axes."""
        values, axes = np.linalg.eigh(shape_px2)
        good = values[0] > 0.0 and np.allclose(shape_px2, shape_px2.T)
        needed = "symmetric with positive eigenvalues"
        _check(good, f"shape_px2 of the ellipse {name!r}", needed, shape_px2.tolist())
        return HandEllipse(
            name=name,
            center_px=center_px,
            semi_axes_px=(float(np.sqrt(values[0])), float(np.sqrt(values[1]))),
            angle_deg=float(np.rad2deg(np.arctan2(axes[1, 0], axes[0, 0]))),
            sigma_px=sigma_px,
        )

    @property
    def shape_px2(self) -> F64:
        """Matrix (2, 2) whose eigenvalues are the squared semi-axes."""
        angle = np.deg2rad(self.angle_deg)
        axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.asarray((axes * np.square(self.semi_axes_px)) @ axes.T, np.float64)


@dataclass(frozen=True, kw_only=True)
class HandFeatures:
    """What somebody says of one bone in one view; all of it may be left out.

    Attributes
    ----------
    box_px
        u0, v0, u1, v1: where the bone is. The detector looks there once more, closer, and what it
        finds elsewhere counts only if it finds nothing there.
    points, ellipses
        Added to what the detector finds; one takes the place of what was found with its name.
    replaces
        The detector is not asked for the bone in the whole image, and with points or ellipses not
        at all: what is not given is not seen. Without it, what the detector finds just so itself
        counts as found, not as given.
    """

    box_px: tuple[float, float, float, float] | None = None
    points: Sequence[HandPoint] = field(default=(), repr=False)
    ellipses: Sequence[HandEllipse] = field(default=(), repr=False)
    replaces: bool = False

    def __post_init__(self) -> None:
        box = self.box_px
        if box is not None:
            good = _is_finite(box, 4) and box[0] < box[2] and box[1] < box[3]
            needed = "4 finite numbers u0, v0, u1, v1 with u0 < u1 and v0 < v1"
            _check(good, "box_px", needed, box)

    @property
    def looks_in_box(self) -> bool:
        """Whether the detector is to read the box."""
        return self.box_px is not None and not self.is_complete

    @property
    def is_complete(self) -> bool:
        """Whether the detector has no say."""
        told = bool(self.points or self.ellipses)
        return self.replaces and (told or self.box_px is None)

    def check(self, view: XrayView, model: ShapeModel) -> None:
        """Refuse a box beside the image, and names that the model's features do not have."""
        height, width = view.pixels.shape
        if self.box_px is not None:
            u0, v0, u1, v1 = self.box_px
            inside = u1 > 0 and v1 > 0 and u0 < width - 1 and v0 < height - 1
            needed = f"in the image of {width} x {height} pixels"
            _check(inside, "box_px", needed, self.box_px)
        _check_known(self.points, model.point_names, "feature point")
        _check_known(self.ellipses, model.ellipsoid_names, "feature ellipse")

    def detection(self, model: ShapeModel) -> Detection:
        """The same as a detector would say it; the box is NaN where there is none."""
        points, ellipses = self.points, self.ellipses
        named = [model.point_names.index(point.name) for point in points]
        probability = np.zeros((len(points), len(model.point_names)))
        probability[np.arange(len(points)), named] = [point.probability for point in points]
        ids = [model.ellipsoid_names.index(ellipse.name) for ellipse in ellipses]
        return Detection(
            bone=model.bone,
            box_px=np.full(4, np.nan) if self.box_px is None else np.array(self.box_px, np.float64),
            box_confidence=float(self.box_px is not None),
            points_px=np.array([point.px for point in points], np.float64).reshape(-1, 2),
            sigma_px=np.array([point.sigma_px for point in points], np.float64),
            class_probability=probability,
            ellipse_ids=np.array(ids, np.int32),
            ellipse_center_px=np.array([e.center_px for e in ellipses], np.float64).reshape(-1, 2),
            ellipse_shape_px2=np.array([e.shape_px2 for e in ellipses]).reshape(-1, 2, 2),
            ellipse_sigma_px=np.array([e.sigma_px for e in ellipses], np.float64),
        )

    def without(self, seen: Sequence[Detection], model: ShapeModel) -> HandFeatures:
        """What no detection says in the same way, or all if it replaces the detections."""
        if self.replaces:
            return self
        told = self.detection(model)
        boxed = _is_new(told, seen, _box_rows).any()
        points = _is_new(told, seen, _point_rows)
        ellipses = _is_new(told, seen, _ellipse_rows)
        return replace(
            self,
            box_px=self.box_px if boxed else None,
            points=tuple(x for x, new in zip(self.points, points, strict=True) if new),
            ellipses=tuple(x for x, new in zip(self.ellipses, ellipses, strict=True) if new),
        )


def merged(seen: Detection, given: Detection) -> Detection:
    """Both together; what is given has its name to itself."""
    named = np.flatnonzero(given.class_probability.any(axis=0))
    best = seen.class_probability.max(axis=1, initial=0.0)
    points = ~(seen.class_probability[:, named] >= best[:, None]).any(axis=1)
    ellipses = np.isin(seen.ellipse_ids, given.ellipse_ids, invert=True)
    kept = only(seen, points=points, ellipses=ellipses)
    still = kept.class_probability.copy()
    still[:, named] = 0.0
    boxed = given if np.isfinite(given.box_px).all() else seen
    return replace(
        joined([replace(kept, class_probability=still), given]),
        box_px=boxed.box_px,
        box_confidence=boxed.box_confidence,
    )


def _is_new(
    told: Detection, seen: Sequence[Detection], rows: Callable[[Detection], F64]
) -> NDArray[np.bool_]:
    """Which rows of a detection none of the others has."""
    said = np.concatenate([rows(detection) for detection in seen])
    same = np.isclose(rows(told)[:, None], said, rtol=_SAME, atol=_SAME)
    return np.asarray(~same.all(axis=2).any(axis=1))


def _box_rows(detection: Detection) -> F64:
    return detection.box_px[None]


def _point_rows(detection: Detection) -> F64:
    """With the likeliest name alone: a file has no others."""
    probability = detection.class_probability
    named = probability == probability.max(axis=1, initial=0.0)[:, None]
    return np.column_stack([detection.points_px, detection.sigma_px, probability * named])


def _ellipse_rows(detection: Detection) -> F64:
    shapes = detection.ellipse_shape_px2.reshape(-1, 4)
    sigma_px, ids = detection.ellipse_sigma_px, detection.ellipse_ids
    return np.column_stack([detection.ellipse_center_px, shapes, sigma_px, ids])


def _check_known(
    features: Sequence[HandPoint] | Sequence[HandEllipse], known: Sequence[str], kind: str
) -> None:
    for feature in features:
        if feature.name not in known:
            names = ", ".join(known) or "none: there are none"
            raise InputError(f"found the unknown {kind} {feature.name!r}, needed {names}")


def _check_sigma(sigma_px: float, of: str) -> None:
    good = _is_finite(sigma_px) and sigma_px > 0.0
    _check(good, f"sigma_px {of}", "a positive number", sigma_px)


def _check(good: Any, what: str, needed: str, found: Any) -> None:
    if not good:
        raise InputError(f"{what} must be {needed}, found {found!r}")


def _is_finite(value: Any, *shape: int) -> bool:
    """Whether a value is an array of finite numbers of a shape; of none, a finite number."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return array.shape == shape and bool(np.isfinite(array).all())
