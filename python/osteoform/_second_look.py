"""A second look for bones that were lost, where the others of their leg say they must be."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import numpy as np

from osteoform._confidence import SURE, share_met
from osteoform._crop import MARGIN, read_crop
from osteoform._evidence import deviations_of
from osteoform._fit_bones import BoneFitter
from osteoform._neighbours import ExpectedBone, expected_bones, lost_bones, misplaced_bones
from osteoform._readings import BoneReader
from osteoform._result import BoneReconstruction
from osteoform._types import Reading

_LEAST_CONFIDENCE = 0.3  # of a bone that is found: those below are right about once in four times
_FIELD_MM = 200.0  # a small bone is hardly seen without that much around it


def look_again(
    found: Mapping[str, BoneReconstruction],
    fitter: BoneFitter,
    reader: BoneReader,
    *,
    given: Collection[str] = (),
) -> dict[str, BoneReconstruction]:
    """Look for every lost bone once more; what still cannot be, or is hardly right, is not found.

    Bones that are `given` by somebody's hand stay as they are.
    """
    best, tried = dict(found), set(given)
    while bone := _next_lost(best, tried, fitter):
        tried.add(bone)
        if bone in _misplaced(best, fitter):
            best[bone] = best[bone].rejected()
        for readings, told_by in _second_readings(bone, best, fitter, reader):
            fit = fitter.fit_beside(bone, readings, best)
            again = best | {bone: _as_told(fit, told_by, best[bone], fitter) if told_by else fit}
            better = again[bone].confidence > best[bone].confidence
            if better and bone not in _misplaced(again, fitter):
                best = again
            if best[bone].confidence > SURE:
                break
    return {
        bone: result
        if bone in given or result.confidence >= _LEAST_CONFIDENCE
        else result.rejected()
        for bone, result in best.items()
    }


def _misplaced(found: Mapping[str, BoneReconstruction], fitter: BoneFitter) -> tuple[str, ...]:
    return misplaced_bones(found, fitter.models, side=fitter.side, views=fitter.views)


def _expected(
    bone: str, found: Mapping[str, BoneReconstruction], fitter: BoneFitter
) -> Iterator[ExpectedBone]:
    return expected_bones(bone, found, fitter.models, side=fitter.side, views=fitter.views)


def _next_lost(
    found: Mapping[str, BoneReconstruction], tried: Collection[str], fitter: BoneFitter
) -> str | None:
    """A lost bone that was not looked for yet; first those of which a neighbour tells."""
    every = lost_bones(found, fitter.models, side=fitter.side, views=fitter.views)
    lost = [bone for bone in every if bone not in tried]
    told = (bone for bone in lost if any(_expected(bone, found, fitter)))
    return next(told, next(iter(lost), None))


def _second_readings(
    bone: str,
    found: Mapping[str, BoneReconstruction],
    fitter: BoneFitter,
    reader: BoneReader,
) -> Iterator[tuple[list[list[Reading]], ExpectedBone | None]]:
    """What a closer look shows of a bone where its neighbours expect it, and what they expect.

    Either with what is given of it by hand; the second with who tells it.
    """
    length_mm = float(np.ptp(fitter.models[bone].mean, axis=0).max())
    margin = max(MARGIN, 0.5 * (_FIELD_MM / length_mm - 1.0))
    for expected in _expected(bone, found, fitter):
        told: list[list[Reading]] = [[{bone: expected.detection(v)}] for v in fitter.views]
        closer = [
            read_crop(
                view,
                expected.box_px(view),
                reader.detector,
                side=fitter.side,
                bone=bone,
                margin=margin,
            )
            or of_view
            for view, of_view in zip(fitter.views, told, strict=True)
        ]
        for readings, told_by in ((closer, None), (told, expected)):
            with_hand = [
                reader.with_hand(bone, view, of_view)
                for view, of_view in zip(fitter.views, readings, strict=True)
            ]
            yield with_hand, told_by


def _as_told(
    fit: BoneReconstruction,
    told_by: ExpectedBone,
    before: BoneReconstruction,
    fitter: BoneFitter,
) -> BoneReconstruction:
    """A fit to what a neighbour tells: wrong where the neighbour is, and told with one error.

    Points that are off together leave the start as open as each is, however many there are. And as
    far as the fit `before` is likely right so are the features that it was made of: they have to be
    met.
    """
    told, likely = fit.evidence, before.confidence
    seen = deviations_of(told_by.model, fitter.side, fit, before.detections, fitter.views)
    met = min(told.features, share_met(seen))
    evidence = replace(
        told,
        start=max(told.start, float(np.log(told_by.sd_mm))),
        features=(1.0 - likely) * told.features + likely * met,
    )
    return fit.with_evidence(evidence, trust=told_by.confidence)
