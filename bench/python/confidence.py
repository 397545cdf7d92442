"""How likely bones are right: the coefficients of `_confidence.py`, and whether they keep their word.

    python bench/python/confidence.py --json OUT [--write]

Bones are fitted in simulated X-rays of the people the detector learned from: studies of all kinds
(see `starts.py`), and planned views of whole bones as `osteoform evaluate` takes them, in both views
and in the first alone. In studies of all kinds every bone counts twice: as it is fitted by itself,
and as `reconstruct` tells it once its neighbours had their say, those included that they made up. A
logistic regression of "right" on what every fit knows of itself gives the coefficients; they are
tried on people held out. Right is, with two views, within 5 mm and 5 degrees (`PoseGap`), and with
one, that its image is within 5 mm (`shown_gap_mm`); a bone that is not there is wrong. Which bones
are looked for again depends on the coefficients that the package had when the script began.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

import osteoform
from machine import describe_machine
from options import legs_parser
from osteoform import BoneReconstruction, FitOptions, FitStatus, Mesh
from osteoform._confidence import SLOPES, Evidence, Table, probability_right, table_name
from osteoform._detect import OnnxDetector
from osteoform._split import held_out, learned_from
from osteoform._types import BONES, F64
from osteoform.evaluate import Protocol, Subject, take_xrays
from osteoform.train.legs import LegAtlas, load_atlas
from osteoform.train.studies import Study, sample_studies
from pose_gap import LIMIT_MM, counterparts_in, shown_gap_mm
from results import write_json
from starts import Seen

SPEAK_FOR = ("agreement", "features", "seen")
THRESHOLDS = (0.3, 0.5, 0.7)
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
RIDGE = 0.5
LEAST_SPREAD = 1e-9
OPTIONS = FitOptions(covariance=False, num_threads=1)
TABLE = Path(__file__).parents[2] / "python" / "osteoform" / "data" / "confidence.toml"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One bone fitted: what the fit knows, and whether it is right.

    `kind` is of the study: "any" or "planned"; `part` of the table it belongs to.
    """

    kind: str
    part: str
    bone: str
    evidence: Evidence
    right: bool


def cases(
    data: Path, people: Sequence[int], detector: OnnxDetector, *, num: int, repeats: int, seed: int
) -> Iterator[Case]:
    """Fits in `num` studies of all kinds, and `repeats` times in planned views of every bone."""
    atlas = load_atlas(data, people)
    counterparts = counterparts_in(atlas)
    for study in sample_studies(atlas, num, seed):
        for shown in _with_all_views_and_one(study):
            seen = Seen.of(0, shown, detector, counterparts)
            yield from _fitted("any", seen, detector)
            yield from _told(seen, detector)
    for index in range(repeats * len(people)):
        for bone in BONES:
            study = planned_study(
                atlas, bone, index % len(people), (seed, index, BONES.index(bone))
            )
            for shown in _with_all_views_and_one(study):
                yield from _fitted("planned", Seen.of(0, shown, detector, counterparts), detector)


def _with_all_views_and_one(study: Study) -> tuple[Study, Study]:
    return study, replace(study, views=study.views[:1], in_field=study.in_field[:1])


def _fitted(kind: str, seen: Seen, detector: OnnxDetector) -> Iterator[Case]:
    """Cases of all bones that are shown enough, each fitted by itself."""
    if not seen.bones:
        return
    found = seen.fit(seen.readings, detector, views=seen.study.views, options=OPTIONS)
    for bone, fit in found.items():
        if fit.status is not FitStatus.NOT_FOUND:
            yield _case(kind, seen, bone, fit)


def _told(seen: Seen, detector: OnnxDetector) -> Iterator[Case]:
    """Cases of all bones that are reported, if they are shown enough to judge or not there at all."""
    views = seen.study.views
    found = osteoform.reconstruct(views, side="right", detector=detector, options=OPTIONS)
    for bone, fit in found.bones.items():
        judged = bone in seen.bones or bone not in seen.study.vertices
        if judged and fit.status is not FitStatus.NOT_FOUND:
            yield _case("any", seen, bone, fit)


def _case(kind: str, seen: Seen, bone: str, fit: BoneReconstruction) -> Case:
    right = bone in seen.bones and _right(seen, bone, fit)
    part = table_name(len(seen.study.views))
    return Case(kind=kind, part=part, bone=bone, evidence=fit.evidence, right=right)


def _right(seen: Seen, bone: str, fit: BoneReconstruction) -> bool:
    if len(seen.study.views) > 1:
        return seen.answer(bone, fit, doubted=False).gap.aligned
    truth, visible = seen.truth(bone)
    return shown_gap_mm(fit.mesh, truth, seen.study.views, visible) <= LIMIT_MM


def planned_study(atlas: LegAtlas, bone: str, person: int, seed: tuple[int, ...]) -> Study:
    """A whole bone of a person from the front and the side, with mean bones around it."""
    rng = np.random.default_rng(seed)
    vertices = atlas.vertices[bone][person].astype(np.float32)
    mesh = Mesh(vertices=vertices, faces=atlas.faces[bone])
    subject = Subject(
        name=bone, mesh=mesh, model=osteoform.load_model(bone=bone), rotation=np.eye(3)
    )
    _, _, trial = take_xrays(subject, Protocol(side="right"), rng)
    truth = trial.truth.vertices.astype(np.float64)
    return Study(
        site="planned",
        views=trial.views,
        in_field=tuple(np.ones(view.pixels.shape, np.bool_) for view in trial.views),
        vertices={bone: truth},
        points={bone: atlas.features[bone].points(truth)},
    )


