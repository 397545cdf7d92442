"""The shape model: its algebra, its file, and what it refuses."""

from __future__ import annotations

import pickle
from contextlib import suppress
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from osteoform import InputError, ModelFileError, ShapeModel, load_model
from osteoform._models import shipped_models
from osteoform._split import held_out
from osteoform.modeling.build import build_model
from osteoform.modeling.surface import signed_volume
from reference.toy_bones import toy_family, toy_patella


@pytest.fixture(scope="module")
def model() -> ShapeModel:
    toy = toy_patella(3.0)
    shapes = toy_family(toy, np.random.default_rng(5), count=7)
    return build_model(shapes, toy.faces, "patella", origin="toy bones")


def _rewrite(path: Path, **changes: Any) -> Path:
    """The same file with arrays replaced, or removed where None is given."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files} | changes
    with path.open("wb") as file:
        np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    return path


@pytest.fixture
def path(model: ShapeModel, tmp_path: Path) -> Path:
    model.save(tmp_path / "patella.npz")
    return tmp_path / "patella.npz"


def test_instance_is_linear(model: ShapeModel, rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(2, model.num_modes))
    np.testing.assert_array_equal(model.instance(np.zeros(model.num_modes)), model.mean)
    both = model.instance(a + b) - model.instance(b)
    np.testing.assert_allclose(both, model.instance(a) - model.mean, atol=1e-4)


def test_coefficients_invert_instance(model: ShapeModel, rng: np.random.Generator) -> None:
    few = model.truncated(5)
    b = rng.normal(size=5)
    np.testing.assert_allclose(few.coefficients(few.instance(b), noise_mm=0.0), b, atol=1e-3)
    np.testing.assert_allclose(few.coefficients(few.instance(b), noise_mm=0.01), b, atol=1e-2)


def test_the_prior_pulls_towards_the_mean(model: ShapeModel, rng: np.random.Generator) -> None:
    points = model.instance(2.0 * rng.normal(size=model.num_modes))
    norms = [np.linalg.norm(model.coefficients(points, noise_mm=s)) for s in (0.1, 10.0, 1000.0)]
    assert norms[0] > norms[1] > norms[2]


def test_mirroring_twice_is_nothing(model: ShapeModel, rng: np.random.Generator) -> None:
    left = model.mirrored()
    b = rng.normal(size=model.num_modes)
    np.testing.assert_array_equal(left.instance(b), model.instance(b) * [-1.0, 1.0, 1.0])
    assert signed_volume(left.mean.astype(float), left.faces) > 0.0
    back = left.mirrored()
    for name in ("mean", "faces", "modes", "point_modes", "ellipsoid_shape", "ellipsoid_modes"):
        np.testing.assert_array_equal(getattr(back, name), getattr(model, name))


def test_mirrored_ellipsoid(model: ShapeModel) -> None:
    flip = np.diag([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(
        model.mirrored().ellipsoid_shape, flip @ model.ellipsoid_shape @ flip
    )


def test_truncated(model: ShapeModel) -> None:
    few = model.truncated(3)
    assert few.num_modes == few.num_pca == 3
    assert few.point_modes.shape[0] == few.ellipsoid_scale_modes.shape[0] == 3
    with pytest.raises(InputError, match="num_modes"):
        model.truncated(model.num_modes + 1)


def test_core_has_the_same_instance(model: ShapeModel, rng: np.random.Generator) -> None:
    b = rng.normal(size=model.num_modes)
    np.testing.assert_allclose(model.core("right").instance(b), model.instance(b), atol=1e-3)
    left = model.mirrored().instance(b)
    np.testing.assert_allclose(model.core("left").instance(b), left, atol=1e-3)
    assert model.core("left") is model.core("left")
    assert model.core("left") is not model.core("right")
    with pytest.raises(InputError, match="'up'"):
        model.core("up")  # type: ignore[arg-type]


def test_a_model_reaches_another_process(model: ShapeModel) -> None:
    model.core("left")
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.modes, model.modes)
    assert copied.core("left").num_modes == model.num_modes


def test_arrays_cannot_be_changed(model: ShapeModel) -> None:
    with pytest.raises(ValueError, match="read-only"):
        model.mean[0, 0] = 1.0
    with pytest.raises(FrozenInstanceError):
        model.bone = "femur"  # type: ignore[misc]


def test_round_trip(model: ShapeModel, path: Path) -> None:
    read = ShapeModel.load(path)
    assert read.bone == model.bone
    assert read.origin == model.origin
    assert read.axes == model.axes
    assert read.point_names == model.point_names
    assert read.num_pca == model.num_pca
    for name in ("mean", "faces", "inadequacy_mm", "point_mean", "ellipsoid_shape"):
        np.testing.assert_array_equal(getattr(read, name), getattr(model, name))
    error = np.abs(read.modes - model.modes)
    assert (error <= np.abs(model.modes) / 2048.0 + 1e-7).all()


def test_a_model_without_ellipsoids_or_modes(model: ShapeModel, tmp_path: Path) -> None:
    bare = replace(
        model.truncated(0),
        ellipsoid_names=(),
        ellipsoid_mean=np.zeros((0, 3)),
        ellipsoid_modes=np.zeros((0, 0, 3)),
        ellipsoid_shape=np.zeros((0, 3, 3)),
        ellipsoid_scale_modes=np.zeros((0, 0)),
        axes=(),
    )
    bare.save(tmp_path / "bare.npz")
    read = ShapeModel.load(tmp_path / "bare.npz")
    assert read.ellipsoid_names == ()
    assert read.axes == ()
    np.testing.assert_array_equal(read.instance([]), model.mean)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": np.full((4, 3), np.nan)}, "mean|modes"),
        ({"mean": np.zeros((7, 2))}, "mean must have the shape"),
        ({"mean": None}, "needs an array 'mean'"),
        ({"modes": np.zeros((2, 3))}, "modes must have 3 dimensions"),
        ({"faces": np.full((9, 3), -1)}, "faces must name vertices"),
        ({"inadequacy_mm": np.zeros(3)}, "inadequacy_mm must have the shape"),
        ({"point_names": np.array(["a"])}, "point_mean must have the shape"),
        ({"point_names": np.zeros(6)}, "names must be a list of text"),
        ({"num_pca": np.array(999)}, "num_pca must be in"),
        ({"num_pca": np.array(1.5)}, "num_pca must be one integer"),
        ({"axis_points": np.array([[0, 99], [0, 1]])}, "must join points"),
        ({"axis_points": np.array([[0, 1]])}, "axis_points must have the shape"),
        ({"ellipsoid_shape": np.zeros((1, 3, 3))}, "symmetric positive"),
        ({"version": np.array(2)}, "version must be 1, found 2"),
        ({"version": None}, "version must be 1, found none"),
        ({"format": np.array("something")}, "format must be"),
        ({"format": None}, "format must be"),
        ({"bone": np.array(3)}, "must be text"),
    ],
)
def test_wrong_files_are_refused(path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelFileError, match=message) as caught:
        ShapeModel.load(_rewrite(path, **change))
    assert str(path) in str(caught.value)


def test_nan_in_a_file_is_refused(model: ShapeModel, path: Path) -> None:
    modes = model.modes.copy()
    modes[1, 2, 0] = np.inf
    with pytest.raises(ModelFileError, match="modes must be finite"):
        ShapeModel.load(_rewrite(path, modes=modes))


def test_truncated_file(path: Path) -> None:
    data = path.read_bytes()
    for length in (0, 1, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ModelFileError, match="npz"):
            ShapeModel.load(path)


def test_damaged_file(path: Path, rng: np.random.Generator) -> None:
    data = path.read_bytes()
    for _ in range(40):
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), size=20):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged)
        with suppress(ModelFileError):
            assert np.isfinite(ShapeModel.load(path).modes).all()


def test_pickled_arrays_are_refused(path: Path) -> None:
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["origin"] = np.array({"a": 1}, dtype=object)
    with path.open("wb") as file:
        np.savez(file, allow_pickle=True, **arrays)
    with pytest.raises(ModelFileError, match="pickle"):
        ShapeModel.load(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ModelFileError, match="another format"):
        ShapeModel.load(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        ShapeModel.load(tmp_path / "none.npz")
    with pytest.raises(ModelFileError, match="no such file"):
        ShapeModel.load(tmp_path)


def test_load_model(path: Path) -> None:
    assert load_model(path).bone == "patella"
    assert load_model(path.parent, bone="patella").bone == "patella"
    with pytest.raises(ModelFileError, match=r"needed a model of the femur, found the patella"):
        load_model(path, bone="femur")
    with pytest.raises(ModelFileError, match="is a folder"):
        load_model(path.parent)
    with pytest.raises(ModelFileError, match="no such file"):
        load_model(path.parent, bone="femur")
    with pytest.raises(ModelFileError, match="neither a file nor shipped"):
        load_model("no_such_bone")


def test_a_folder_of_that_name_does_not_hide_the_shipped_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "femur").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_model(bone="femur").bone == "femur"


def test_shipped_models_load() -> None:
    for name in shipped_models():
        assert load_model(name).origin


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("b", [0.0], "b must have the shape"),
        ("b", "nan", "b must be finite"),
        ("points", np.zeros((3, 3)), "points must be finite, of the shape"),
    ],
)
def test_wrong_arguments(model: ShapeModel, name: str, value: Any, message: str) -> None:
    if isinstance(value, str):
        value = np.full(model.num_modes, np.nan)
    with pytest.raises(InputError, match=message):
        model.instance(value) if name == "b" else model.coefficients(value)


def test_noise_must_not_be_negative(model: ShapeModel) -> None:
    with pytest.raises(InputError, match="noise_mm"):
        model.coefficients(model.mean, noise_mm=-1.0)


def test_split() -> None:
    people = held_out()
    assert len(set(people)) == len(people) == 7
    assert all(0 <= i < 26 for i in people)
