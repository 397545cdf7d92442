"""Whatever is wrong with the input: one clear line, exit code 2, nothing written."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import osteoform
from osteoform import (
    ConeView,
    Detection,
    FitStatus,
    InputError,
    Mesh,
    ModelFileError,
    ShapeModel,
    XrayView,
    reconstruct,
)
from osteoform._distance import surface_distance
from osteoform._report import geometry_values
from osteoform._trial import Trial, simulate_trial, simulated_features
from osteoform.cli import app
from osteoform.modeling.features import standing_features

Study = dict[str, Any]
Change = Callable[[Study, Path], None]


@pytest.fixture(scope="module")
def model() -> ShapeModel:
    return osteoform.load_model(bone="femur")


@pytest.fixture(scope="module")
def trial(model: ShapeModel) -> Trial:
    """Two X-rays of the model's mean, a right femur."""
    mean = Mesh(vertices=model.mean, faces=model.faces)
    return simulate_trial(mean, np.random.default_rng(11))


@pytest.fixture(scope="module")
def features(model: ShapeModel, trial: Trial) -> list[Detection]:
    mean = Mesh(vertices=model.mean, faces=model.faces)
    definition = standing_features("femur", model.mean, model.faces)
    return simulated_features(
        definition, mean, trial, np.random.default_rng(12), side="right", noise_px=2.0
    )


def _write(folder: Path, study: Study) -> Path:
    path = folder / "study.json"
    path.write_text(json.dumps(study), encoding="utf-8")
    return path


def _study(folder: Path, trial: Trial) -> Study:
    views = []
    for view in trial.views:
        Image.fromarray((view.pixels * 255.0).astype(np.uint8)).save(folder / f"{view.name}.png")
        geometry = geometry_values(view.geometry)
        views.append({"name": view.name, "image": f"{view.name}.png", "geometry": geometry})
    return {"study": 1, "side": "right", "bones": ["femur"], "views": views}


def _refused(arguments: list[str], *words: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr


def _set_k(value: Any) -> Change:
    def change(study: Study, _: Path) -> None:
        study["views"][1]["geometry"]["K"] = value

    return change


def _set_pose(edit: Callable[[np.ndarray], np.ndarray]) -> Change:
    def change(study: Study, _: Path) -> None:
        geometry = study["views"][0]["geometry"]
        geometry["view_from_world"] = edit(np.array(geometry["view_from_world"])).tolist()

    return change


def _set_image(write: Callable[[Path], None]) -> Change:
    def change(study: Study, folder: Path) -> None:
        write(folder / study["views"][0]["image"])

    return change


def _save(pixels: np.ndarray) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(pixels).save(path)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _enormous(path: Path) -> None:
    header = bytearray(path.read_bytes())
    header[16:24] = (200_000).to_bytes(4, "big") * 2  # width and height of the IHDR chunk
    path.write_bytes(bytes(header))


def _nan_pixels(study: Study, folder: Path) -> None:
    pixels = np.full((40, 40), 0.5, np.float32)
    pixels[3, 4], pixels[5, 5] = np.nan, 0.1
    np.save(folder / "nan.npy", pixels)
    study["views"][0]["image"] = "nan.npy"


def _set(key: str, value: Any) -> Change:
    return lambda study, _: study.update({key: value})


BAD_STUDIES: dict[str, tuple[Change, tuple[str, ...]]] = {
    "NaN in K": (_set_k([[float("nan"), 0, 1], [0, 1, 1], [0, 0, 1]]), ("K", "finite")),
    "inf in K": (_set_k([[float("inf"), 0, 1], [0, 1, 1], [0, 0, 1]]), ("K", "finite")),
    "K of 2x3": (_set_k([[1, 0, 1], [0, 1, 1]]), ("K", "3")),
    "K of text": (_set_k("K"), ("K",)),
    "NaN in R": (_set_pose(lambda m: m + np.nan), ("view_from_world", "finite")),
    "R no rotation": (_set_pose(lambda m: m @ np.diag([2, 1, 1, 1])), ("rotation",)),
    "R mirrored": (_set_pose(lambda m: np.diag([-1, 1, 1, 1]) @ m), ("rotation",)),
    "pose of 3x4": (_set_pose(lambda m: m[:3]), ("view_from_world", "4")),
    "image missing": (_set_image(Path.unlink), ("ap.png", "no file")),
    "image empty": (_set_image(lambda p: p.write_bytes(b"")), ("ap.png", "empty")),
    "image truncated": (_set_image(_truncate), ("ap.png",)),
    "image no image": (_set_image(lambda p: p.write_bytes(b"\x00" * 99)), ("ap.png",)),
    "image 1x1": (_set_image(_save(np.zeros((1, 1), np.uint8))), ("ap.png", "1 x 1")),
    "image constant": (_set_image(_save(np.full((64, 64), 7, np.uint8))), ("ap.png", "7")),
    "image enormous": (_set_image(_enormous), ("ap.png",)),
    "NaN pixels": (_nan_pixels, ("nan.npy", "finite")),
    "no views": (_set("views", []), ("views",)),
    "unknown side": (_set("side", "both"), ("side", "both")),
    "unknown bone": (_set("bones", ["femur", "ulna"]), ("bones", "ulna")),
    "other version": (_set("study", 2), ("study", "2")),
}


@pytest.mark.parametrize("name", BAD_STUDIES)
@pytest.mark.parametrize("command", ["reconstruct", "detect"])
def test_a_wrong_study_is_one_line_and_no_file(
    name: str, command: str, trial: Trial, tmp_path: Path
) -> None:
    change, words = BAD_STUDIES[name]
    study = _study(tmp_path, trial)
    change(study, tmp_path)
    out = tmp_path / "out"
    _refused([command, str(_write(tmp_path, study)), "--out", str(out)], *words)
    assert not out.exists()
    assert not list(tmp_path.glob(".out*"))


def _npz(path: Path, **changes: Any) -> None:
    with np.load(path) as stored:
        arrays = {**dict(stored), **changes}
    np.savez(path, **arrays)


def _pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"mean": [1, 2, 3]}))


