"""Along how much of a rim the X-ray's edges are off together.

    python bench/python/edge_correlation.py --json OUT

Bones of people the detector learned from are reconstructed from studies of all kinds (see
`starts.py`). Where they are right, the offsets of the edges from the rim are compared by how far
apart they lie. Twice the integral of their correlation over the distance is the length of rim that
tells as much as one edge: `boundary_correlation_mm`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import osteoform
from machine import describe_machine
from options import legs_parser
from osteoform import BoneReconstruction, FitStatus, XrayView
from osteoform._detect import OnnxDetector
from osteoform._split import learned_from
from osteoform._types import BONES, F32, F64
from osteoform.train.legs import load_atlas
from osteoform.train.studies import sample_studies
from pose_gap import counterparts_in
from results import write_json
from shown import px_per_mm
from starts import Seen, shows_enough

REACH_MM = 20  # beyond, nothing is left but chance
MOST_OFF_MM = 3.0  # edges farther off belong to something else
SAME_WAY = 0.5  # cosine between normals, of points on the same side of a bone
FEWEST_EDGES = 30  # of a rim that is compared
MOST_POINTS = 700  # of a rim, drawn at random: every pair is compared


@dataclass(kw_only=True)
class Pairs:
    """Products of offsets [mm^2] by distance, a millimetre per bin, and their squares."""

    products: F64 = field(default_factory=lambda: np.zeros(REACH_MM))
    counts: F64 = field(default_factory=lambda: np.zeros(REACH_MM))
    squares: list[float] = field(default_factory=list)

    def add(self, at_mm: F64, normals: F64, offsets_mm: F64) -> None:
        """All pairs of one rim's points (n, 2), normals (n, 2) and offsets (n,)."""
        apart = np.linalg.norm(at_mm[:, None] - at_mm, axis=2)
        np.fill_diagonal(apart, np.inf)
        counted = (apart < REACH_MM) & (normals @ normals.T > SAME_WAY)
        bins = apart[counted].astype(int)
        products = np.outer(offsets_mm, offsets_mm)[counted]
        self.products += np.bincount(bins, products, REACH_MM)
        self.counts += np.bincount(bins, minlength=REACH_MM)
        self.squares.append(float((offsets_mm**2).mean()))

    def summary(self) -> dict[str, Any]:
        """Correlation by distance, and the length of rim that tells as much as one edge."""
        by_distance = self.products / np.maximum(self.counts, 1.0) / np.mean(self.squares)
        return {
            "rims": len(self.squares),
            "rms_mm": round(float(np.sqrt(np.mean(self.squares))), 3),
            "correlation_per_mm": by_distance.round(3).tolist(),
            "together_mm": round(2.0 * float(np.clip(by_distance, 0.0, None).sum()), 1),
        }


def rims_of(
    found: BoneReconstruction, views: tuple[XrayView, ...]
) -> Iterator[tuple[F64, F64, F64]]:
    """Per view points and normals (n, 2) of the rims with an edge, and its offset [mm] (n,)."""
    for rim, edge, view in zip(found.rims, found.boundary_px, views, strict=True):
        scale = px_per_mm(view, found.world_from_bone[:3, 3])
        points, normals = rim[:, :2].astype(np.float64), rim[:, 2:].astype(np.float64)
        offsets = _along(edge, points, normals) / scale
        with np.errstate(invalid="ignore"):
            kept = np.flatnonzero(np.abs(offsets) < MOST_OFF_MM)
        if len(kept) > MOST_POINTS:
            kept = np.random.default_rng(0).permutation(kept)[:MOST_POINTS]
        if len(kept) < FEWEST_EDGES:
            continue
        yield points[kept] / scale, normals[kept], offsets[kept]


def _along(edge: F32, points: F64, normals: F64) -> F64:
    return np.asarray(((edge - points) * normals).sum(axis=1))


def run(data: Path, *, num: int, seed: int) -> dict[str, Any]:
    """All studies; per bone what its right fits say."""
    atlas = load_atlas(data, learned_from())
    counterparts, detector = counterparts_in(atlas), OnnxDetector(None, num_threads=1)
    pairs = {bone: Pairs() for bone in BONES}
    for index, study in enumerate(sample_studies(atlas, num, seed)):
        bones = tuple(bone for bone in study.vertices if shows_enough(study, bone))
        if not bones:
            continue
        seen = Seen(index=index, study=study, bones=bones, readings=(), counterparts=counterparts)
        found = osteoform.reconstruct(study.views, side="right", detector=detector).bones
        for bone in bones:
            if found[bone].status is FitStatus.NOT_FOUND:
                continue
            if seen.answer(bone, found[bone], doubted=False).gap.aligned:
                for rim in rims_of(found[bone], study.views):
                    pairs[bone].add(*rim)
    return {bone: of_bone.summary() for bone, of_bone in pairs.items()}


def main() -> None:
    parser = legs_parser(__doc__, seed=5)
    parser.add_argument("--num", type=int, default=100, help="studies")
    arguments = parser.parse_args()
    about = {"machine": describe_machine(), "studies": arguments.num, "seed": arguments.seed}
    values = about | {"bones": run(arguments.data, num=arguments.num, seed=arguments.seed)}
    write_json(arguments.json, values)


if __name__ == "__main__":
    main()
