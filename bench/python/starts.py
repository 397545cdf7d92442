"""Whether bones are found without help: the starts that features give, and what fits make of them.

    python bench/python/starts.py --num 500 --json OUT --plot OUT.png

Studies are two simulated X-rays of legs of the people held out: ap and lateral or any two sides 60
to 90 degrees apart; leg, femur, hip, knee, patella, shank or ankle; with collimators, wires,
implants, casts, feet and other legs. A bone counts where both views show 40 % of its vertices and
six of its feature points. It is detected once and aligned to its features alone, without its
neighbours and without the image; then again with features taken away and with names exchanged.
`pose_gap` says what counts as aligned. Some studies are reconstructed in full, also with two
fifths of the features gone or three tenths of the names exchanged in every look at an image; then
what the images show of the bones that are told is compared too, bones are counted that are told
though they are not in the images, and whether an unknown side is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

import osteoform
from answers import Answer, by_outline, ratio, rows, summarise
from corrupt import misnamed, without
from machine import describe_machine
from options import legs_parser
from osteoform import BoneReconstruction, Detection, FitOptions, FitStatus, XrayView
from osteoform._closer_look import CloserLook, align_closely
from osteoform._confidence import LIKELY
from osteoform._crop import shows
from osteoform._detect import OnnxDetector
from osteoform._fit_bones import BoneFitter
from osteoform._plot import Panel, draw_panels
from osteoform._split import held_out
from osteoform._types import F64, Detector, Side
from osteoform.train.legs import load_atlas
from osteoform.train.studies import Study, sample_studies
from outline import outline_shown
from pose_gap import LIMIT_DEG, LIMIT_MM, NEARLY_ROUND, Counterparts, PoseGap, counterparts_in
from results import write_json
from shown import Shown

Corruption = Callable[[Detection, float, Generator], Detection]
Readings = Sequence[Mapping[str, Detection]]

CORRUPTIONS: Mapping[str, tuple[Corruption, tuple[float, ...]]] = {
    "removed": (without, (0.2, 0.4, 0.6)),
    "misnamed": (misnamed, (0.15, 0.3, 0.45)),
}
AS_DETECTED = ("removed", 0.0)
SPOILT = (("removed", 0.4), ("misnamed", 0.3))  # what is reconstructed in full as well
MIN_VERTICES = 0.4
MIN_POINTS = 6


@dataclass(frozen=True, kw_only=True)
class Corrupted:
    """A detector whose features are changed."""

    detector: Detector
    change: Corruption
    share: float
    rng: Generator

    def __call__(self, view: XrayView, *, side: Side, bones: Sequence[str]) -> Readings:
        return self.of(self.detector(view, side=side, bones=bones))

    def of(self, readings: Readings) -> Readings:
        """Readings with their features changed."""
        return [{b: self.change(d, self.share, self.rng) for b, d in r.items()} for r in readings]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A study that was read: which bones count, and what the detector saw in each view."""

    index: int
    study: Study = field(repr=False)
    bones: tuple[str, ...]
    readings: tuple[Readings, ...] = field(repr=False)
    counterparts: Mapping[str, Counterparts] = field(repr=False)

    @staticmethod
    def of(
        index: int,
        study: Study,
        detector: OnnxDetector,
        counterparts: Mapping[str, Counterparts],
    ) -> Seen:
        bones = tuple(bone for bone in study.vertices if shows_enough(study, bone))
        return Seen(
            index=index,
            study=study,
            bones=bones,
            readings=tuple(detector(v, side="right", bones=bones) for v in study.views),
            counterparts=counterparts,
        )

    def answer(self, bone: str, found: BoneReconstruction, *, doubted: bool) -> Answer:
        """Compare with the truth."""
        truth, seen = self.truth(bone)
        gap = PoseGap.of(bone, found.mesh, truth, axis=found.world_from_bone[:3, 2], seen=seen)
        return Answer(study=self.index, site=self.study.site, gap=gap, doubted=doubted)

    def truth(self, bone: str) -> tuple[F64, NDArray[np.bool_]]:
        """Where the model's vertices (N, 3) truly are [mm], and which of them all views show."""
        truth = self.counterparts[bone].on(self.study.vertices[bone])
        return truth, self.study.seen(truth).all(axis=0)

    def starts(
        self, detector: Detector, change: Corruption = without, share: float = 0.0
    ) -> list[Answer]:
        """Where the features, a share of them corrupted, put the bones."""
        corrupted = self._corrupted(detector, change, share)
        readings = [corrupted.of(of_view) for of_view in self.readings]
        found = self._align(readings, corrupted)
        return [
            self.answer(bone, found[bone], doubted=found[bone].status is FitStatus.NOT_FOUND)
            for bone in self.bones
        ]

    def _corrupted(self, detector: Detector, change: Corruption, share: float) -> Corrupted:
        rng = np.random.default_rng((self.index, round(100 * share)))
        return Corrupted(detector=detector, change=change, share=share, rng=rng)

    def _align(
        self, readings: Sequence[Readings], detector: Detector
    ) -> dict[str, BoneReconstruction]:
        """The starts alone; in blank images nothing but the features decides between rivals."""
        views = [_blank(view) for view in self.study.views]
        options = FitOptions(iterations=0, covariance=False)
        return self.fit(readings, detector, views=views, options=options)

    def fit(
        self,
        readings: Sequence[Readings],
        detector: Detector,
        *,
        views: Sequence[XrayView],
        options: FitOptions,
    ) -> dict[str, BoneReconstruction]:
        """Every bone from readings of its features, without a look at its neighbours."""
        fitter = BoneFitter(
            side="right",
            models={bone: osteoform.load_model(bone=bone) for bone in self.bones},
            views=views,
            options=options,
        )
        look = CloserLook(
            side="right",
            detector=detector,
            views=self.study.views,
            asked=[self.bones] * len(self.study.views),
        )
        wanted = {bone: ([_of_bone(r, bone, self) for r in readings], None) for bone in self.bones}
        return fitter.fit_all(align_closely(wanted, fitter, look))

    def reconstruct(
        self, detector: Detector, change: Corruption = without, share: float = 0.0
    ) -> tuple[list[Answer], list[float]]:
        """All of it: fit every bone, look again where the neighbours say.

        With the confidences of bones that are reported though they are not in the images.
        """
        spoilt = self._corrupted(detector, change, share)
        found = osteoform.reconstruct(self.study.views, side="right", detector=spoilt).bones
        made_up = [
            fit.confidence
            for bone, fit in found.items()
            if bone not in self.study.vertices and fit.status is not FitStatus.NOT_FOUND
        ]
        return [self._reconstructed(bone, found[bone]) for bone in self.bones], made_up

    def _reconstructed(self, bone: str, found: BoneReconstruction) -> Answer:
        doubted = found.status is FitStatus.NOT_FOUND or found.confidence < LIKELY
        answer = self.answer(bone, found, doubted=doubted)
        return replace(answer, shown=self._shown(bone, found), outline=self._outlines[bone])

    @cached_property
    def _outlines(self) -> dict[str, float]:
        """How much of the outline of every bone that counts the view shows that shows least."""
        return {bone: self._outline(bone) for bone in self.bones}

    def _outline(self, bone: str) -> float:
        truth, _ = self.truth(bone)
        faces = osteoform.load_model(bone=bone).faces
        views = zip(self.study.views, self.study.in_field, strict=True)
        return min(outline_shown(view, in_field, truth, faces) for view, in_field in views)

    def _shown(self, bone: str, found: BoneReconstruction) -> tuple[Shown, ...]:
        points, vertices = self.study.points[bone], self.study.vertices[bone]
        model = osteoform.load_model(bone=bone)
        return tuple(
            Shown.of(found, model, view, points=points, in_view=in_view, vertices=vertices)
            for view, in_view in zip(self.study.views, self.study.seen(points), strict=True)
        )

    def tells_the_side(self, detector: Detector) -> bool:
        """Whether a leg whose side is not told is reconstructed as the right one that it is."""
        return osteoform.reconstruct(self.study.views, side=None, detector=detector).side == "right"