BAD_MODELS: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "missing": (Path.unlink, ()),
    "empty": (lambda path: path.write_bytes(b""), ()),
    "truncated": (_truncate, ()),
    "a pickle": (_pickled, ()),
    "an object array": (lambda path: _npz(path, mean=np.array([{}], object)), ()),
    "of another version": (lambda path: _npz(path, version=np.array(99)), ("version", "99")),
    "of another format": (lambda path: _npz(path, format=np.array("else")), ("format",)),
    "NaN inside": (lambda path: _npz(path, mean=np.full((9, 3), np.nan)), ("mean",)),
    "of another bone": (lambda path: _npz(path, bone=np.array("tibia")), ("tibia",)),
}


@pytest.mark.parametrize("name", BAD_MODELS)
def test_a_wrong_model_is_one_line_and_no_file(
    name: str, model: ShapeModel, trial: Trial, tmp_path: Path
) -> None:
    damage, words = BAD_MODELS[name]
    path, out = tmp_path / "model.npz", tmp_path / "out"
    model.save(path)
    damage(path)
    study = _write(tmp_path, _study(tmp_path, trial))
    arguments = ["reconstruct", str(study), "--out", str(out), "--bones", "femur"]
    _refused([*arguments, "--model", str(path)], *words)
    assert not out.exists()
    with pytest.raises(ModelFileError):
        osteoform.load_model(path, bone="femur")


def test_a_bone_without_a_model_is_named(trial: Trial, tmp_path: Path) -> None:
    study = _write(tmp_path, _study(tmp_path, trial) | {"bones": ["patella"]})
    empty = tmp_path / "models"
    empty.mkdir()
    arguments = ["reconstruct", str(study), "--out", str(tmp_path / "out"), "--model", str(empty)]
    _refused(arguments, "patella")
    _refused([*arguments, "--bones", "ulna"], "ulna")


def test_an_output_that_is_a_file_is_refused_before_any_work(trial: Trial, tmp_path: Path) -> None:
    study = _write(tmp_path, _study(tmp_path, trial))
    taken = tmp_path / "taken"
    taken.write_text("mine")
    _refused(["reconstruct", str(study), "--out", str(taken)], "taken", "folder")
    _refused(["demo", "--out", str(taken / "below")], "taken", "folder")
    assert taken.read_text() == "mine"


