"""HDF5 files as plain arrays; h5py is imported late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteoform._errors import InputError, MissingExtraError

# No model of one bone comes near; a damaged header may ask for anything.
_MAX_BYTES = 4 * 2**30


@dataclass(frozen=True, kw_only=True)
class Tree:
    """What an HDF5 file holds, by absolute path.

    Attributes
    ----------
    arrays
        Datasets: numbers, or text as str or bytes.
    attributes
        Attributes of groups.
    """

    arrays: Mapping[str, NDArray[Any]] = field(repr=False)
    attributes: Mapping[str, Mapping[str, Any]] = field(repr=False)

    def text(self, path: str) -> str | None:
        """A dataset as text."""
        return None if path not in self.arrays else as_text(self.arrays[path])

    def attribute(self, path: str, name: str) -> str | None:
        """An attribute of a group as text."""
        found = self.attributes.get(path, {})
        return None if name not in found else as_text(found[name])


def as_text(value: Any) -> str:
    """Text out of what HDF5 libraries make of strings."""
    item = np.asarray(value).reshape(-1)
    first = item[0] if len(item) else ""
    return (first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)).rstrip(
        "\0"
    )


def import_h5py() -> Any:
    """The module h5py, or MissingExtraError."""
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(
            "HDF5 shape models need h5py: pip install 'osteoform[ssm]'"
        ) from error
    return h5py


def read_hdf5(path: Path) -> Tree:
    """Every dataset and every group's attributes of an HDF5 file.

    Raises
    ------
    InputError
        The file is missing, damaged, truncated, of another format, or too large.
    MissingExtraError
        h5py is not installed.
    """
    if not path.is_file():
        raise InputError(f"{path}: needed an HDF5 file, found none")
    h5py = import_h5py()
    try:
        with h5py.File(path, "r") as file:
            return _read(file, h5py)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:  # noqa: BLE001 - a damaged file raises anything
        raise InputError(f"{path}: needed a whole HDF5 file, cannot be read: {error}") from None


def _read(file: Any, h5py: Any) -> Tree:
    arrays: dict[str, NDArray[Any]] = {}
    attributes: dict[str, dict[str, Any]] = {"/": dict(file.attrs)}
    total = 0

    def visit(name: str, item: Any) -> None:
        nonlocal total
        if isinstance(item, h5py.Group):
            attributes[f"/{name}"] = dict(item.attrs)
            return
        if item.external is not None or item.is_virtual:
            raise InputError(f"/{name}: needed data inside the file, found it in another")
        total += (item.size or 0) * item.dtype.itemsize
        if total > _MAX_BYTES:
            raise InputError(f"needed at most {_MAX_BYTES} bytes of data, found more")
        arrays[f"/{name}"] = np.asarray(item[()])

    file.visititems(visit)
    return Tree(arrays=arrays, attributes=attributes)
