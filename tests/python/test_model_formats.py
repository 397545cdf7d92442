"""statismo and scalismo files: what is read is what the layout says, or an error says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from osteoform import InputError, ShapeModel
from osteoform.modeling.formats.orthonormal import orthonormal_basis
from osteoform.modeling.formats.points import PointModel
from osteoform.modeling.formats.read import read_foreign
from osteoform.modeling.formats.statismo import write_statismo
from reference.scalismo_file import Arrays, toy_gaussian, write_scalismo
from reference.toy_bones import toy_patella
from toy_model import crooked_model


@pytest.fixture(scope="module")
def model() -> ShapeModel:
    return crooked_model()


def _read(path: Path) -> PointModel:
    content = read_foreign(path, bone="patella").content
    assert isinstance(content, PointModel)
    return content


def _expect(found: PointModel, g: Arrays) -> None:
    """mean + sum_k alpha_k sqrt(variance_k) basis_k, as both libraries define it."""
    np.testing.assert_array_equal(found.mean, g["mean"].reshape(-1, 3))
    for k in range(4):
        expected = np.sqrt(g["variance"][k]) * g["basis"][:, k].reshape(-1, 3)
        np.testing.assert_allclose(found.modes[k], expected, atol=1e-5)


@pytest.mark.parametrize("version", [(0, 9), (1, 0)])
def test_a_scalismo_file(
    version: tuple[int, int], tmp_path: Path, rng: np.random.Generator
) -> None:
    g = toy_gaussian(rng, toy_patella(4.0))
    write_scalismo(tmp_path / "m.h5", g, version=version)
    found = _read(tmp_path / "m.h5")
    _expect(found, g)
    np.testing.assert_array_equal(found.faces, g["cells"].T)
    np.testing.assert_allclose(found.inadequacy_mm, 0.5)


def test_version_0_8_keeps_the_standard_deviation_in_the_basis(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    g = toy_gaussian(rng, toy_patella(4.0))
    scaled = g["basis"] * np.sqrt(g["variance"])
    write_scalismo(tmp_path / "m.h5", g, version=(0, 8), pcaBasis=scaled)
    _expect(_read(tmp_path / "m.h5"), g)


def test_the_oldest_files_hold_a_vtk_file_and_no_version(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    g = toy_gaussian(rng, toy_patella(4.0))
    points, cells = g["points"].T, g["cells"].T
    lines = ["# vtk DataFile Version 3.0", "reference", "ASCII", "DATASET POLYDATA"]
    lines += [f"POINTS {len(points)} float", *(" ".join(map(str, p)) for p in points)]
    lines += [f"POLYGONS {len(cells)} {4 * len(cells)}", *(f"3 {a} {b} {c}" for a, b, c in cells)]
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["model/mean"] = g["mean"]
        file["model/pcaBasis"] = g["basis"] * np.sqrt(g["variance"])
        file["model/pcaVariance"] = g["variance"]
        file["model/noiseVariance"] = np.float32(0.0)
        file["representer/reference"] = np.frombuffer("\n".join(lines).encode(), np.int8)
        file["representer"].attrs["name"] = "vtkPolyDataRepresenter"
    found = _read(tmp_path / "m.h5")
    _expect(found, g)
    np.testing.assert_array_equal(found.faces, cells)
    assert found.inadequacy_mm is None


def test_points_without_cells_and_a_model_named_by_the_catalog(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    g = toy_gaussian(rng, toy_patella(4.0))
    write_scalismo(tmp_path / "m.h5", g, at="/shapes/one", cells=None, datasetType="POINT_SET")
    with h5py.File(tmp_path / "m.h5", "a") as file:
        file["catalog/one/modelPath"] = "/shapes/one"
        file["catalog/one/modelType"] = "POINTSET_MODEL"
    found = _read(tmp_path / "m.h5")
    _expect(found, g)
    assert found.faces is None
    with h5py.File(tmp_path / "m.h5", "a") as file:
        file["catalog/two/modelPath"] = "/shapes/two"
    with pytest.raises(InputError, match="needed one model, found 2: one, two"):
        _read(tmp_path / "m.h5")


def _as_json(path: Path) -> dict[str, Any]:
    """An HDF5 file as the HDF Group's hdf5-json lays it out."""
    content: dict[str, Any] = {"apiVersion": "1.1.1", "groups": {}, "datasets": {}, "root": "g/"}

    def attributes(item: Any) -> list[dict[str, Any]]:
        return [{"name": n, "shape": {"class": "H5S_SCALAR"}, "value": v} for n, v in item.items()]

    def group(item: Any, name: str) -> None:
        links = []
        for title, child in item.items():
            kind = "groups" if isinstance(child, h5py.Group) else "datasets"
            key = f"{kind[0]}{child.name}"
            links.append({"class": "H5L_TYPE_HARD", "title": title, "collection": kind, "id": key})
            if kind == "groups":
                group(child, key)
                continue
            value = child[()]
            text = isinstance(value, bytes)
            scalar = {"class": "H5S_SCALAR"}
            content["datasets"][key] = {
                "shape": {"class": "H5S_SIMPLE", "dims": list(child.shape)}
                if child.shape
                else scalar,
                "value": value.decode() if text else np.asarray(value).tolist(),
            }
        content["groups"][name] = {"links": links, "attributes": attributes(item.attrs)}

    with h5py.File(path, "r") as file:
        group(file, "g/")
    return content