def _of_bone(readings: Readings, bone: str, seen: Seen) -> Readings:
    nothing = {bone: Detection.empty(bone, len(seen.study.points[bone]))}
    return [{bone: r[bone]} for r in readings if shows(r, bone)] or [nothing]


def shows_enough(study: Study, bone: str) -> bool:
    """Whether both views show so much of a bone that it should be found."""
    vertices, points = study.seen(study.vertices[bone]), study.seen(study.points[bone])
    share, count = vertices.all(axis=0).mean(), points.sum(axis=1).min()
    return bool(share >= MIN_VERTICES and count >= MIN_POINTS)


def _blank(view: XrayView) -> XrayView:
    return osteoform.XrayView(
        name=view.name,
        pixels=np.zeros_like(view.pixels),
        geometry=view.geometry,
        polarity=view.polarity,
    )


def run(
    data: Path, detector: OnnxDetector, *, num: int, seed: int, num_full: int, num_sides: int
) -> dict[str, Any]:
    """All studies: starts from features as detected and corrupted, and the first in full."""
    keys = [(name, share) for name, (_, shares) in CORRUPTIONS.items() for share in shares]
    starts: dict[tuple[str, float], list[Answer]] = {key: [] for key in (AS_DETECTED, *keys)}
    full: dict[tuple[str, float], list[Answer]] = {key: [] for key in (AS_DETECTED, *SPOILT)}
    made_up: dict[tuple[str, float], list[float]] = {key: [] for key in full}
    sides: list[bool] = []
    for seen in _read(data, detector, num, seed):
        for (name, part), answers in starts.items():
            answers += seen.starts(detector, CORRUPTIONS[name][0], part)
        for name, part in full if seen.index < num_full else ():
            answers, others = seen.reconstruct(detector, CORRUPTIONS[name][0], part)
            full[name, part] += answers
            made_up[name, part] += others
        if seen.index < num_sides and seen.bones:
            sides.append(seen.tells_the_side(detector))
    return {
        "limits": {"shift_mm": LIMIT_MM, "rotation_deg": LIMIT_DEG, "swing_only": NEARLY_ROUND},
        "starts": summarise(starts[AS_DETECTED]),
        "corrupted": rows(starts, keys),
        "reconstructed": summarise(full[AS_DETECTED]),
        "reconstructed_by_outline": by_outline(full[AS_DETECTED]),
        "reconstructed_corrupted": rows(full, SPOILT),
        "not_in_the_images": [
            {"corruption": name, "share": part, **_believed(made_up[name, part])}
            for name, part in made_up
        ],
        "right_side": {"studies": len(sides), "share": ratio(sum(sides), len(sides))},
        "wrong_starts": [a.plain() for a in starts[AS_DETECTED] if not a.gap.aligned],
        "wrong_reconstructions": [a.plain() for a in full[AS_DETECTED] if not a.gap.aligned],
    }


