"""The features file: read, and refused with the place, what was found and what was needed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import osteoform
from osteoform import HandPoint, ShapeModel, StudyError, XrayView, read_features

HEAD, TIP = "femoral_head_center", "greater_trochanter_tip"
FEATURES: dict[str, Any] = {
    "views": {
        "ap": {
            "femur": {
                "box_px": [0.0, 10.0, 100.0, 200.0],
                "sigma_px": 2.5,
                "points": {HEAD: [30.0, 40.0]},
                "ellipses": {
                    "femoral_head": {
                        "center_px": [30.0, 40.0],
                        "semi_axes_px": [9.0, 8.0],
                        "angle_deg": 30.0,
                    },
                    "medial_condyle": {
                        "center_px": [50.0, 190.0],
                        "shape_px2": [[4.0, 0.0], [0.0, 9.0]],
                        "sigma_px": 5.0,
                    },
                },
            }
        }
    }
}
F = ("views", "ap", "femur")
P, E = (*F, "points"), (*F, "ellipses")
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def model() -> ShapeModel:
    return osteoform.load_model(bone="femur")


@pytest.fixture
def view() -> XrayView:
    return XrayView(
        name="ap",
        pixels=np.zeros((300, 200), np.float32),
        geometry=osteoform.standard_views("cone", ("ap",))["ap"],
        polarity="dark_is_dense",
    )


def _set(*path: Any, to: Any) -> Change:
    def change(values: dict[str, Any]) -> None:
        entry: Any = values
        for key in path[:-1]:
            entry = entry[key]
        entry[path[-1]] = to

    return change


def _written(folder: Path, values: Any) -> Path:
    file = folder / "features.json"
    file.write_text(json.dumps(values), encoding="utf-8")
    return file


def test_a_whole_file(view: XrayView, model: ShapeModel, tmp_path: Path) -> None:
    file = _written(tmp_path, FEATURES)
    hand = read_features(file, views=[view], models={"femur": model})["ap"]["femur"]
    assert hand.box_px == (0.0, 10.0, 100.0, 200.0)
    assert not hand.replaces
    assert hand.points == [HandPoint(name=HEAD, px=(30.0, 40.0), sigma_px=2.5)]
    assert [(e.name, e.semi_axes_px, e.sigma_px) for e in hand.ellipses] == [
        ("femoral_head", (9.0, 8.0), 2.5),
        ("medial_condyle", (2.0, 3.0), 5.0),
    ]
    assert read_features(file, views=[view], models={}) == {"ap": {}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("study", to=1), "unknown key 'study', needed views"),
        (_set("views", to=[]), "views: needed an object with keys"),
        (_set("views", "oblique", to={}), "views: found the unknown key 'oblique', needed ap"),
        (
            _set("views", "ap", "ulna", to={}),
            r"\['ap'\]: found the unknown key 'ulna', .* femur, ti",
        ),
        (_set(*F, to=[]), r"\['ap'\]\['femur'\]: needed an object"),
        (_set(*F, "pionts", to={}), r"\['femur'\]: found the unknown key 'pionts'"),
        (_set(*F, "replaces", to=1), "'replaces' must be true or false, found 1"),
        (_set(*F, "sigma_px", to="small"), "'sigma_px' must be a finite number, found 'small'"),
        (_set(*F, "sigma_px", to=0.0), f"sigma_px of the point '{HEAD}' must be a positive"),
        (_set(*F, "box_px", to=[1, 2, 3]), r"'box_px' must be 4 finite numbers, found \[1, 2, 3\]"),
        (_set(*F, "box_px", 2, to=float("nan")), "'box_px' must be 4 finite numbers"),
        (_set(*F, "box_px", 2, to=0.0), r"box_px must be .* u0 < u1 and v0 < v1, found \(0.0, 10"),
        (_set(*F, "box_px", to=[300, 0, 400, 90]), "box_px must be in the image of 200 x 300"),
        (_set(*P, to=3), r"points: needed an object with keys, found 3"),
        (_set(*P, "knee", to=[1, 2]), f"unknown feature point 'knee', needed {HEAD}, {TIP}"),
        (_set(*P, HEAD, to=[1, 2, 3]), f"points: '{HEAD}' must be 2 finite numbers, found"),
        (_set(*P, HEAD, 0, to=float("nan")), f"'{HEAD}' must be 2 finite numbers, found .nan"),
        (_set(*P, HEAD, to=None), f"'{HEAD}' must be 2 finite numbers, found None"),
        (_set(*P, to=[{"px": [1, 2]}]), r"points\[0\]: needed the key 'name'"),
        (_set(*P, to=[{"name": [], "px": [1, 2]}]), r"unknown feature point \[\], needed"),
        (
            _set(*P, to=[{"name": HEAD, "px": [1, 2], "probability": 2.0}]),
            rf"probability of the point '{HEAD}' must be in \(0, 1\], found 2.0",
        ),
        (
            _set(*E, "head", to=FEATURES["views"]["ap"]["femur"]["ellipses"]["femoral_head"]),
            "unknown feature ellipse 'head', needed femoral_head, medial_condyle, lateral_condyle",
        ),
        (_set(*E, "femoral_head", to={"center_px": [1, 2]}), "needed the key 'semi_axes_px'"),
        (_set(*E, "femoral_head", "semi_axes_px", 0, to=-1.0), "must be 2 positive numbers"),
        (_set(*E, "femoral_head", "angle_deg", to=None), "'angle_deg' must be a finite number"),
        (_set(*E, "femoral_head", "shape_px2", to=[]), "unknown key 'semi_axes_px'"),
        (_set(*E, "medial_condyle", "shape_px2", to=[[1.0]]), "'shape_px2' must be 2 rows of 2"),
        (
            _set(*E, "medial_condyle", "shape_px2", to=[[1.0, 2.0], [2.0, 1.0]]),
            "shape_px2 of the ellipse 'medial_condyle' must be symmetric with positive",
        ),
        (
            _set(*E, to=[{"index": 3, "center_px": [1, 2]}]),
            r"'index' must be out of 0 \(femoral_he",
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_said(
    change: Change, message: str, view: XrayView, model: ShapeModel, tmp_path: Path
) -> None:
    values = copy.deepcopy(FEATURES)
    change(values)
    file = _written(tmp_path, values)
    with pytest.raises(StudyError, match=message) as caught:
        read_features(file, views=[view], models={"femur": model})
    assert "features.json" in str(caught.value)


def test_no_features_file(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="needed a features file, found none"):
        read_features(tmp_path / "none.json", views=[], models={})
