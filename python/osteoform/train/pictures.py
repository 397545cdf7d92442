"""What a detector sees, to look at: held-out cases with the features told and where they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from osteoform._detect import OnnxDetector
from osteoform._normalize import CLIP
from osteoform._peaks import MIN_MASS
from osteoform._types import BONES
from osteoform.train.validate import Case, read

_TILE_PX = 256
_ENLARGED = 2
_COLUMNS = 4
_COLOURS = {
    "femur": (255, 120, 60),
    "tibia": (70, 200, 255),
    "fibula": (255, 235, 80),
    "patella": (190, 120, 255),
}


def draw_cases(detector: OnnxDetector, cases: Sequence[Case]) -> Image.Image:
    """Draw a sheet of cases: a dot where a feature is told, a line from there to the truth."""
    rows = -(-len(cases) // _COLUMNS)
    side = _ENLARGED * _TILE_PX
    sheet = Image.new("RGB", (_COLUMNS * side, rows * side))
    for k, case in enumerate(cases):
        sheet.paste(_draw_case(detector, case), (k % _COLUMNS * side, k // _COLUMNS * side))
    return sheet


def _draw_case(detector: OnnxDetector, case: Case) -> Image.Image:
    grey = (255 * np.clip((case.values / CLIP + 1.0) / 2.0, 0.0, 1.0)).astype(np.uint8)
    height, width = grey.shape
    tile = Image.fromarray(grey).resize((_ENLARGED * width, _ENLARGED * height)).convert("RGB")
    pen = ImageDraw.Draw(tile)
    peaks = read(detector, case.values).peaks[0]
    for bone in BONES:
        points, centers = detector.facts.heat_channels(bone)
        told = [c for c in range(points.start, centers.stop) if peaks.mass[c] >= MIN_MASS]
        for c in told:
            at = _ENLARGED * (peaks.at_px[c] + 0.5)
            u, v = float(at[0]), float(at[1])
            if case.truth["visible"][c] > 0:
                true = _ENLARGED * (case.truth["points"][c] + 0.5)
                pen.line((u, v, float(true[0]), float(true[1])), fill=(0, 230, 0), width=1)
            pen.ellipse((u - 3, v - 3, u + 3, v + 3), fill=_COLOURS[bone])
    return tile
