"""Which people the shipped models and networks have never seen."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any


def held_out() -> tuple[int, ...]:
    """Indices of the people of the LLP26 collection kept for testing.

    No shipped detector was trained on an image of their bones; accuracy is reported on them.
    """
    return tuple(int(index) for index in _llp26()["held_out"])


def learned_from() -> tuple[int, ...]:
    """Indices of the others, of whom training may simulate X-rays."""
    return tuple(sorted(set(range(_llp26()["people"])) - set(held_out())))


def held_out_in(path: Path) -> tuple[int, ...] | None:
    """Indices of the people kept for testing in a file of the collection; None in other files."""
    return held_out() if path.stem.lower().startswith("llp26") else None


def _llp26() -> dict[str, Any]:
    text = files("osteoform").joinpath("data/split.toml").read_text(encoding="utf-8")
    collection: dict[str, Any] = tomllib.loads(text)["llp26"]
    return collection
