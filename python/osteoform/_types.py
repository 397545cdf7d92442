"""The values that cross the public boundary. Frozen, keyword-only, units in the names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from osteoform._core import ConeView, SlotView

Side = Literal["left", "right"]
Polarity = Literal["dark_is_dense", "bright_is_dense"]
BONES = ("femur", "tibia", "fibula", "patella")

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """A triangle mesh: vertices (N, 3) float32 [mm], faces (M, 3) int32, wound outward."""

    vertices: F32 = field(repr=False)
    faces: I32 = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class XrayView:
    """One X-ray image with its geometry.

    `pixels` is (rows, columns) float32 as read from the file; (u, v) = (column, row), the centre
    of the first pixel is (0, 0). `polarity` None means: find out.
    """

    name: str
    pixels: F32 = field(repr=False)
    geometry: ConeView | SlotView
    polarity: Polarity | None = None


@dataclass(frozen=True, kw_only=True)
class Detection:
    """One bone as the detector saw it in one view.

    Attributes
    ----------
    box_px
        (4,) u0, v0, u1, v1; NaN where the bone was not seen.
    points_px, sigma_px, class_probability
        (n, 2), (n,), (n, F): feature points, their standard deviation, and how likely each is
        each of the model's F feature points, in the model's order. Rows sum to at most 1; the
        rest is the probability of being none of them.
    ellipse_ids, ellipse_center_px, ellipse_shape_px2, ellipse_sigma_px
        (m,), (m, 2), (m, 2, 2), (m,): feature ellipses; `ids` index the model's ellipsoids,
        `shape` has the squared semi-axes as eigenvalues.
    """

    bone: str
    box_px: F64
    box_confidence: float
    points_px: F64 = field(repr=False)
    sigma_px: F64 = field(repr=False)
    class_probability: F64 = field(repr=False)
    ellipse_ids: I32 = field(repr=False)
    ellipse_center_px: F64 = field(repr=False)
    ellipse_shape_px2: F64 = field(repr=False)
    ellipse_sigma_px: F64 = field(repr=False)

    @property
    def evidence(self) -> float:
        """Expected number of feature points."""
        return float(self.class_probability.max(axis=1, initial=0.0).sum())

    @staticmethod
    def empty(bone: str, num_features: int) -> Detection:
        """A detection of nothing."""
        return Detection(
            bone=bone,
            box_px=np.full(4, np.nan),
            box_confidence=0.0,
            points_px=np.zeros((0, 2)),
            sigma_px=np.zeros(0),
            class_probability=np.zeros((0, num_features)),
            ellipse_ids=np.zeros(0, np.int32),
            ellipse_center_px=np.zeros((0, 2)),
            ellipse_shape_px2=np.zeros((0, 2, 2)),
            ellipse_sigma_px=np.zeros(0),
        )


Reading = Mapping[str, Detection]


class Detector(Protocol):
    """Anything that finds bones in an image: an ONNX session, a recorded answer, a hand.

    Returns readings of the image, best first (the network reads it at several turns); each
    reading maps the bones it saw to their detections.
    """

    def __call__(
        self, view: XrayView, *, side: Side, bones: Sequence[str]
    ) -> Sequence[Mapping[str, Detection]]: ...
