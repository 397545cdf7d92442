"""The study file: which images, how each was taken, and which bones to look for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from osteoform._core import ConeView, SlotView
from osteoform._errors import InputError, StudyError
from osteoform._types import BONES, F64, Polarity, Side, XrayView
from osteoform.io.images import read_image

STUDY_VERSION = 1
_STUDY_KEYS = ("study", "side", "bones", "views")
_VIEW_KEYS = ("name", "image", "polarity", "geometry")
_CONE_KEYS = ("type", "K", "view_from_world")
_SLOT_NUMBERS = ("focal_px", "principal_u_px", "row_pitch_mm", "first_row_mm")


@dataclass(frozen=True, kw_only=True)
class Study:
    """One leg as its study file describes it, images read."""

    path: Path
    side: Side
    bones: tuple[str, ...]
    views: tuple[XrayView, ...]


def read_study(path: str | Path) -> Study:
    """Read a study file (JSON) and the images it names, relative to itself.

    Parameters
    ----------
    path
        The file, or a folder that holds `study.json`.

    Returns
    -------
    Study
        Geometry in the study's world [mm].

    Raises
    ------
    StudyError
        A file is missing or damaged, a key is missing, unknown or wrong; the message names the
        key, what was found and what was needed.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "study.json"
    study = _mapping(_read_json(file), str(file))
    _check_keys(study, _STUDY_KEYS, str(file), optional=())
    if study["study"] != STUDY_VERSION or isinstance(study["study"], bool):
        raise _wrong(file, "study", study["study"], f"the version {STUDY_VERSION}")
    if study["side"] not in get_args(Side):
        raise _wrong(file, "side", study["side"], "'left' or 'right'")
    bones = _bones(study["bones"], file)
    entries = study["views"]
    if not isinstance(entries, list) or not entries:
        raise _wrong(file, "views", entries, "a list of one view or more")
    views = tuple(_read_view(entry, i, file) for i, entry in enumerate(entries))
    names = [view.name for view in views]
    if len(set(names)) != len(names):
        raise _wrong(file, "views", names, "a different name for each view")
    return Study(path=file, side=study["side"], bones=bones, views=views)


def _read_json(file: Path) -> Any:
    if not file.is_file():
        raise StudyError(f"{file}: needed a study file, found none")
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique_keys)
    except UnicodeDecodeError:
        raise StudyError(f"{file}: needed JSON in UTF-8, found other bytes") from None
    except ValueError as error:
        raise StudyError(f"{file}: needed JSON, found an error: {error}") from None
    except RecursionError:
        raise StudyError(f"{file}: needed a study, found JSON nested too deeply") from None
    except OSError as error:
        raise StudyError(f"{file}: cannot be read: {error.strerror}") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} comes twice")
    return entry


def _bones(value: Any, file: Path) -> tuple[str, ...]:
    needed = f"a list of different bones out of {', '.join(BONES)}"
    if not isinstance(value, list) or not value:
        raise _wrong(file, "bones", value, needed)
    if any(not isinstance(bone, str) or bone not in BONES for bone in value):
        raise _wrong(file, "bones", value, needed)
    if len(set(value)) != len(value):
        raise _wrong(file, "bones", value, needed)
    return tuple(value)


def _read_view(entry: Any, index: int, file: Path) -> XrayView:
    where = f"{file}: views[{index}]"
    view = _mapping(entry, where)
    _check_keys(view, _VIEW_KEYS, where, optional=("polarity", "name"))
    name = view.get("name", f"view {index + 1}")
    if not isinstance(name, str) or not name:
        raise _wrong(where, "name", name, "text")
    polarity = view.get("polarity")
    if polarity is not None and polarity not in get_args(Polarity):
        raise _wrong(where, "polarity", polarity, "'dark_is_dense' or 'bright_is_dense'")
    image = view["image"]
    if not isinstance(image, str) or not image or "\0" in image:
        raise _wrong(where, "image", image, "the path of an image")
    try:
        pixels = read_image(file.parent / image)
    except StudyError as error:
        raise StudyError(f"{where}.image: {error}") from None
    return XrayView(
        name=name,
        pixels=pixels,
        geometry=read_geometry(view["geometry"], f"{where}.geometry"),
        polarity=cast("Polarity | None", polarity),
    )


def read_geometry(value: Any, where: str) -> ConeView | SlotView:
    """A view's geometry from its entry in a study file; `where` begins the messages."""
    entry = _mapping(value, where)
    kind = entry.get("type")
    if kind not in ("cone", "slot"):
        raise _wrong(where, "type", kind, "'cone' or 'slot'")
    try:
        if kind == "cone":
            _check_keys(entry, _CONE_KEYS, where, optional=())
            return ConeView(
                K=_matrix(entry, "K", 3, where),
                view_from_world=_matrix(entry, "view_from_world", 4, where),
            )
        _check_keys(entry, ("type", *_SLOT_NUMBERS, "view_from_world"), where, optional=())
        numbers = {key: _number(entry, key, where) for key in _SLOT_NUMBERS}
        return SlotView(view_from_world=_matrix(entry, "view_from_world", 4, where), **numbers)
    except InputError as error:
        raise StudyError(f"{where}: {error}") from None


def _matrix(entry: Mapping[str, Any], key: str, size: int, where: str) -> F64:
    rows = entry[key]
    needed = f"{size} rows of {size} finite numbers"
    if not isinstance(rows, list) or any(not isinstance(row, list) for row in rows):
        raise _wrong(where, key, rows, needed)
    if len(rows) != size or any(len(row) != size for row in rows):
        raise _wrong(where, key, f"rows of {[len(row) for row in rows]}", needed)
    if any(not _is_number(value) for row in rows for value in row):
        raise _wrong(where, key, rows, needed)
    return np.array(rows, dtype=np.float64)


def _number(entry: Mapping[str, Any], key: str, where: str) -> float:
    if not _is_number(entry[key]):
        raise _wrong(where, key, entry[key], "a finite number")
    return float(entry[key])


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < 1e300


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StudyError(f"{where}: needed an object with keys, found {_short(value)}")
    return value


def _check_keys(
    entry: Mapping[str, Any], allowed: Sequence[str], where: str, *, optional: Sequence[str]
) -> None:
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


def _wrong(where: str | Path, key: str, found: Any, needed: str) -> StudyError:
    return StudyError(f"{where}: {key!r} must be {needed}, found {_short(found)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
