"""Which people the shipped models and networks have never seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from osteoform._tables import shipped_table


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
    collection: dict[str, Any] = shipped_table("split")["llp26"]
    return collection
