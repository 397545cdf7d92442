"""The look of the simulated X-rays, for `_harmonize`."""

from __future__ import annotations

from pathlib import Path

from osteoform._harmonize import Appearance
from osteoform._split import learned_from
from osteoform._types import F64
from osteoform.train.validate import simulated_cases

_PERCENT = {"least": 10, "greatest": 90}

_HEAD = """# SPDX-License-Identifier: Apache-2.0
# The look of {num_images} simulated X-rays, normalised, of the people that are not held out: quantiles of the values,
# and the amplitude per band of radial frequency (`Appearance` in _harmonize.py). Made by
# python -c 'from osteoform.train.appearance import write_appearance as w; w("LLP26", "appearance.toml", {num_images}, {seed})'
"""
_RANGE = """
[{name}] # {percent}th percentile
quantiles = [
{quantiles}
]
amplitudes = [
{amplitudes}
]
"""


def write_appearance(data: Path | str, path: Path | str, num_images: int, seed: int) -> None:
    """Simulate X-rays of bones in the folder `data` and write the range of their looks."""
    cases = simulated_cases(Path(data), learned_from(), num_images, seed)
    each = [Appearance.of(case.values) for case in cases]
    text = _HEAD.format(num_images=num_images, seed=seed)
    for name, percent in _PERCENT.items():
        look = Appearance.percentile(each, percent)
        text += _RANGE.format(
            name=name,
            percent=percent,
            quantiles=_lines(look.quantiles),
            amplitudes=_lines(look.amplitudes),
        )
    Path(path).write_text(text, encoding="utf-8")


def _lines(numbers: F64) -> str:
    """Eight numbers a line."""
    return "\n".join(
        "  " + " ".join(f"{number:.4f}," for number in numbers[start : start + 8])
        for start in range(0, len(numbers), 8)
    )