def test_a_broken_detector_is_one_line(trial: Trial, tmp_path: Path) -> None:
    study = _write(tmp_path, _study(tmp_path, trial))
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a network")
    for path in (broken, tmp_path / "missing.onnx"):
        arguments = ["reconstruct", str(study), "--out", str(tmp_path / "out")]
        _refused([*arguments, "--detector", str(path)], path.name)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"", "empty"), (b"solid nothing\nendsolid", ""), (b"\x00" * 84, ""), (b"abc", "")],
)
def test_a_wrong_mesh_is_one_line(content: bytes, word: str, tmp_path: Path) -> None:
    mesh, numbers = tmp_path / "bone.stl", tmp_path / "numbers.json"
    mesh.write_bytes(content)
    arguments = ["evaluate", str(mesh), "--bone", "femur", "--side", "left"]
    options = ["--features", "simulated", "--json", str(numbers)]
    _refused([*arguments, *options], "bone.stl", word)
    _refused(["simulate", str(mesh), "--side", "left", "--out", str(tmp_path / "o")], "bone.stl")
    assert not numbers.exists()
    assert not (tmp_path / "o").exists()


def test_no_views_no_side_no_bone(trial: Trial) -> None:
    with pytest.raises(InputError, match="views"):
        reconstruct([], side="left")
    with pytest.raises(InputError, match="side"):
        reconstruct(trial.views, side="both")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="ulna"):
        reconstruct(trial.views, side="left", bones=("ulna",))


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((40, 40), np.nan, np.float32),
        np.full((40, 40), 3.0, np.float32),
        np.zeros((1, 1), np.float32),
        np.zeros((0, 5), np.float32),
        np.zeros((4, 4, 3), np.float32),
    ],
    ids=["NaN", "constant", "1x1", "empty", "colour"],
)
def test_pixels_that_are_no_image(
    pixels: np.ndarray, trial: Trial, features: list[Detection]
) -> None:
    views = [replace(trial.views[0], pixels=pixels), trial.views[1]]
    with pytest.raises(InputError, match=r"views\[0\]"):
        reconstruct(views, side="right", features={"femur": features})


def test_no_features_is_a_status(model: ShapeModel, trial: Trial) -> None:
    nothing = [Detection.empty("femur", len(model.point_names)) for _ in trial.views]
    found = reconstruct(
        trial.views, side="right", features={"femur": nothing}, bones=("femur",)
    ).bones["femur"]
    assert found.status is FitStatus.NOT_FOUND
    assert found.confidence == 0.0
    assert np.isfinite(found.mesh.vertices).all()


def test_contradictory_features_are_a_status(
    trial: Trial, features: list[Detection], rng: np.random.Generator
) -> None:
    height, width = trial.views[0].pixels.shape
    scattered = [
        replace(
            detection,
            points_px=rng.uniform(0.0, [width, height], detection.points_px.shape),
            ellipse_center_px=rng.uniform(0.0, [width, height], detection.ellipse_center_px.shape),
        )
        for detection in features
    ]
    found = reconstruct(
        trial.views, side="right", features={"femur": scattered}, bones=("femur",)
    ).bones["femur"]
    assert isinstance(found.status, FitStatus)
    assert np.isfinite(found.mesh.vertices).all()
    assert found.confidence < 0.9


@pytest.mark.parametrize(
    "scale",
    [
        lambda x: np.round(x * 255.0),
        lambda x: np.round(x * 65535.0),
        lambda x: x * 1e-3 - 7.0,
        lambda x: 1.0 - x,
        lambda x: np.round((1.0 - x) * 4095.0),
    ],
    ids=["8 bit", "16 bit", "float", "inverted float", "inverted 12 bit"],
)
def test_any_grey_scale_gives_the_bone(
    scale: Callable[[np.ndarray], np.ndarray],
    trial: Trial,
    features: list[Detection],
) -> None:
    inverted = float(scale(np.ones(1))[0]) < float(scale(np.zeros(1))[0])
    views = [
        XrayView(
            name=view.name,
            pixels=scale(view.pixels).astype(np.float32),
            geometry=view.geometry,
            polarity="bright_is_dense" if inverted else "dark_is_dense",
        )
        for view in trial.views
    ]
    given = {"femur": features}
    found = reconstruct(views, side="right", features=given).bones["femur"]
    assert surface_distance(trial.truth, found.mesh).mean_mm < 0.6


def test_a_camera_must_be_a_camera() -> None:
    for K in (np.full((3, 3), np.nan), np.zeros((3, 3)), np.diag([-5.0, 5.0, 1.0])):
        with pytest.raises(InputError, match="K"):
            ConeView(K=K, view_from_world=np.eye(4))
    with pytest.raises(InputError, match="rotation"):
        ConeView(K=np.eye(3), view_from_world=np.diag([1.0, 1.0, -1.0, 1.0]))
