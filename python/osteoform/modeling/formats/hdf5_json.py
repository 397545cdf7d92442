"""HDF5 written as JSON (`.h5.json`), as scalismo does: the layout of the HDF Group's hdf5-json.

`root` names a group; groups hold links by title to groups and datasets, which are listed by id.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteoform._errors import InputError
from osteoform.modeling.formats.hdf5 import Tree


def read_hdf5_json(path: Path) -> Tree:
    """Every dataset and every group's attributes of a `.h5.json` file.

    Raises
    ------
    InputError
        The file is missing, no JSON, or not laid out as hdf5-json.
    """
    if not path.is_file():
        raise InputError(f"{path}: needed an hdf5-json file, found none")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _tree(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: needed a whole JSON file, cannot be read: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: needed the layout of hdf5-json (root, groups, datasets): "
            f"{type(error).__name__} {error}"
        ) from None


def _tree(content: Any) -> Tree:
    if not isinstance(content, dict) or "root" not in content or "groups" not in content:
        raise InputError("needed the layout of hdf5-json, found no root and groups")
    arrays: dict[str, NDArray[Any]] = {}
    attributes: dict[str, dict[str, Any]] = {}
    waiting, seen = [("", str(content["root"]))], set[str]()
    while waiting:
        path, name = waiting.pop()
        if name in seen:  # hard links may form a ring
            continue
        seen.add(name)
        group = content["groups"][name]
        attributes[path or "/"] = {
            entry["name"]: entry.get("value") for entry in group.get("attributes") or ()
        }
        for link in group.get("links") or ():
            if link.get("class") != "H5L_TYPE_HARD":
                continue
            below = f"{path}/{link['title']}"
            if link["collection"] == "groups":
                waiting.append((below, str(link["id"])))
            elif link["collection"] == "datasets":
                arrays[below] = _array(content["datasets"][link["id"]], below)
    return Tree(arrays=arrays, attributes=attributes)


def _array(dataset: dict[str, Any], path: str) -> NDArray[Any]:
    try:
        values = np.asarray(dataset.get("value"))
    except ValueError:
        raise InputError(f"{path}: needed rows of one length, found others") from None
    if values.dtype.kind not in "fiuUS":
        raise InputError(f"{path}: needed numbers or text, found {values.dtype}")
    shape = dataset.get("shape") or {}
    if shape.get("class") == "H5S_SIMPLE" and list(values.shape) != list(shape.get("dims", ())):
        raise InputError(f"{path}: needed the shape {shape.get('dims')}, found {values.shape}")
    return values
