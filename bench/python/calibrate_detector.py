"""Measure a detector file on people held out, and give it the calibration that comes of it.

    python bench/python/calibrate_detector.py FILE.onnx [--images 400] [--seed 2]

What `osteoform train` does at its end, for a file that is there already: standard deviations and
confusions are written into it, and what was measured into its card (FILE.md).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from osteoform import OnnxDetector
from osteoform.train.card import MEASURED_HEADING, measured
from osteoform.train.export import recalibrate
from osteoform.train.validate import validate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = os.environ.get("OSTEOFORM_DATA", "../shared/data")
    parser.add_argument("detector", type=Path, help="ONNX file")
    parser.add_argument("--data", type=Path, default=Path(shared) / "bones" / "llp26")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--seed", type=int, default=2, help="of the images")
    arguments = parser.parse_args()
    detector = OnnxDetector(arguments.detector)
    score = validate(
        detector, data=arguments.data, num_images=arguments.images, seed=arguments.seed
    )
    recalibrate(arguments.detector, score.calibration)
    card = arguments.detector.with_suffix(".md")
    if card.is_file():
        origin, _, _ = card.read_text(encoding="utf-8").partition(MEASURED_HEADING)
        card.write_text(origin + measured(score), encoding="utf-8")
    sys.stdout.write(measured(score))


if __name__ == "__main__":
    main()
