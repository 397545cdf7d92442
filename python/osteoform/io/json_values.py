"""Values of a JSON file; what is wrong is said with its place, what was found and what was needed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from osteoform._errors import StudyError
from osteoform._types import F64


def read_json(file: Path, content: str) -> Any:
    """What a file holds; `content` names what it should be: "a study"."""
    if not file.is_file():
        raise StudyError(f"{file}: needed {content} file, found none")
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique_keys)
    except UnicodeDecodeError:
        raise StudyError(f"{file}: needed JSON in UTF-8, found other bytes") from None
    except ValueError as error:
        raise StudyError(f"{file}: needed JSON, found an error: {error}") from None
    except RecursionError:
        raise StudyError(f"{file}: needed {content}, found JSON nested too deeply") from None
    except OSError as error:
        raise StudyError(f"{file}: cannot be read: {error.strerror}") from None


def mapping(value: Any, where: str) -> dict[str, Any]:
    """An object with keys; `where` begins the message."""
    if not isinstance(value, dict):
        raise StudyError(f"{where}: needed an object with keys, found {_short(value)}")
    return value


def check_keys(
    entry: Mapping[str, Any], allowed: Sequence[str], where: str, *, optional: Sequence[str]
) -> None:
    """Refuse an entry with a key that is not allowed, or without one that is not optional."""
    missing = [key for key in allowed if key not in entry and key not in optional]
    if missing:
        raise StudyError(
            f"{where}: needed the key {missing[0]!r}, found {', '.join(map(repr, entry)) or 'none'}"
        )
    unknown = [key for key in entry if key not in allowed]
    if unknown:
        raise StudyError(
            f"{where}: found the unknown key {unknown[0]!r}, needed {', '.join(allowed)}"
        )


def matrix(entry: Mapping[str, Any], key: str, size: int, where: str) -> F64:
    """A square matrix (size, size), row by row."""
    rows = entry[key]
    needed = f"{size} rows of {size} finite numbers"
    if not isinstance(rows, list) or any(not isinstance(row, list) for row in rows):
        raise wrong(where, key, rows, needed)
    if len(rows) != size or any(len(row) != size for row in rows):
        raise wrong(where, key, f"rows of {[len(row) for row in rows]}", needed)
    if any(not is_number(value) for row in rows for value in row):
        raise wrong(where, key, rows, needed)
    return np.array(rows, dtype=np.float64)


def numbers(entry: Mapping[str, Any], key: str, size: int, where: str) -> tuple[float, ...]:
    """A list of `size` finite numbers."""
    values = entry[key]
    if not isinstance(values, list) or len(values) != size or not all(map(is_number, values)):
        raise wrong(where, key, values, f"{size} finite numbers")
    return tuple(map(float, values))


def number(entry: Mapping[str, Any], key: str, where: str) -> float:
    """A finite number."""
    if not is_number(entry[key]):
        raise wrong(where, key, entry[key], "a finite number")
    return float(entry[key])


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that a double holds; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < 1e300


def wrong(where: str | Path, key: str, found: Any, needed: str) -> StudyError:
    """The error for a key whose value cannot be used."""
    return StudyError(f"{where}: {key!r} must be {needed}, found {_short(found)}")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} comes twice")
    return entry


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