def test_the_same_file_as_json(tmp_path: Path, rng: np.random.Generator) -> None:
    g = toy_gaussian(rng, toy_patella(4.0))
    write_scalismo(tmp_path / "m.h5", g)
    content = _as_json(tmp_path / "m.h5")
    path = tmp_path / "m.h5.json"
    path.write_text(json.dumps(content))
    found = _read(path)
    _expect(found, g)
    np.testing.assert_array_equal(found.faces, g["cells"].T)
    content["datasets"]["d/model/mean"]["value"][5] = float("nan")
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="mean must be finite"):
        _read(path)
    content["datasets"]["d/model/mean"]["value"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="/model/mean: needed the shape"):
        _read(path)
    path.write_text(json.dumps(content)[:-50])
    with pytest.raises(InputError, match="needed a whole JSON file"):
        _read(path)
    path.write_text("[1, 2]")
    with pytest.raises(InputError, match="hdf5-json"):
        _read(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": None}, "needed /version/majorVersion"),
        ({"version": (0, 7)}, r"needed version 0.8, 0.9 or 1.x, found 0.7"),
        ({"pcaBasis": None}, "needed the dataset /model/pcaBasis"),
        ({"pcaVariance": None}, "needed the dataset /model/pcaVariance"),
        ({"cells": None}, "needed the dataset /representer/cells"),
        ({"datasetType": "VOLUME_MESH"}, "found 'VOLUME_MESH'"),
        ({"mean": np.zeros(10)}, "must hold 3N numbers, found 10"),
        ({"pcaBasis": np.zeros((4, 12))}, r"pcaBasis must have the shape .* found \(4, 12\)"),
        ({"pcaVariance": np.array([1.0, 1.0, -1.0, 0.0])}, "pcaVariance must be 0 or positive"),
        ({"points": np.zeros((7, 3))}, r"points must have the shape .* found \(7, 3\)"),
        ({"cells": np.full((3, 8), 10**6)}, "faces must name points"),
        ({"cells": np.zeros((4, 8), np.int32)}, r"cells must have the shape \(3, M\)"),
        ({"noiseVariance": np.array([np.nan])}, "noiseVariance must be one number"),
        ({"mean": np.array(["a", "b"], dtype="S1")}, "must hold numbers"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else None,
)
def test_a_wrong_scalismo_file_says_what_is_wrong(
    changes: dict[str, Any], message: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    write_scalismo(tmp_path / "m.h5", toy_gaussian(rng, toy_patella(4.0)), **changes)
    with pytest.raises(InputError, match=message):
        _read(tmp_path / "m.h5")


def test_damaged_hdf5(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "m.h5"
    write_scalismo(path, toy_gaussian(rng, toy_patella(4.0)))
    whole = path.read_bytes()
    for data in (b"", whole[: len(whole) // 2], b"no HDF5 at all" * 100):
        path.write_bytes(data)
        with pytest.raises(InputError, match="needed a whole HDF5 file"):
            _read(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("model/mean", (9,), "f4", external=[("/etc/hostname", 0, 36)])
    with pytest.raises(InputError, match="needed data inside the file"):
        _read(path)
    with pytest.raises(InputError, match="needed an HDF5 file, found none"):
        _read(tmp_path / "none.h5")
    with pytest.raises(InputError, match=r"needed \.h5"):
        _read(tmp_path / "model.xyz")


def _covariance(modes: np.ndarray) -> np.ndarray:
    flat = modes.reshape(len(modes), -1).astype(np.float64)
    return flat.T @ flat


def test_an_orthonormal_basis_of_any_modes_is_the_same_gaussian(model: ShapeModel) -> None:
    basis, variance = orthonormal_basis(model.modes.astype(np.float64))
    assert basis.shape[1] == 4  # two of the six modes add no direction
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-12)
    np.testing.assert_allclose((basis * variance) @ basis.T, _covariance(model.modes), atol=1e-6)
    assert orthonormal_basis(np.zeros((0, 5, 3)))[0].shape == (15, 0)


def test_statismo_round_trip(model: ShapeModel, tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    write_statismo(path, model)
    found = _read(path)
    np.testing.assert_array_equal(found.mean, model.mean)
    np.testing.assert_array_equal(found.faces, model.faces)
    np.testing.assert_allclose(_covariance(found.modes), _covariance(model.modes), atol=1e-4)
    rms = np.sqrt(np.mean(np.square(model.inadequacy_mm)))
    np.testing.assert_allclose(found.inadequacy_mm, rms, rtol=1e-6)
    with h5py.File(path) as file:  # what scalismo's reader asks for
        size = 3 * model.num_vertices
        assert file["model/mean"].shape == (size,)
        assert file["model/pcaBasis"].shape == (size, 4)
        assert file["model/pcaBasis"].dtype == np.float32
        assert file["representer/points"].shape == (3, model.num_vertices)
        assert file["representer/cells"].shape == (3, len(model.faces))
        assert file["representer"].attrs["datasetType"] == b"POLYGON_MESH"
        assert (file["version/majorVersion"][()], file["version/minorVersion"][()]) == (0, 9)
        assert file["catalog/patella/modelPath"][()] == b"/"
