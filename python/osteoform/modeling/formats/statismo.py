"""The layout that statismo and scalismo give an HDF5 file, versions 0.8, 0.9 and 1.x.

`/model` holds mean (3N,), pcaBasis (3N, K), pcaVariance (K,) and noiseVariance (1,), points one
after another as x, y, z; `/representer` holds points (3, N) and cells (3, M), its attribute
datasetType says POLYGON_MESH or POINT_SET; `/version` majorVersion and minorVersion. Version 0.8
keeps the standard deviation inside pcaBasis, later ones do not; its oldest representers keep the
reference as the bytes of a legacy VTK file. `/catalog/*/modelPath` says where a file of several
models keeps each.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from osteoform._errors import InputError
from osteoform._shape_model import ShapeModel
from osteoform._types import F64, I32
from osteoform.io.vtk import parse_vtk
from osteoform.modeling.formats.hdf5 import Tree, import_h5py
from osteoform.modeling.formats.orthonormal import orthonormal_basis
from osteoform.modeling.formats.points import PointModel, check_faces, numbers

_VTK_REPRESENTERS = ("vtkPolyDataRepresenter", "itkMeshRepresenter")


def point_model(tree: Tree) -> PointModel:
    """The model of a file laid out as statismo and scalismo do.

    Raises
    ------
    InputError
        A dataset is missing or of the wrong shape, a number is not finite, the version is not
        known, or the representer is no surface and no set of points.
    """
    at = _model_path(tree)
    scaled = _basis_is_scaled(tree, at)
    mean = _vector(tree, f"{at}/model/mean")
    if mean.size % 3 != 0 or mean.size == 0:
        raise InputError(f"{at}/model/mean must hold 3N numbers, found {mean.size}")
    variance = _vector(tree, f"{at}/model/pcaVariance")
    basis = _array(tree, f"{at}/model/pcaBasis")
    if basis.shape != (mean.size, variance.size):
        raise InputError(
            f"{at}/model/pcaBasis must have the shape {(mean.size, variance.size)}, "
            f"found {basis.shape}"
        )
    if (variance < 0.0).any() or not np.isfinite(variance).all():
        raise InputError(f"{at}/model/pcaVariance must be 0 or positive, found others")
    modes = basis if scaled else basis * np.sqrt(variance)
    return PointModel(
        mean=mean.reshape(-1, 3),
        modes=np.ascontiguousarray(modes.T).reshape(variance.size, mean.size // 3, 3),
        faces=_faces(tree, at, mean.size // 3),
        inadequacy_mm=_noise_mm(tree, at, mean.size // 3),
    )


def write_statismo(path: Path, model: ShapeModel) -> None:
    """Write a shape model as statismo 0.9, for statismo and scalismo.

    The basis is made orthonormal; the Gaussian stays the same. What the model cannot express
    becomes one noise variance, its mean over the vertices.

    Raises
    ------
    MissingExtraError
        h5py is not installed.
    """
    basis, variance = orthonormal_basis(model.modes.astype(np.float64))
    noise = float(np.mean(np.square(model.inadequacy_mm.astype(np.float64))))
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    with import_h5py().File(path, "w") as file:
        file["model/mean"] = model.mean.reshape(-1)
        file["model/pcaBasis"] = basis.astype(np.float32)
        file["model/pcaVariance"] = variance.astype(np.float32)
        file["model/noiseVariance"] = np.array([noise], np.float32)
        file["representer/points"] = np.ascontiguousarray(model.mean.T)
        file["representer/cells"] = np.ascontiguousarray(model.faces.T)
        attributes = {
            "name": "itkStandardMeshRepresenter",
            "version/majorVersion": "0",
            "version/minorVersion": "9",
            "datasetType": "POLYGON_MESH",
        }
        for name, value in attributes.items():
            file["representer"].attrs[name] = np.bytes_(value)
        file["version/majorVersion"] = np.int32(0)
        file["version/minorVersion"] = np.int32(9)
        entry = f"catalog/{model.bone}"
        file[f"{entry}/modelPath"], file[f"{entry}/modelType"] = "/", "POLYGON_MESH_MODEL"
        file["modelinfo/build-time"] = now
        builder = file.create_group("modelinfo/modelBuilder-0")
        builder["buildTime"], builder["builderName"] = now, "osteoform model export"
        builder.create_group("dataInfo")
        builder.create_group("parameters")["origin"] = model.origin


def _model_path(tree: Tree) -> str:
    """Where the model lies: the root, or where the only entry of the catalog says."""
    if any(path.startswith("/model/") for path in tree.arrays):
        return ""
    entries = {
        path.split("/")[2]: tree.text(path) or "/"
        for path in tree.arrays
        if path.startswith("/catalog/") and path.endswith("/modelPath")
    }
    if len(entries) > 1:
        raise InputError(f"needed one model, found {len(entries)}: {', '.join(sorted(entries))}")
    if not entries:
        found = ", ".join(sorted(tree.arrays)[:8]) or "nothing"
        raise InputError(f"needed /model/mean, /model/pcaBasis and more, found {found}")
    return "/" + next(iter(entries.values())).strip("/") if entries else ""


def _basis_is_scaled(tree: Tree, at: str) -> bool:
    """Whether the standard deviation is inside the basis: version 0.8 alone."""
    major, minor = (_integer(tree, f"/version/{part}") for part in ("majorVersion", "minorVersion"))
    if major is None and minor is None:
        name = tree.attribute(f"{at}/representer", "name")
        if name in _VTK_REPRESENTERS:
            return True  # files were not versioned before 0.8
        raise InputError("needed /version/majorVersion and minorVersion, found none")
    if (major, minor) == (0, 8):
        return True
    if (major, minor) == (0, 9) or (major == 1 and minor is not None):
        return False
    raise InputError(f"needed version 0.8, 0.9 or 1.x, found {major}.{minor}")


def _faces(tree: Tree, at: str, num_points: int) -> I32 | None:
    group = f"{at}/representer"
    name = tree.attribute(group, "name")
    if name in _VTK_REPRESENTERS:
        return _vtk_faces(tree, f"{group}/reference", num_points)
    kind = tree.attribute(group, "datasetType")
    if kind not in ("POLYGON_MESH", "POINT_SET"):
        raise InputError(
            f"{group}: needed the attribute datasetType POLYGON_MESH or POINT_SET, found {kind!r}"
        )
    points = _array(tree, f"{group}/points")
    if points.shape != (3, num_points):
        raise InputError(
            f"{group}/points must have the shape {(3, num_points)}, found {points.shape}"
        )
    if kind == "POINT_SET":
        return None
    cells = _array(tree, f"{group}/cells", dtype="iu")
    if cells.ndim != 2 or cells.shape[0] != 3:
        raise InputError(f"{group}/cells must have the shape (3, M), found {cells.shape}")
    return check_faces(cells.T.astype(np.int64), num_points)


def _vtk_faces(tree: Tree, path: str, num_points: int) -> I32:
    if path not in tree.arrays:
        raise InputError(f"needed {path}, the bytes of a VTK file, found none")
    try:
        polygons = parse_vtk(np.asarray(tree.arrays[path]).astype(np.uint8).tobytes())
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if len(polygons.vertices) != num_points:
        raise InputError(f"{path}: needed {num_points} points, found {len(polygons.vertices)}")
    return check_faces(polygons.faces, num_points)


def _noise_mm(tree: Tree, at: str, num_points: int) -> F64 | None:
    """Standard deviation (N,) of the noise; None where the file has none or says 0.

    scalismo always writes 0, which means that it does not know.
    """
    path = f"{at}/model/noiseVariance"
    if path not in tree.arrays:
        return None
    values = numbers(tree.arrays[path], path).reshape(-1)
    if len(values) != 1 or not np.isfinite(values[0]) or values[0] < 0.0:
        raise InputError(f"{path} must be one number of 0 or more, found {values.tolist()[:3]}")
    return np.full(num_points, np.sqrt(values[0])) if values[0] > 0.0 else None


def _integer(tree: Tree, path: str) -> int | None:
    if path not in tree.arrays:
        return None
    value: Any = np.asarray(tree.arrays[path]).reshape(-1)
    if len(value) != 1 or value.dtype.kind not in "iu":
        raise InputError(f"{path} must be one integer, found {value.shape} {value.dtype}")
    return int(value[0])


def _vector(tree: Tree, path: str) -> F64:
    """A vector, which some writers store as one row or one column."""
    values: F64 = _array(tree, path)
    if values.size != max(values.shape, default=0):
        raise InputError(f"{path} must be a vector, found the shape {values.shape}")
    return values.reshape(-1)


def _array(tree: Tree, path: str, *, dtype: str = "fiu") -> Any:
    if path not in tree.arrays:
        found = ", ".join(sorted(p for p in tree.arrays if p.startswith(path.rsplit("/", 1)[0])))
        raise InputError(f"needed the dataset {path}, found {found or 'none beside it'}")
    values = tree.arrays[path]
    if values.dtype.kind not in dtype:
        raise InputError(f"{path} must hold numbers, found {values.dtype}")
    return values.astype(np.int64) if dtype == "iu" else numbers(values, path)
