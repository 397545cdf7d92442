"""Models as plain arrays, pickled arrays, particles and meshes: read as said, or refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from osteoform import InputError, Mesh, ShapeModel
from osteoform.io.meshes import read_mesh, write_ply
from osteoform.modeling.formats.llp26 import NODES, NUM_NODES, read_llp26
from osteoform.modeling.formats.plain import write_plain
from osteoform.modeling.formats.ply_modes import write_ply_modes
from osteoform.modeling.formats.points import PointModel, PointShapes
from osteoform.modeling.formats.read import read_foreign
from osteoform.modeling.formats.shapeworks import read_shapeworks
from toy_model import crooked_model

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def model() -> ShapeModel:
    return crooked_model()


def _read(path: Path) -> PointModel:
    content = read_foreign(path, bone="patella").content
    assert isinstance(content, PointModel)
    return content


def test_plain_round_trip(model: ShapeModel, tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    write_plain(path, model)
    found = _read(path)
    np.testing.assert_array_equal(found.mean, model.mean)
    np.testing.assert_array_equal(found.modes, model.modes)
    np.testing.assert_array_equal(found.faces, model.faces)
    np.testing.assert_array_equal(found.inadequacy_mm, model.inadequacy_mm)


def test_unit_modes_beside_a_mesh(model: ShapeModel, tmp_path: Path) -> None:
    stddev = np.arange(1.0, 7.0)
    np.savez(tmp_path / "m.npz", modes=model.modes / stddev[:, None, None], stddev=stddev)
    with pytest.raises(InputError, match="needed an array 'mean'"):
        _read(tmp_path / "m.npz")
    write_ply(tmp_path / "mean.ply", Mesh(vertices=model.mean, faces=model.faces))
    mesh = read_mesh(tmp_path / "mean.ply")
    found = read_foreign(tmp_path / "m.npz", bone="patella", mesh=mesh).content
    assert isinstance(found, PointModel)
    np.testing.assert_allclose(found.modes, model.modes, rtol=1e-6)
    np.testing.assert_array_equal(found.faces, model.faces)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("modes", lambda a: a[:, :-1], "modes must have the shape"),
        ("modes", lambda a: a * np.nan, "modes must be finite"),
        ("mean", lambda a: a[:, :2], "mean must have the shape"),
        ("faces", lambda a: a + 10**6, "faces must name points"),
        ("faces", lambda a: a * 1.0, "faces must be integers"),
        ("inadequacy_mm", lambda a: a[:5], "inadequacy_mm must be one number or"),
        ("inadequacy_mm", lambda a: -a, "inadequacy_mm must be"),
        ("modes", lambda a: np.array([{}], dtype=object), "pickle"),
    ],
)
def test_wrong_plain_arrays(
    name: str, change: Any, message: str, model: ShapeModel, tmp_path: Path
) -> None:
    arrays = {n: getattr(model, n) for n in ("mean", "modes", "faces", "inadequacy_mm")}
    arrays[name] = change(arrays[name])
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(InputError, match=message):
        _read(tmp_path / "m.npz")
    whole = (tmp_path / "m.npz").read_bytes()
    (tmp_path / "m.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read as"):
        _read(tmp_path / "m.npz")


def test_ply_of_modes(model: ShapeModel, tmp_path: Path) -> None:
    files = write_ply_modes(tmp_path, model, num_modes=2, num_sd=3.0)
    names = ["mean", "mode_01_plus", "mode_01_minus", "mode_02_plus", "mode_02_minus"]
    assert [file.stem for file in files] == names
    shapes = [read_mesh(file) for file in files]
    np.testing.assert_array_equal(shapes[0].vertices, model.mean)
    np.testing.assert_array_equal(shapes[3].faces, model.faces)
    moved = shapes[3].vertices - shapes[0].vertices
    np.testing.assert_allclose(moved, 3.0 * model.modes[1], atol=1e-4)
    np.testing.assert_allclose(shapes[4].vertices, model.mean - moved, atol=1e-4)
    with pytest.raises(InputError, match="num_sd must be positive"):
        write_ply_modes(tmp_path, model, num_sd=0.0)


def _llp26(rng: np.random.Generator) -> Arrays:
    return {
        "mean": rng.normal(size=3 * NUM_NODES),
        "modes": np.asfortranarray(rng.normal(size=(3 * NUM_NODES, 3))),
        "projectedWeights": rng.normal(size=(3, 5)),
    }


def test_llp26(tmp_path: Path, rng: np.random.Generator) -> None:
    arrays, path = _llp26(rng), tmp_path / "m.pc"
    path.write_bytes(pickle.dumps(arrays | {"sizes": None, "weights": rng.normal(size=3)}))
    nodes = [read_llp26(path, bone).shapes for bone in NODES]
    assert [n.shape[1] for n in nodes] == [634, 74, 308, 263]
    person = arrays["mean"] + arrays["modes"] @ arrays["projectedWeights"][:, 4]
    expected = person.reshape(3, NUM_NODES).T[1946:2580]
    np.testing.assert_allclose(read_llp26(path, "femur").shapes[4], expected)


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("touched-by-a-pickle"),))


def test_a_pickle_with_code_is_refused_and_not_run(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, arrays = tmp_path / "m.pc", _llp26(rng)
    path.write_bytes(pickle.dumps(arrays | {"extra": _Evil()}))
    with pytest.raises(InputError, match="found code: .*; refused"):
        read_llp26(path, "femur")
    assert not Path("touched-by-a-pickle").exists()
    wrong: list[tuple[Any, str]] = [
        (arrays | {"mean": np.array([{}], dtype=object)}, "cannot be read"),
        ([1, 2], "cannot be read"),
        ({"mean": arrays["mean"]}, "needed an array 'modes', found mean"),
        (arrays | {"mean": arrays["mean"][:-3]}, "mean must have the shape"),
        (arrays | {"modes": arrays["modes"].T}, "modes must have the shape"),
        (arrays | {"projectedWeights": np.zeros((4, 5))}, "projectedWeights must have"),
        (arrays | {"mean": arrays["mean"] * np.nan}, "finite"),
    ]
    for content, message in wrong:
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(InputError, match=message):
            read_llp26(path, "femur")
    path.write_bytes(pickle.dumps(arrays)[:-1000])
    with pytest.raises(InputError, match="cannot be read as a pickle"):
        read_llp26(path, "femur")


def test_particles(tmp_path: Path, rng: np.random.Generator) -> None:
    shapes = rng.normal(size=(3, 20, 3))
    for i, shape in enumerate(shapes):
        np.savetxt(tmp_path / f"bone{i}_local.particles", shape, fmt="%.17g")
        np.savetxt(tmp_path / f"bone{i}_world.particles", shape / 10.0)
    found = read_shapeworks(tmp_path)
    assert isinstance(found, PointShapes)
    np.testing.assert_array_equal(found.shapes, shapes)
    (tmp_path / "bone2_local.particles").write_text("1 2 3\n4 5 6\n")
    with pytest.raises(InputError, match="needed 20 particles as in bone0_local"):
        read_shapeworks(tmp_path)
    for text, message in (("1 2\n", "lines of three"), ("a b c\n", "x y z"), ("", "three numbers")):
        (tmp_path / "bone2_local.particles").write_text(text)
        with pytest.raises(InputError, match=message):
            read_shapeworks(tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"needed \*\.particles"):
        read_shapeworks(tmp_path / "none")
