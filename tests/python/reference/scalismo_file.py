"""A file as scalismo's reader wants it, written from the layout alone. Imports nothing of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from reference.toy_bones import ToyBone

Arrays = dict[str, np.ndarray]


def toy_gaussian(rng: np.random.Generator, toy: ToyBone) -> Arrays:
    """A toy bone with an orthonormal basis, as float32 like the files."""
    size = toy.vertices.size
    basis = np.linalg.qr(rng.normal(size=(size, 4)))[0]
    return {
        "mean": toy.vertices.reshape(-1).astype(np.float32),
        "basis": basis.astype(np.float32),
        "variance": np.array([900.0, 250.0, 40.0, 0.0], np.float32),
        "points": toy.vertices.T.astype(np.float32),
        "cells": toy.faces.T.astype(np.int32),
    }


def write_scalismo(
    path: Path, g: Arrays, *, version: tuple[int, int] | None = (0, 9), at: str = "", **changes: Any
) -> None:
    """A file as scalismo lays it out; `changes` replace datasets, None leaves one out."""
    datasets: dict[str, Any] = {
        f"{at}/model/mean": g["mean"],
        f"{at}/model/noiseVariance": np.array([0.25], np.float32),
        f"{at}/model/pcaBasis": g["basis"],
        f"{at}/model/pcaVariance": g["variance"],
        f"{at}/representer/points": g["points"],
        f"{at}/representer/cells": g["cells"],
        f"{at}/modelinfo/build-time": "Mon Jan 01 12:00:00 CET 2018",
    }
    if version is not None:
        datasets["/version/majorVersion"] = np.int32(version[0])
        datasets["/version/minorVersion"] = np.int32(version[1])
    attributes = {
        "name": "itkStandardMeshRepresenter",
        "version/majorVersion": "0",
        "version/minorVersion": "9",
        "datasetType": changes.pop("datasetType", "POLYGON_MESH"),
    }
    for name, value in changes.items():
        key = next(k for k in datasets if k.endswith(f"/{name}"))
        if value is None:
            del datasets[key]
        else:
            datasets[key] = value
    with h5py.File(path, "w") as file:
        for name, value in datasets.items():
            file[name] = value
        for name, value in attributes.items():
            file[f"{at}/representer"].attrs[name] = value
