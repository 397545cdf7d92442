"""Which people the shipped models and networks have never seen."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path


def held_out() -> tuple[int, ...]:
    """Indices of the people of the LLP26 collection kept for testing.

    No shipped detector was trained on an image of their bones; accuracy is reported on them.
    """
    text = files("osteoform").joinpath("data/split.toml").read_text(encoding="utf-8")
    return tuple(int(index) for index in tomllib.loads(text)["llp26"]["held_out"])


def held_out_in(path: Path) -> tuple[int, ...] | None:
    """Indices of the people kept for testing in a file of the collection; None in other files."""
    return held_out() if path.stem.lower().startswith("llp26") else None
