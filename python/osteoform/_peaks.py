"""From the network's maps to detections in pixels of the original image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from osteoform._network_file import NetworkFacts
from osteoform._normalize import NormalizedImage
from osteoform._types import F32, F64, Detection

MIN_MASS = 0.2
MIN_TURN = 0.02  # quarter turns less likely than that are not tried

_REACHES = (2, 4, 8)  # half widths of a peak's window, in cells
_REACH = _REACHES[-1]
_RING = np.maximum(
    *(np.abs(d).ravel() for d in np.mgrid[-_REACH : _REACH + 1, -_REACH : _REACH + 1])
)
_CORE = np.less_equal(_RING, _REACHES[0])
_MUCH = 0.4  # of what a map says is present: a window that holds it is wide enough
_NUM_PEAKS = 2
_SAME_PLACE_CELLS = 2.0
_CLASS_FLOOR = 1e-3


@dataclass(frozen=True, kw_only=True)
class NetworkOutput:
    """What the network says of one image.

    heat (P, h, w) probabilities, shape (E, 3, h, w) px, box (bones, 5) px; turns (4,) probability
    of each number of quarter turns (np.rot90) that would set the image upright; direction (2,)
    of the beam along a right leg's medial and anterior axes, the shorter the less sure. upright is
    the probability that heat and box are of an image that is: 1 where the network does not tell.
    """

    heat: F32 = field(repr=False)
    shape: F32 = field(repr=False)
    box: F32 = field(repr=False)
    turns: F32 = field(default_factory=lambda: np.full(4, 0.25, np.float32))
    direction: F32 = field(default_factory=lambda: np.zeros(2, np.float32))
    upright: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Original pixels of network pixels: original = matrix @ network + offset."""

    matrix: F64
    offset: F64
    size_px: tuple[float, float]

    @staticmethod
    def of(image: NormalizedImage, *, quarter_turns: int, mirrored: bool) -> Frame:
        """Undo np.rot90(..., quarter_turns), the mirror and the shrinking, in this order."""
        rows, columns = image.values.shape
        turn = {
            0: ([[1, 0], [0, 1]], [0, 0]),
            1: ([[0, -1], [1, 0]], [columns - 1, 0]),
            2: ([[-1, 0], [0, -1]], [columns - 1, rows - 1]),
            3: ([[0, 1], [-1, 0]], [0, rows - 1]),
        }[quarter_turns % 4]
        matrix, offset = np.array(turn[0], np.float64), np.array(turn[1], np.float64)
        if mirrored:
            matrix[0] *= -1
            offset[0] = columns - 1 - offset[0]
        scale = np.asarray(image.source_px_per_px)
        return Frame(
            matrix=scale[:, None] * matrix,
            offset=image.to_source(offset),
            size_px=(float(columns * scale[0]), float(rows * scale[1])),
        )

    @property
    def scale(self) -> float:
        """Original pixels per network pixel."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    def points(self, network_px: F64) -> F64:
        """Map points (..., 2)."""
        return network_px @ self.matrix.T + self.offset

    def shapes(self, network_px2: F64) -> F64:
        """Map matrices of squared semi-axes (..., 2, 2)."""
        return self.matrix @ network_px2 @ self.matrix.T

    def box(self, network_px: F64) -> F64:
        """Map a box u0, v0, u1, v1 and cut it at the image."""
        corners = self.points(network_px.reshape(2, 2))
        limited = np.clip(corners, -0.5, np.asarray(self.size_px) - 0.5)
        return np.concatenate([limited.min(0), limited.max(0)])


@dataclass(frozen=True, kw_only=True)
class Peaks:
    """The strongest places of every channel.

    Attributes
    ----------
    at_px
        (P, 2): network pixels.
    mass
        (P,): probability within the window about the peak.
    spread_px
        (P,): root mean square extent of the window's probability, per axis.
    windows
        (P, 2, n): rows and columns of the widest window's cells in the padded map.
    inside
        (P, n): which of them the peak's own window holds. A network that is unsure spreads its
        probability; a wider window then keeps the place and says how unsure it is.
    """

    at_px: F64
    mass: F64
    spread_px: F64
    windows: NDArray[np.intp]
    inside: NDArray[np.bool_]


def find_peaks(padded: F32, stride_px: int) -> Peaks:
    """Find the highest cell of every channel and refine it by the mean over its window.

    The window is the narrowest that holds much of the channel's probability. `padded`
    (P, h + 16, w + 16) has a border of eight empty cells.
    """
    channels, _, columns = padded.shape
    flat = padded.reshape(channels, -1)
    best = flat.argmax(1)
    row = np.clip(best // columns, _REACH, padded.shape[1] - 1 - _REACH)
    column = np.clip(best % columns, _REACH, columns - 1 - _REACH)
    steps = np.arange(-_REACH, _REACH + 1)
    dv, du = (d.ravel() for d in np.meshgrid(steps, steps, indexing="ij"))
    windows = np.stack([row[:, None] + dv, column[:, None] + du], 1)
    every = padded[np.arange(channels)[:, None], windows[:, 0], windows[:, 1]].astype(np.float64)
    inside = _narrowest(every, flat.sum(1))
    weight = every * inside
    mass = weight.sum(1)
    share = weight / np.maximum(mass, 1e-12)[:, None]
    mean = np.stack([share @ du, share @ dv], 1)
    variance = 0.5 * (share @ (du**2 + dv**2) - (mean**2).sum(1))
    cells = mean + np.stack([column, row], 1) - _REACH
    return Peaks(
        at_px=(cells + 0.5) * stride_px - 0.5,
        mass=mass,
        spread_px=np.sqrt(np.maximum(variance, 0.0)) * stride_px,
        windows=windows,
        inside=inside,
    )


def _narrowest(weight: F64, present: F32) -> NDArray[np.bool_]:
    """Cells (P, n) of each channel's narrowest window that holds much of what is present."""
    inside = np.ones_like(weight, dtype=np.bool_)
    for reach in reversed(_REACHES[:-1]):
        within = np.less_equal(_RING, reach)
        enough = weight[:, within].sum(1) >= _MUCH * present
        inside[enough] = within
    return inside


