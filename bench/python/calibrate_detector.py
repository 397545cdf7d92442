"""Measure a detector file on people held out, and give it the calibration that comes of it.

    python bench/python/calibrate_detector.py FILE.onnx [--images 400] [--seed 2] [--json OUT]

What `osteoform train` does at its end, for a file that is there already: standard deviations and
confusions are written into it, and what was measured into its card (FILE.md).
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from options import legs_parser
from osteoform import OnnxDetector
from osteoform.train.card import MEASURED_HEADING, measured
from osteoform.train.export import recalibrate
from osteoform.train.validate import validate
from results import write_json


def main() -> None:
    parser = legs_parser(__doc__, seed=2, writes=False)
    parser.add_argument("detector", type=Path, help="ONNX file")
    parser.add_argument("--images", type=int, default=400)
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
    if arguments.json is not None:
        write_json(arguments.json, asdict(score))
    sys.stdout.write(measured(score))


if __name__ == "__main__":
    main()
