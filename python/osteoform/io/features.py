"""The features file: boxes, feature points and feature ellipses that somebody gives by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from osteoform._by_hand import HAND_SIGMA_PX, HandEllipse, HandFeatures, HandPoint
from osteoform._errors import InputError, StudyError
from osteoform._shape_model import ShapeModel
from osteoform._types import BONES, XrayView
from osteoform.io.json_values import (
    check_keys,
    is_number,
    mapping,
    matrix,
    number,
    numbers,
    read_json,
    wrong,
)

_HAND_KEYS = ("replaces", "box_px", "box_confidence", "sigma_px", "points", "ellipses")


def read_features(
    path: str | Path, *, views: Sequence[XrayView], models: Mapping[str, ShapeModel]
) -> dict[str, dict[str, HandFeatures]]:
    """Read what is given by hand (JSON), or what `osteoform detect` has written.

    Parameters
    ----------
    path
        The file: {"views": {VIEW: {BONE: {"replaces", "box_px", "sigma_px", "points",
        "ellipses"}}}}, all of it in pixels and each key optional. Points are {NAME: [u, v]},
        ellipses {NAME: {"center_px", "semi_axes_px", "angle_deg"}}, or "shape_px2" instead of
        the last two; or lists, as `detect` writes them. "attitudes" is passed over.
    views
        Those that the file may name.
    models
        Whose features the file may name; bones without a model are passed over.

    Returns
    -------
    Per name of a view and bone, as `reconstruct` takes it.

    Raises
    ------
    StudyError
        The file is missing or damaged, or a name or a value in it is wrong; the message says
        where, what was found and what was needed.
    """
    file = Path(path)
    entry = mapping(read_json(file, "a features"), str(file))
    check_keys(entry, ("views", "attitudes"), str(file), optional=("attitudes",))
    where = f"{file}: views"
    named = {view.name: view for view in views}
    given = mapping(entry["views"], where)
    check_keys(given, tuple(named), where, optional=tuple(named))
    return {
        name: _of_view(bones, f"{where}[{name!r}]", named[name], models)
        for name, bones in given.items()
    }


def _of_view(
    value: Any, where: str, view: XrayView, models: Mapping[str, ShapeModel]
) -> dict[str, HandFeatures]:
    bones = mapping(value, where)
    check_keys(bones, BONES, where, optional=BONES)
    hands = {}
    for bone in bones:
        if bone in models:
            place = f"{where}[{bone!r}]"
            try:
                hands[bone] = _of_bone(bones[bone], place, models[bone])
                hands[bone].check(view, models[bone])
            except InputError as error:
                raise StudyError(f"{place}: {error}") from None
    return hands


def _of_bone(value: Any, where: str, model: ShapeModel) -> HandFeatures:
    entry = mapping(value, where)
    check_keys(entry, _HAND_KEYS, where, optional=_HAND_KEYS)
    replaces = entry.get("replaces", False)
    if not isinstance(replaces, bool):
        raise wrong(where, "replaces", replaces, "true or false")
    box_px = None if entry.get("box_px") is None else numbers(entry, "box_px", 4, where)
    sigma_px = _number_or(HAND_SIGMA_PX, entry, "sigma_px", where)
    return HandFeatures(
        box_px=cast("tuple[float, float, float, float] | None", box_px),
        points=_points(entry.get("points", {}), f"{where}.points", sigma_px),
        ellipses=_ellipses(entry.get("ellipses", {}), f"{where}.ellipses", sigma_px, model),
        replaces=replaces,
    )


def _points(value: Any, where: str, sigma_px: float) -> list[HandPoint]:
    if isinstance(value, list):
        return [_detected_point(x, f"{where}[{i}]", sigma_px) for i, x in enumerate(value)]
    points = mapping(value, where)
    return [
        HandPoint(name=name, px=_pair(points, name, where), sigma_px=sigma_px) for name in points
    ]


def _detected_point(value: Any, where: str, sigma_px: float) -> HandPoint:
    point = mapping(value, where)
    optional = ("sigma_px", "probability")
    check_keys(point, ("name", "px", *optional), where, optional=optional)
    return HandPoint(
        name=point["name"],
        px=_pair(point, "px", where),
        sigma_px=_number_or(sigma_px, point, "sigma_px", where),
        probability=_number_or(1.0, point, "probability", where),
    )


def _ellipses(value: Any, where: str, sigma_px: float, model: ShapeModel) -> list[HandEllipse]:
    if isinstance(value, list):
        return [_detected_ellipse(x, f"{where}[{i}]", sigma_px, model) for i, x in enumerate(value)]
    return [
        _ellipse(name, entry, f"{where}[{name!r}]", sigma_px)
        for name, entry in mapping(value, where).items()
    ]


def _detected_ellipse(value: Any, where: str, sigma_px: float, model: ShapeModel) -> HandEllipse:
    entry = dict(mapping(value, where))
    index, names = entry.pop("index", None), model.ellipsoid_names
    if not is_number(index) or index not in range(len(names)):
        known = ", ".join(f"{i} ({name})" for i, name in enumerate(names))
        raise wrong(where, "index", index, f"out of {known or 'none'}")
    return _ellipse(names[int(index)], entry, where, sigma_px)


def _ellipse(name: str, value: Any, where: str, sigma_px: float) -> HandEllipse:
    entry = mapping(value, where)
    shaped = "shape_px2" in entry
    size = ("shape_px2",) if shaped else ("semi_axes_px", "angle_deg")
    check_keys(entry, ("center_px", *size, "sigma_px"), where, optional=("angle_deg", "sigma_px"))
    center_px = _pair(entry, "center_px", where)
    sigma_px = _number_or(sigma_px, entry, "sigma_px", where)
    if shaped:
        shape_px2 = matrix(entry, "shape_px2", 2, where)
        return HandEllipse.of_shape(name, center_px, shape_px2, sigma_px=sigma_px)
    return HandEllipse(
        name=name,
        center_px=center_px,
        semi_axes_px=_pair(entry, "semi_axes_px", where),
        angle_deg=_number_or(0.0, entry, "angle_deg", where),
        sigma_px=sigma_px,
    )


def _pair(entry: Mapping[str, Any], key: str, where: str) -> tuple[float, float]:
    u, v = numbers(entry, key, 2, where)
    return u, v


def _number_or(default: float, entry: Mapping[str, Any], key: str, where: str) -> float:
    return number(entry, key, where) if key in entry else default
