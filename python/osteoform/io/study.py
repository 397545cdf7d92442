"""The study file: which images, how each was taken, and which bones to look for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from osteoform._core import ConeView, SlotView
from osteoform._errors import InputError, StudyError
from osteoform._types import BONES, Polarity, Side, XrayView
from osteoform.io.images import read_image
from osteoform.io.json_values import check_keys, mapping, matrix, number, read_json, wrong

STUDY_VERSION = 1
_STUDY_KEYS = ("study", "side", "bones", "views")
_VIEW_KEYS = ("name", "image", "polarity", "geometry")
_CONE_KEYS = ("type", "K", "view_from_world")
_SLOT_NUMBERS = ("focal_px", "principal_u_px", "row_pitch_mm", "first_row_mm")


@dataclass(frozen=True, kw_only=True)
class Study:
    """One leg as its study file describes it, images read."""

    path: Path
    side: Side | None
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
    study = mapping(read_json(file, "a study"), str(file))
    check_keys(study, _STUDY_KEYS, str(file), optional=())
    if study["study"] != STUDY_VERSION or isinstance(study["study"], bool):
        raise wrong(file, "study", study["study"], f"the version {STUDY_VERSION}")
    if study["side"] not in (*get_args(Side), None):
        raise wrong(file, "side", study["side"], "'left', 'right' or null")
    bones = _bones(study["bones"], file)
    entries = study["views"]
    if not isinstance(entries, list) or not entries:
        raise wrong(file, "views", entries, "a list of one view or more")
    views = tuple(_read_view(entry, i, file) for i, entry in enumerate(entries))
    names = [view.name for view in views]
    if len(set(names)) != len(names):
        raise wrong(file, "views", names, "a different name for each view")
    return Study(path=file, side=study["side"], bones=bones, views=views)


def _bones(value: Any, file: Path) -> tuple[str, ...]:
    needed = f"a list of different bones out of {', '.join(BONES)}"
    if not isinstance(value, list) or not value:
        raise wrong(file, "bones", value, needed)
    if any(not isinstance(bone, str) or bone not in BONES for bone in value):
        raise wrong(file, "bones", value, needed)
    if len(set(value)) != len(value):
        raise wrong(file, "bones", value, needed)
    return tuple(value)


def _read_view(entry: Any, index: int, file: Path) -> XrayView:
    where = f"{file}: views[{index}]"
    view = mapping(entry, where)
    check_keys(view, _VIEW_KEYS, where, optional=("polarity", "name"))
    name = view.get("name", f"view {index + 1}")
    if not isinstance(name, str) or not name:
        raise wrong(where, "name", name, "text")
    polarity = view.get("polarity")
    if polarity is not None and polarity not in get_args(Polarity):
        raise wrong(where, "polarity", polarity, "'dark_is_dense' or 'bright_is_dense'")
    image = view["image"]
    if not isinstance(image, str) or not image or "\0" in image:
        raise wrong(where, "image", image, "the path of an image")
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
    entry = mapping(value, where)
    kind = entry.get("type")
    if kind not in ("cone", "slot"):
        raise wrong(where, "type", kind, "'cone' or 'slot'")
    try:
        if kind == "cone":
            check_keys(entry, _CONE_KEYS, where, optional=())
            return ConeView(
                K=matrix(entry, "K", 3, where),
                view_from_world=matrix(entry, "view_from_world", 4, where),
            )
        check_keys(entry, ("type", *_SLOT_NUMBERS, "view_from_world"), where, optional=())
        numbers = {key: number(entry, key, where) for key in _SLOT_NUMBERS}
        return SlotView(view_from_world=matrix(entry, "view_from_world", 4, where), **numbers)
    except InputError as error:
        raise StudyError(f"{where}: {error}") from None
