"""How good a detector file is, on simulated X-rays of people that no training has seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from osteoform._detect import OnnxDetector
from osteoform._detections import box_iou
from osteoform._network_file import NetworkFacts
from osteoform._normalize import pad_to_multiple
from osteoform._peaks import MIN_MASS, Frame, Reading
from osteoform._split import held_out
from osteoform._types import BONES, F32, F64
from osteoform.train.attitude_score import AttitudeScore, score_attitudes
from osteoform.train.clutter import draw_bank, pick
from osteoform.train.confusion import fit_confusion, true_names
from osteoform.train.dataset import SHAPES, Scenes, describe
from osteoform.train.dice import Dice
from osteoform.train.export import Calibration
from osteoform.train.legs import LegAtlas, load_atlas
from osteoform.train.randomize import Extent, draw_warps, randomize
from osteoform.train.scenes import MARGIN_PX, sample_scene

# The median length of a 2D normal vector with unit deviation per axis.
_RAYLEIGH_MEDIAN = 1.1774
_NORMAL_MEDIAN = 0.6745  # of the size of a number with unit deviation
_NUM_SPREADS = 16
_LEAST_SD_PX = 0.1
_ENOUGH_POINTS = 5
_POOL_SHARE = (0.5, 0.3, 0.12, 0.08)
_SAME_FRAME = Frame(matrix=np.eye(2), offset=np.zeros(2), size_px=(np.inf, np.inf))


@dataclass(frozen=True, kw_only=True)
class Case:
    """One simulated image (h, w), normalised, with its truth (see `dataset.describe`)."""

    values: F32 = field(repr=False)
    truth: Mapping[str, F32] = field(repr=False)
    mm_per_px: float


@dataclass(frozen=True, kw_only=True)
class BoneScore:
    """Errors of one bone's feature points, boxes and ellipses.

    `found_share` is the share of visible points that were reported, `false_share` the share of
    reported points that are not visible. Errors are of reported, visible points; px are those of
    the network's image. `size_error` is the median relative error of the ellipses' mean radius;
    None where the bone has none.
    """

    bone: str
    num_points: int
    median_px: float
    median_mm: float
    p90_mm: float
    found_share: float
    false_share: float
    box_iou: float
    size_error: float | None


@dataclass(frozen=True, kw_only=True)
class DetectorScore:
    """Scores per bone, of quarter turns and directions, and the fitted calibration."""

    bones: tuple[BoneScore, ...]
    attitude: AttitudeScore
    calibration: Calibration
    num_images: int


def validate(detector: OnnxDetector, *, data: Path, num_images: int, seed: int) -> DetectorScore:
    """Read `num_images` simulated X-rays of the people held out."""
    cases = list(validation_cases(data, num_images, seed))
    pairs = [(case, read(detector, case.values)) for case in cases]
    return DetectorScore(
        bones=tuple(_score_bone(detector, bone, pairs) for bone in BONES),
        attitude=score_attitudes(
            [_turns(detector, case, reading) for case, reading in pairs],
            [(r.output.direction.astype(float), c.truth["direction"]) for c, r in pairs],
        ),
        calibration=_calibrate(pairs, detector.facts),
        num_images=num_images,
    )


def validation_cases(data: Path, num_images: int, seed: int) -> Iterator[Case]:
    """Simulate X-rays of the people held out: other bones, same randomness as in training."""
    return simulated_cases(data, held_out(), num_images, seed)


def simulated_cases(
    data: Path, people: Sequence[int], num_images: int, seed: int
) -> Iterator[Case]:
    """Simulate X-rays of some people of the collection."""
    atlas, clutter = load_atlas(data, people), draw_bank(40, seed)
    for i in range(num_images):
        yield _sample_case(atlas, clutter, np.random.default_rng((seed, i)))


def _sample_case(atlas: LegAtlas, clutter: Tensor, rng: Generator) -> Case:
    shape = SHAPES[rng.choice(len(SHAPES), p=_POOL_SHARE)]
    scene = sample_scene(atlas, rng, shape=shape)
    scenes, extent = Scenes.of([scene]), Extent.full(1, shape)
    dice = Dice.seeded(int(rng.integers(1 << 31)))
    warp = draw_warps(dice, extent, margin_px=MARGIN_PX)
    image = randomize(scenes.layers, warp, dice, extent=extent, clutter=pick(clutter, dice, shape))
    truth = describe(scenes, warp, extent, image.in_field)
    return Case(
        values=image.values[0].numpy(),
        truth={name: value[0].numpy() for name, value in truth.items()},
        mm_per_px=scene.mm_per_px * float(warp.scale[0]),
    )


def read(detector: OnnxDetector, values: F32) -> Reading:
    """Read one normalised image as it stands."""
    padded = pad_to_multiple(values, detector.facts.multiple_px)
    return Reading.of(detector.run(padded[None])[0], detector.facts.stride_px)


def _turns(detector: OnnxDetector, case: Case, upright: Reading) -> F32:
    """What is told of the quarter turn of an image that was turned 0, 1, 2, 3 times."""
    turned = (np.rot90(case.values, k) for k in range(1, 4))
    padded = (pad_to_multiple(values, detector.facts.multiple_px) for values in turned)
    others = [detector.run(values[None])[0].turns for values in padded]
    return np.stack([upright.output.turns, *others])


def _score_bone(detector: OnnxDetector, bone: str, pairs: list[tuple[Case, Reading]]) -> BoneScore:
    points, centers = detector.facts.heat_channels(bone)
    shapes, index = detector.facts.ellipse_channels(bone), BONES.index(bone)
    errors_px, errors_mm, visible, reported, overlaps, sizes = [], [], [], [], [], []
    for case, reading in pairs:
        seen = case.truth["visible"][points] > 0
        peaks = reading.peaks[0]
        told = peaks.mass[points] >= MIN_MASS
        error = np.linalg.norm(peaks.at_px[points] - case.truth["points"][points], axis=1)
        errors_px.append(error[seen & told])
        errors_mm.append(error[seen & told] * case.mm_per_px)
        visible.append(seen)
        reported.append(told)
        if case.truth["present"][index]:
            overlaps.append(box_iou(reading.output.box[index, :4], case.truth["boxes"][index]))
        sizes += _size_errors(reading, case, centers, shapes)
    px, mm = np.concatenate(errors_px), np.concatenate(errors_mm)
    seen, told = np.concatenate(visible), np.concatenate(reported)
    return BoneScore(
        bone=bone,
        num_points=len(px),
        median_px=float(np.median(px)),
        median_mm=float(np.median(mm)),
        p90_mm=float(np.percentile(mm, 90)),
        found_share=float((seen & told).sum() / max(1, seen.sum())),
        false_share=float((told & ~seen).sum() / max(1, told.sum())),
        box_iou=float(np.mean(overlaps)),
        size_error=float(np.median(sizes)) if sizes else None,
    )


def _size_errors(reading: Reading, case: Case, centers: slice, shapes: slice) -> list[float]:
    """Relative errors of the ellipses' mean radius, (S11 + S22) / 2 of the root."""
    seen, squared = reading.ellipses(centers, shapes)
    errors = []
    for channel, matrix in zip(seen, squared, strict=True):
        if case.truth["visible"][channel] > 0:
            s11, s22, _ = case.truth["roots"][shapes][channel - centers.start]
            found = np.sqrt(np.maximum(np.linalg.eigvalsh(matrix), 0.0)).sum()
            errors.append(abs(found / (s11 + s22) - 1.0))
    return errors


