"""Legacy VTK polydata: ascii and binary, the classic and the 5.x layout of polygons."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from osteoform._errors import InputError
from osteoform.io.polygons import Polygons, as_integers, fan

_TYPES = {
    "char": "i1",
    "unsigned_char": "u1",
    "short": "i2",
    "unsigned_short": "u2",
    "int": "i4",
    "unsigned_int": "u4",
    "long": "i8",
    "unsigned_long": "u8",
    "vtktypeint64": "i8",
    "float": "f4",
    "double": "f8",
}


def parse_vtk(data: bytes) -> Polygons:
    """Vertices and triangulated polygons of a legacy VTK file."""
    reader = _Reader(data)
    vertices: NDArray[np.float64] | None = None
    faces: NDArray[np.int64] | None = None
    while vertices is None or faces is None:
        words = reader.line().split()
        keyword = words[0].upper() if words else ""
        if keyword == "POINTS":
            flat = reader.numbers(_word(words, 2), 3 * _whole(words, 1))
            vertices = flat.astype(np.float64).reshape(-1, 3)
        elif keyword == "POLYGONS":
            faces = _polygons(reader, _whole(words, 1), _whole(words, 2))
        elif keyword == "METADATA":
            reader.skip_block()
        elif keyword in ("VERTICES", "LINES", "TRIANGLE_STRIPS"):
            _cells(reader, _whole(words, 1), _whole(words, 2))
        elif keyword in ("POINT_DATA", "CELL_DATA", "FIELD", "DATASET_END", "END"):
            break
    if vertices is None or faces is None:
        raise InputError("needed POINTS and POLYGONS, found only one of them or none")
    return Polygons(vertices=vertices, faces=faces)


def _polygons(reader: _Reader, first: int, second: int) -> NDArray[np.int64]:
    sizes, corners = _cells(reader, first, second)
    return fan(sizes, corners)


def _cells(reader: _Reader, first: int, second: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sizes and corners of cells, in either layout."""
    at = reader.at
    words = reader.line().split()
    if len(words) == 2 and words[0].upper() == "OFFSETS":
        offsets = as_integers(reader.numbers(words[1], first), "offsets")
        words = reader.line().split()
        if len(words) != 2 or words[0].upper() != "CONNECTIVITY":
            raise InputError("needed CONNECTIVITY after OFFSETS, found something else")
        return np.diff(offsets), as_integers(reader.numbers(words[1], second), "vertex numbers")
    reader.at = at
    flat = as_integers(reader.numbers("int", second), "polygons")
    if first and second == 4 * first and (flat[::4] == 3).all():
        return flat[::4], flat.reshape(-1, 4)[:, 1:].reshape(-1)
    sizes, corners, at = list[int](), list[NDArray[np.int64]](), 0
    for _ in range(first):
        if at >= len(flat) or flat[at] < 0 or at + 1 + flat[at] > len(flat):
            raise InputError(f"needed {first} polygons in {second} numbers, found fewer")
        sizes.append(int(flat[at]))
        corners.append(flat[at + 1 : at + 1 + sizes[-1]])
        at += 1 + sizes[-1]
    return np.array(sizes, np.int64), np.concatenate([np.zeros(0, np.int64), *corners])


class _Reader:
    """A position in the file; lines and blocks of numbers, ascii or big-endian binary."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        first = self.line()
        if not first.startswith("# vtk DataFile"):
            raise InputError("needed a legacy VTK file, found no '# vtk DataFile' line")
        self.line(may_be_empty=True)
        self.binary = {"ASCII": False, "BINARY": True}.get(self.line().strip().upper())
        if self.binary is None:
            raise InputError("needed ASCII or BINARY on the third line, found neither")
        dataset = self.line().split()
        if [word.upper() for word in dataset] != ["DATASET", "POLYDATA"]:
            raise InputError(f"needed DATASET POLYDATA, found {' '.join(dataset) or 'nothing'!r}")

    def line(self, *, may_be_empty: bool = False) -> str:
        """The next line that is not empty."""
        while True:
            if self.at >= len(self.data):
                raise InputError("the file ends before POINTS and POLYGONS: it is truncated")
            end = self.data.find(b"\n", self.at)
            end = len(self.data) if end < 0 else end
            text = self.data[self.at : end].decode("latin-1").strip()
            self.at = end + 1
            if text or may_be_empty:
                return text

    def skip_block(self) -> None:
        """Go past a block that an empty line ends."""
        end = self.data.find(b"\n\n", self.at)
        self.at = len(self.data) if end < 0 else end + 2

    def numbers(self, type_name: str, count: int) -> NDArray[np.generic]:
        """The next `count` numbers."""
        if count < 0:
            raise InputError(f"needed a count of 0 or more, found {count}")
        code = _TYPES.get(type_name.lower())
        if code is None:
            raise InputError(f"needed a number type, found {type_name!r}")
        if self.binary:
            dtype = np.dtype(">" + code)
            if self.at + count * dtype.itemsize > len(self.data):
                raise InputError(f"the file ends within {count} numbers: it is truncated")
            found = np.frombuffer(self.data, dtype, count, self.at)
            self.at += count * dtype.itemsize
            return found.astype(dtype.newbyteorder("="))
        return self._ascii_numbers(count)

    def _ascii_numbers(self, count: int) -> NDArray[np.float64]:
        words = list[bytes]()
        while len(words) < count:
            words += self.line().encode("latin-1").split()
        if len(words) > count:
            raise InputError(f"needed {count} numbers, found {len(words)} on their lines")
        try:
            return np.array(words, dtype=np.float64)
        except ValueError as error:
            raise InputError(f"needed numbers: {error}") from None


def _word(words: list[str], index: int) -> str:
    if index >= len(words):
        raise InputError(f"found the damaged line {' '.join(words)!r}")
    return words[index]


def _whole(words: list[str], index: int) -> int:
    try:
        return int(_word(words, index))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"found the damaged line {' '.join(words)!r}") from None
