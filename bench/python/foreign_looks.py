"""What a changed look costs the detector, and what the classical harmonizer wins back.

    python bench/python/foreign_looks.py DATA/bones/llp26 --json OUT

Simulated X-rays of people held out, normalised, are blurred, sharpened, and so on, and read as they
are and harmonized. Errors [network px] are of reported points in view; `found` is the share of the
points in view that are reported, `false` the share of the reported points that are not in view.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.ndimage import gaussian_filter

from machine import describe_machine
from osteoform._detect import OnnxDetector
from osteoform._harmonize import MatchAppearance
from osteoform._peaks import MIN_MASS
from osteoform.train.validate import Case, read, validation_cases
from results import write_json

F32 = NDArray[np.float32]
Change = Callable[[F32], F32]


def sharpened(values: F32, width_px: float, strength: float) -> F32:
    """Unsharp masking."""
    return np.clip(values + strength * (values - gaussian_filter(values, width_px)), -3.0, 3.0)


def equalized(values: F32) -> F32:
    """Every grey value equally often, from -2 to 2."""
    rank = values.ravel().argsort().argsort().reshape(values.shape)
    return (4.0 * rank / values.size - 2.0).astype(np.float32)


def noisy(values: F32) -> F32:
    """White noise of half the local contrast."""
    noise = np.random.default_rng(0).normal(0.0, 0.5, values.shape)
    return (values + noise).astype(np.float32)


LOOKS: dict[str, Change] = {
    "as simulated": lambda values: values,
    "blurred, 1.5 px": lambda values: gaussian_filter(values, 1.5),
    "blurred, 3 px": lambda values: gaussian_filter(values, 3.0),
    "sharpened": lambda values: sharpened(values, 1.5, 3.0),
    "sharpened much": lambda values: sharpened(values, 3.0, 5.0),
    "noisy": noisy,
    "equalized": equalized,
    "half contrast": lambda values: 0.5 * values,
}


def score(detector: OnnxDetector, cases: Sequence[Case], change: Change) -> dict[str, float]:
    """Read all images after a change of their look."""
    errors, seen, told = [], [], []
    for case in cases:
        peaks = read(detector, change(case.values)).peaks[0]
        seen.append(case.truth["visible"] > 0)
        told.append(peaks.mass >= MIN_MASS)
        errors.append(np.linalg.norm(peaks.at_px - case.truth["points"], axis=1))
    error, visible, reported = map(np.concatenate, (errors, seen, told))
    both = visible & reported
    return {
        "median_px": float(np.median(error[both])),
        "p90_px": float(np.percentile(error[both], 90)),
        "found": float(both.sum() / visible.sum()),
        "false": float(1.0 - both.sum() / max(1, reported.sum())),
    }


def main() -> None:
    """Print a line per look; write all numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bones", type=Path)
    parser.add_argument("--detector", type=Path)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    console = Console(width=110)
    detector, match = OnnxDetector(args.detector), MatchAppearance.simulated()
    cases = list(validation_cases(args.bones, args.images, args.seed))
    results: dict[str, dict[str, dict[str, float]]] = {}
    for name, change in LOOKS.items():
        results[name] = {
            "none": score(detector, cases, change),
            "classical": score(detector, cases, lambda values, made=change: match(made(values))),
        }
        for way, found in results[name].items():
            numbers = " ".join(f"{key} {value:.3f}" for key, value in found.items())
            console.print(f"{name:16} {way:10} {numbers}", highlight=False)
    if args.json:
        values = {
            "machine": describe_machine(),
            "detector": detector.facts.origin,
            "num_images": args.images,
            "seed": args.seed,
            "looks": results,
        }
        write_json(args.json, values)


if __name__ == "__main__":
    main()