def _calibrate(pairs: list[tuple[Case, Reading]], facts: NetworkFacts) -> Calibration:
    spread_px, sd_px = _fit_sd(pairs)
    together = _off_together(pairs, replace(facts, spread_px=spread_px, sd_px=sd_px))
    as_told = replace(facts, confusion={})
    return Calibration(
        spread_px=tuple(spread_px.tolist()),
        sd_px=tuple((together * sd_px).round(3).tolist()),
        together=round(together, 2),
        confusion={bone: _confusion(pairs, bone, as_told) for bone in facts.points},
    )


def _confusion(
    pairs: list[tuple[Case, Reading]], bone: str, facts: NetworkFacts
) -> tuple[tuple[float, ...], ...]:
    points, _ = facts.heat_channels(bone)
    told, names = [], []
    for case, reading in pairs:
        found = reading.detection(bone, _SAME_FRAME, facts)
        truth, visible = case.truth["points"][points], case.truth["visible"][points]
        told.append(found.class_probability)
        names.append(true_names(found.points_px, truth, visible))
    fitted = fit_confusion(np.concatenate(told), np.concatenate(names))
    return tuple(tuple(round(float(p), 4) for p in row) for row in fitted)


def _fit_sd(pairs: list[tuple[Case, Reading]]) -> tuple[F64, F64]:
    """Standard deviations (K,) by the median error of places that spread alike, and these spreads.

    A median knows nothing of the few places that are mistaken for others: names and slack do.
    """
    spread, error = (np.concatenate(x) for x in zip(*map(_spread_and_error, pairs), strict=True))
    bins = np.array_split(np.argsort(spread), min(_NUM_SPREADS, len(spread)))
    middles = np.array([np.median(spread[i]) for i in bins]).round(3)
    sd_px = np.array([np.median(error[i]) for i in bins]) / _RAYLEIGH_MEDIAN
    sd_px = np.maximum.accumulate(np.maximum(sd_px, _LEAST_SD_PX))
    spread_px, last = np.unique(middles[::-1], return_index=True)
    return spread_px, sd_px[::-1][last]


def _spread_and_error(pair: tuple[Case, Reading]) -> tuple[F64, F64]:
    _, reading = pair
    off, told = _off(pair)
    return reading.peaks[0].spread_px[told], np.linalg.norm(off, axis=1)[told]


def _off(pair: tuple[Case, Reading]) -> tuple[F64, NDArray[np.bool_]]:
    """How far off (P, 2) each place is, and which of them (P,) are in view and reported."""
    case, reading = pair
    peaks = reading.peaks[0]
    told = (case.truth["visible"] > 0) & (peaks.mass >= MIN_MASS)
    return peaks.at_px - case.truth["points"], told


def _off_together(pairs: list[tuple[Case, Reading]], facts: NetworkFacts) -> float:
    """How many times as much a bone's features are off together as if each erred by itself.

    A fit takes them for independent. If they were, their mean, weighted as in a fit, would be off
    by 1 / sqrt(sum of 1 / sd^2).
    """
    means = []
    for pair, bone in product(pairs, facts.points):
        off, told = _off(pair)
        points, _ = facts.heat_channels(bone)
        of_bone = np.flatnonzero(told[points]) + points.start
        if len(of_bone) < _ENOUGH_POINTS:
            continue
        weight = facts.sd_of(pair[1].peaks[0].spread_px[of_bone]) ** -2.0
        means.append(weight @ off[of_bone] / np.sqrt(weight.sum()))
    if not means:
        return 1.0
    return max(1.0, float(np.median(np.abs(means)) / _NORMAL_MEDIAN))