@dataclass(frozen=True, kw_only=True)
class Reading:
    """All peaks of one network output, given that its image is upright.

    The network was taught to see nothing in images that are not, so what it sees is a product of
    two probabilities: that the image is upright, which the fit decides, and that a feature is there.
    `taken_out` (P,) is what heat was divided by to be the second alone.
    """

    output: NetworkOutput
    padded: F32 = field(repr=False)
    peaks: tuple[Peaks, ...]
    taken_out: F32 = field(repr=False)

    @staticmethod
    def of(output: NetworkOutput, stride_px: int) -> Reading:
        """Find the first and the second peak of every channel."""
        output, taken_out = _given_upright(output)
        padded = np.pad(output.heat, ((0, 0), (_REACH, _REACH), (_REACH, _REACH)))
        remaining, peaks = padded.copy(), []
        for _ in range(_NUM_PEAKS):
            found = find_peaks(remaining, stride_px)
            peaks.append(found)
            channel, cell = np.nonzero(found.inside)
            row, column = found.windows[channel, :, cell].T
            remaining[channel, row, column] = 0.0
        return Reading(output=output, padded=padded, peaks=tuple(peaks), taken_out=taken_out)

    @property
    def score(self) -> float:
        """Number of features found, each counted by its probability, in an upright image.

        How likely that is the network tells twice, by the turn and by what it sees: their mean.
        """
        mass = self.peaks[0].mass
        upright = 0.5 * (self.output.upright + self.taken_out)
        return float((mass * upright)[mass >= MIN_MASS].sum())

    def detection(self, bone: str, frame: Frame, facts: NetworkFacts) -> Detection:
        """What was seen of one bone, in original pixels."""
        points, centers = facts.heat_channels(bone)
        channels, kept = self._kept(points, facts.stride_px)
        found = [self.peaks[k] for k in kept]
        at = np.array([p.at_px[c] for p, c in zip(found, channels, strict=True)]).reshape(-1, 2)
        spread = np.array([p.spread_px[c] for p, c in zip(found, channels, strict=True)])
        own = np.array([p.mass[c] for p, c in zip(found, channels, strict=True)])
        cores = [p.windows[c][:, _CORE] for p, c in zip(found, channels, strict=True)]
        seen, shapes = self.ellipses(centers, facts.ellipse_channels(bone))
        first = self.peaks[0]
        *box, confidence = self.output.box[list(facts.points).index(bone)].astype(np.float64)
        return Detection(
            bone=bone,
            box_px=frame.box(np.array(box)) if confidence >= MIN_MASS else np.full(4, np.nan),
            box_confidence=float(confidence),
            points_px=frame.points(at),
            sigma_px=_sigma(spread, frame, facts),
            class_probability=facts.renamed(
                bone, self._classes(cores, np.array(channels, int), own, points)
            ),
            ellipse_ids=(seen - centers.start).astype(np.int32),
            ellipse_center_px=frame.points(first.at_px[seen]),
            ellipse_shape_px2=frame.shapes(shapes),
            ellipse_sigma_px=_sigma(first.spread_px[seen], frame, facts),
        )

    def _kept(self, points: slice, stride_px: int) -> tuple[list[int], list[int]]:
        """Channels and ranks of the peaks to report.

        A second peak counts where no other feature of the bone claims the place: it is then a
        doubt, not an exchange of two features' names, which the class probabilities tell.
        """
        first, second = self.peaks
        channels = [c for c in range(points.start, points.stop) if first.mass[c] >= MIN_MASS]
        ranks, taken = [0] * len(channels), [first.at_px[c] for c in channels]
        doubts = np.flatnonzero(second.mass[points] >= MIN_MASS) + points.start
        for c in doubts.tolist():
            away = [np.linalg.norm(second.at_px[c] - place) for place in taken]
            if min(away, default=np.inf) > _SAME_PLACE_CELLS * stride_px:
                channels.append(c)
                ranks.append(1)
                taken.append(second.at_px[c])
        return channels, ranks

    def _classes(
        self, cores: Sequence[NDArray[np.intp]], channels: NDArray[np.intp], own: F64, points: slice
    ) -> F64:
        """Probability (n, F) of each place to be each of the bone's feature points.

        A place found by a channel bears that channel's name as far as its probability is there;
        another name competes with what it has in the core of the window: two features that look
        alike put theirs into the same spots, neighbours do not.
        """
        names = points.stop - points.start
        heat = self.padded[points]
        masses = [heat[:, rows, columns].sum(1) for rows, columns in cores]
        likely = np.array(masses, np.float64).reshape(-1, names) + _CLASS_FLOOR
        place = np.arange(len(channels))
        named = channels - points.start
        likely[place, named] = np.maximum(likely[place, named], own)
        probability: F64 = likely / np.maximum(likely.sum(1, keepdims=True), 1.0)
        return probability

    def ellipses(self, centers: slice, shapes: slice) -> tuple[NDArray[np.intp], F64]:
        """Heat channels of the ellipses seen and their matrices (m, 2, 2) in network pixels^2."""
        first = self.peaks[0]
        seen = np.flatnonzero(first.mass[centers] >= MIN_MASS) + centers.start
        squared = np.zeros((len(seen), 2, 2))
        for i, channel in enumerate(seen):
            rows, columns = first.windows[channel][:, first.inside[channel]]
            weight = self.padded[channel, rows, columns]
            maps = np.pad(
                self.output.shape[shapes][channel - centers.start],
                ((0, 0), (_REACH, _REACH), (_REACH, _REACH)),
            )
            s11, s22, s12 = maps[:, rows, columns] @ weight / weight.sum()
            root = np.array([[s11, s12], [s12, s22]], np.float64)
            squared[i] = root @ root.T
        return seen, squared


def _given_upright(output: NetworkOutput) -> tuple[NetworkOutput, F32]:
    """The output given that its image is upright, and what heat was divided by, (P,)."""
    upright = max(output.upright, MIN_TURN)
    taken_out: F32 = np.maximum(output.heat.sum((1, 2)), np.float32(upright))
    box = output.box.copy()
    box[:, 4] = np.minimum(box[:, 4] / upright, 1.0)
    return replace(output, heat=output.heat / taken_out[:, None, None], box=box), taken_out


def _sigma(spread_px: F64, frame: Frame, facts: NetworkFacts) -> F64:
    return facts.sd_of(spread_px) * frame.scale