def _believed(confidences: Sequence[float]) -> dict[str, int]:
    return {"reported": len(confidences), "not_doubted": sum(c >= LIKELY for c in confidences)}


def _read(data: Path, detector: OnnxDetector, num: int, seed: int) -> Iterator[Seen]:
    atlas = load_atlas(data, held_out())
    counterparts = counterparts_in(atlas)
    for index, study in enumerate(sample_studies(atlas, num, seed)):
        yield Seen.of(index, study, detector, counterparts)


def draw(values: Mapping[str, Any], path: Path) -> None:
    """Curves over all bones: how many starts and results are aligned, and doubt of the others."""
    panels = []
    for corruption, (_, shares) in CORRUPTIONS.items():
        of_kind = [r for r in values["corrupted"] if r["corruption"] == corruption]
        of_all = [values["starts"]["all"], *(r["bones"]["all"] for r in of_kind)]
        panels.append(_panel("starts aligned [%]", corruption, (0.0, *shares), of_all, "aligned"))
    for name, title in (
        ("aligned", "reconstructed: aligned [%]"),
        ("far_and_doubted", "off by twice the limits: doubted [%]"),
    ):
        spoilt = [r["bones"]["all"] for r in values["reconstructed_corrupted"]]
        of_all = [values["reconstructed"]["all"], *spoilt]
        labels = ("as seen", *(f"{100 * part:g} % {what}" for what, part in SPOILT))
        panels.append(_panel(title, "", labels, of_all, name))
    draw_panels(panels).save(path, format="PNG")


def _panel(
    title: str,
    corruption: str,
    labels: Sequence[float | str],
    of_all: Sequence[Mapping[str, Any]],
    name: str,
) -> Panel:
    return Panel(
        title=title,
        x_label=f"features {corruption} [%]" if corruption else "",
        values=100.0 * np.array([row[name] or 0.0 for row in of_all]),
        labels=tuple(s if isinstance(s, str) else f"{100 * s:g}" for s in labels),
        bars=not corruption,
    )


def main() -> None:
    parser = legs_parser(__doc__, seed=0)
    parser.add_argument("--detector", type=Path, help="ONNX file; default: the shipped one")
    parser.add_argument("--num", type=int, default=500, help="studies")
    parser.add_argument("--full", type=int, default=60, help="studies reconstructed in full")
    parser.add_argument("--sides", type=int, default=0, help="studies asked for their side too")
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    detector = OnnxDetector(arguments.detector, num_threads=1)
    values = run(
        arguments.data,
        detector,
        num=arguments.num,
        seed=arguments.seed,
        num_full=arguments.full,
        num_sides=arguments.sides,
    )
    about = {"machine": describe_machine(), "studies": arguments.num, "seed": arguments.seed}
    about["detector"] = arguments.detector.name if arguments.detector else "shipped"
    write_json(arguments.json, about | values)
    if arguments.plot:
        draw(values, arguments.plot)


if __name__ == "__main__":
    main()