def regress(found: Sequence[Case]) -> dict[str, dict[str, float]]:
    """Slopes of the evidence and an offset per bone, with a slight pull towards none.

    What speaks for a bone may have no slope against it. Where the images tell nothing no slope is
    asked.
    """
    found = [case for case in found if case.evidence.tells]
    rows = np.array([[getattr(c.evidence, name) for name in SLOPES] for c in found])
    middle, scale = rows.mean(axis=0), rows.std(axis=0)
    scale[scale < LEAST_SPREAD] = np.inf  # what never changes tells nothing: one view is even
    own = np.array([[c.bone == bone for bone in BONES] for c in found], np.float64)
    design = np.hstack([(rows - middle) / scale, own])
    right = np.array([c.right for c in found], np.float64)

    def loss(w: F64) -> tuple[float, F64]:
        score = design @ w
        gradient = design.T @ (1 / (1 + np.exp(-score)) - right) + RIDGE * w
        return float((np.logaddexp(0, score) - right * score).sum() + RIDGE / 2 * w @ w), gradient

    limits = [(0.0, None) if name in SPEAK_FOR else (None, 0.0) for name in SLOPES]
    free = [(None, None)] * len(BONES)
    w = minimize(loss, np.zeros(design.shape[1]), jac=True, bounds=limits + free).x
    slopes = w[: len(SLOPES)] / scale
    offsets = w[len(SLOPES) :] - slopes @ middle
    return {
        "slope": dict(zip(SLOPES, (slopes.round(3) + 0.0).tolist(), strict=True)),
        "offset": dict(zip(BONES, offsets.round(3).tolist(), strict=True)),
    }


def summarise(found: Sequence[Case], told: F64) -> dict[str, Any]:
    """How often bones of each probability are right, and what a threshold would turn away."""
    right = np.array([c.right for c in found])
    return {
        "cases": len(found),
        "right": _share(right),
        "area_under_curve": _share(told[right][:, None] > told[~right][None]),
        "reliability": [_bin(told, right, low, high) for low, high in pairwise(BINS)],
        "turned_away": {
            str(t): {
                "of_the_wrong": _share((told < t)[~right]),
                "of_the_right": _share((told < t)[right]),
            }
            for t in THRESHOLDS
        },
    }


def _bin(told: F64, right: NDArray[np.bool_], low: float, high: float) -> dict[str, Any]:
    inside = (told >= low) & (told <= high if high == 1.0 else told < high)
    return {"from": low, "to": high, "cases": int(inside.sum()), "right": _share(right[inside])}


def _share(of: NDArray[np.bool_]) -> float | None:
    """Share of what is true; for the area under the curve, of all pairs of a right and a wrong."""
    return round(float(of.mean()), 3) if of.size else None


def write_table(tables: Mapping[str, dict[str, dict[str, float]]]) -> None:
    """Put the coefficients into the package, under the head of its file."""
    head = TABLE.read_text(encoding="utf-8").split("\n\n")[0]
    parts = [
        "\n".join([f"[{part}.{name}]", *(f"{key} = {value}" for key, value in row.items())])
        for part, table in tables.items()
        for name, row in table.items()
    ]
    TABLE.write_text("\n\n".join([head, *parts]) + "\n", encoding="utf-8")


def main() -> None:
    parser = legs_parser(__doc__, seed=12)
    parser.add_argument("--num", type=int, default=300, help="studies of all kinds")
    parser.add_argument("--repeats", type=int, default=1, help="times each bone in planned views")
    parser.add_argument("--write", action="store_true", help="put the coefficients in the package")
    arguments = parser.parse_args()
    detector = OnnxDetector(None, num_threads=1)

    def gather(people: Sequence[int], *, num: int, seed: int) -> list[Case]:
        return list(
            cases(arguments.data, people, detector, num=num, repeats=arguments.repeats, seed=seed)
        )

    learned = gather(learned_from(), num=arguments.num, seed=arguments.seed)
    parts = sorted({case.part for case in learned})
    tables = {part: regress([c for c in learned if c.part == part]) for part in parts}
    if arguments.write:
        write_table(tables)
    apart = gather(held_out(), num=arguments.num // 3, seed=arguments.seed + 1)
    values: dict[str, Any] = {"machine": describe_machine(), "tables": tables}
    for name, found in (("learned_from", learned), ("held_out", apart)):
        values[name] = {
            f"{part}, {kind}": _summary(
                [c for c in found if (c.part, c.kind) == (part, kind)], tables[part]
            )
            for part in parts
            for kind in ("any", "planned")
        }
    write_json(arguments.json, values)


def _summary(found: Sequence[Case], table: Table) -> dict[str, Any]:
    return summarise(found, np.array([probability_right(c.bone, c.evidence, table) for c in found]))


if __name__ == "__main__":
    main()
