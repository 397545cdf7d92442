"""The study file: read, and refused with the key, what was found and what was needed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from osteoform import ConeView, SlotView, StudyError, read_study

EYE = np.eye(4).tolist()
CONE = {
    "type": "cone",
    "K": [[2000.0, 0.0, 20.0], [0.0, 2000.0, 12.0], [0.0, 0.0, 1.0]],
    "view_from_world": EYE,
}
SLOT = {
    "type": "slot",
    "focal_px": 3000.0,
    "principal_u_px": 20.0,
    "row_pitch_mm": 0.5,
    "first_row_mm": -100.0,
    "view_from_world": EYE,
}
STUDY: dict[str, Any] = {
    "study": 1,
    "side": "left",
    "bones": ["femur", "patella"],
    "views": [
        {"name": "ap", "image": "ap.png", "polarity": "dark_is_dense", "geometry": CONE},
        {"name": "lateral", "image": "sub/lateral.png", "geometry": SLOT},
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    pixels = np.arange(24 * 40, dtype=np.uint16).reshape(24, 40)
    Image.fromarray(pixels).save(tmp_path / "ap.png")
    Image.fromarray(pixels + 1).save(tmp_path / "sub" / "lateral.png")
    return tmp_path


def _write(folder: Path, study: Any) -> Path:
    file = folder / "study.json"
    file.write_text(json.dumps(study), encoding="utf-8")
    return file


def test_a_whole_study(folder: Path) -> None:
    study = read_study(_write(folder, STUDY))
    assert (study.side, study.bones) == ("left", ("femur", "patella"))
    ap, lateral = study.views
    assert (ap.name, ap.polarity, lateral.polarity) == ("ap", "dark_is_dense", None)
    assert isinstance(ap.geometry, ConeView)
    assert isinstance(lateral.geometry, SlotView)
    assert ap.pixels.shape == lateral.pixels.shape == (24, 40)
    assert lateral.pixels[0, 0] == 1.0
    np.testing.assert_allclose(ap.geometry.project([[1.0, 2.0, 1000.0]]), [[22.0, 16.0]])
    np.testing.assert_allclose(lateral.geometry.project([[1.0, 2.0, 1000.0]]), [[23.0, 204.0]])


def test_a_folder_stands_for_its_study(folder: Path) -> None:
    _write(folder, STUDY)
    assert read_study(folder).path == folder / "study.json"


def test_names_are_numbers_when_left_out(folder: Path) -> None:
    study = copy.deepcopy(STUDY)
    for view in study["views"]:
        view.pop("name")
    assert [v.name for v in read_study(_write(folder, study)).views] == ["view 1", "view 2"]


def test_a_byte_order_mark_is_no_matter(folder: Path) -> None:
    file = folder / "study.json"
    file.write_text(json.dumps(STUDY), encoding="utf-8-sig")
    assert read_study(file).side == "left"


Change = Callable[[dict[str, Any]], Any]


def _set(*path: Any, to: Any) -> Change:
    def change(study: dict[str, Any]) -> None:
        entry: Any = study
        for key in path[:-1]:
            entry = entry[key]
        entry[path[-1]] = to

    return change


def _drop(*path: Any) -> Change:
    def change(study: dict[str, Any]) -> None:
        entry: Any = study
        for key in path[:-1]:
            entry = entry[key]
        del entry[path[-1]]

    return change


V, G, S = ("views", 0), ("views", 0, "geometry"), ("views", 1, "geometry")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_drop("study"), "needed the key 'study'"),
        (_set("study", to=2), "'study' must be the version 1, found 2"),
        (_set("study", to=True), "'study' must be the version 1, found True"),
        (_drop("side"), "needed the key 'side'"),
        (_set("side", to="Left"), "'side' must be 'left', 'right' or null, found 'Left'"),
        (_set("side", to=["left"]), "'side' must be"),
        (_drop("bones"), "needed the key 'bones'"),
        (_set("bones", to="femur"), "'bones' must be a list"),
        (_set("bones", to=[]), "'bones' must be a list"),
        (_set("bones", to=["humerus"]), r"found \['humerus'\]"),
        (_set("bones", to=["femur", "femur"]), "different bones"),
        (_set("bones", to=[["femur"]]), "'bones' must be a list"),
        (_drop("views"), "needed the key 'views'"),
        (_set("views", to=[]), "'views' must be a list of one view or more"),
        (_set("views", to={}), "'views' must be a list"),
        (_set("views", to=[3]), r"views\[0\]: needed an object with keys, found 3"),
        (_set("extra", to=1), "found the unknown key 'extra'"),
        (_drop(*V, "image"), r"views\[0\]: needed the key 'image'"),
        (_set(*V, "image", to=3), "'image' must be the path of an image, found 3"),
        (_set(*V, "image", to=""), "'image' must be the path of an image"),
        (_set(*V, "image", to="a\0b"), "'image' must be the path of an image"),
        (_set(*V, "image", to="none.png"), r"views\[0\].image: .*none.png: .* found no file"),
        (_set(*V, "name", to=""), "'name' must be text"),
        (_set(*V, "name", to="lateral"), "a different name for each view"),
        (_set(*V, "polarity", to="dark"), "'polarity' must be 'dark_is_dense' or"),
        (_set(*V, "polarity", to=[]), "'polarity' must be 'dark_is_dense' or"),
        (_set(*V, "polarty", to="x"), "found the unknown key 'polarty'"),
        (_drop(*G), "needed the key 'geometry'"),
        (_set(*G, to=[]), r"views\[0\].geometry: needed an object"),
        (_set(*G, "type", to="pinhole"), "'type' must be 'cone' or 'slot', found 'pinhole'"),
        (_set(*G, "type", to={}), "'type' must be 'cone' or 'slot'"),
        (_drop(*G, "type"), "'type' must be 'cone' or 'slot', found None"),
        (_drop(*G, "K"), "needed the key 'K'"),
        (_set(*G, "K", to=[[1, 0], [0, 1]]), r"'K' must be 3 rows of 3 finite numbers"),
        (_set(*G, "K", to="eye"), "'K' must be 3 rows"),
        (_set(*G, "K", 0, 0, to="2000"), "'K' must be 3 rows of 3 finite"),
        (_set(*G, "K", 0, 0, to=float("nan")), "'K' must be 3 rows of 3 finite"),
        (_set(*G, "K", 0, 0, to=True), "'K' must be 3 rows of 3 finite"),
        (_set(*G, "K", 0, 0, to=-2000.0), "K must have positive focal lengths"),
        (_set(*G, "K", 0, 1, to=3.0), r"K must be \[\[fx, 0, cx\]"),
        (_set(*G, "view_from_world", to=np.zeros((4, 4)).tolist()), "must hold a rotation"),
        (_set(*G, "view_from_world", to=np.diag([-1, 1, 1, 1]).tolist()), "must hold a rotation"),
        (_set(*G, "view_from_world", 3, 3, to=2.0), "last row 0 0 0 1"),
        (_set(*G, "focal_px", to=3.0), "found the unknown key 'focal_px'"),
        (_drop(*S, "row_pitch_mm"), r"views\[1\].geometry: needed the key 'row_pitch_mm'"),
        (_set(*S, "row_pitch_mm", to=0.0), "row_pitch_mm must not be zero"),
        (_set(*S, "focal_px", to=-1.0), "focal_px must be positive"),
        (_set(*S, "first_row_mm", to=None), "'first_row_mm' must be a finite number, found None"),
        (_set(*S, "first_row_mm", to=float("inf")), "'first_row_mm' must be a finite number"),
        (_set(*S, "first_row_mm", to=10**400), "'first_row_mm' must be a finite number"),
    ],
)
def test_what_was_wrong_is_said(change: Change, message: str, folder: Path) -> None:
    study = copy.deepcopy(STUDY)
    change(study)
    with pytest.raises(StudyError, match=message) as caught:
        read_study(_write(folder, study))
    assert "study.json" in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "needed JSON"),
        (b"{", "needed JSON"),
        (b"[1]", "needed an object with keys"),
        (b"null", "needed an object with keys, found None"),
        (b"\xff\xfe{}", "JSON in UTF-8"),
        (b'{"study": 1, "study": 1}', "the key 'study' comes twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5000, "needed JSON"),
    ],
)
def test_no_json(text: bytes, message: str, folder: Path) -> None:
    (folder / "study.json").write_bytes(text)
    with pytest.raises(StudyError, match=message):
        read_study(folder)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="needed a study file, found none"):
        read_study(tmp_path)
    with pytest.raises(StudyError, match=r"other\.json: needed a study file, found none"):
        read_study(tmp_path / "other.json")


def test_a_study_error_is_a_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="study"):
        read_study(tmp_path)


def test_a_real_study(shared_data: Path) -> None:
    study = read_study(shared_data / "xrays" / "knee-biplane")
    assert study.side == "left"
    assert len(study.views) == 2
    text = (study.path.parent / "marker_check.json").read_text(encoding="utf-8")
    for marker in json.loads(text)["frame_0138"].values():
        seen = np.array([marker["cam1"], marker["cam2"]])
        point = _triangulate([view.geometry for view in study.views], seen)
        for view, pixel in zip(study.views, seen, strict=True):
            assert np.linalg.norm(view.geometry.project(point[None])[0] - pixel) < 1.5


def _triangulate(views: list[Any], pixels: np.ndarray) -> np.ndarray:
    """The world point (3,) [mm] with the least reprojection error, by Gauss-Newton."""
    point = np.zeros(3)
    for _ in range(20):
        jacobian = np.vstack([view.project_jacobian(point) for view in views])
        residual = np.concatenate(
            [
                pixel - view.project(point[None])[0]
                for view, pixel in zip(views, pixels, strict=True)
            ]
        )
        point = point + np.linalg.lstsq(jacobian, residual, rcond=None)[0]
    return point
