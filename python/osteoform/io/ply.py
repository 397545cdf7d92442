"""Stanford PLY: ascii and binary, read and written."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from osteoform._errors import InputError
from osteoform.io.polygons import Polygons, fan, pack_lists

_TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "ushort": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "uint": "u4",
    "uint32": "u4",
    "float": "f4",
    "float32": "f4",
    "double": "f8",
    "float64": "f8",
}


# Columns by element and property.
_Table = dict[str, dict[str, NDArray[np.generic]]]


@dataclass(kw_only=True)
class _Element:
    name: str
    count: int
    # (name, value type, type of the count or None for a plain property)
    properties: list[tuple[str, str, str | None]] = field(default_factory=list)


def parse_ply(data: bytes) -> Polygons:
    """Vertices and triangulated faces of a PLY file."""
    form, elements, body = _header(data)
    read = _read_ascii if form == "ascii" else _read_binary
    order = ">" if form == "binary_big_endian" else "<"
    found = read(elements, body, order)
    if "vertex" not in found or not {"x", "y", "z"} <= found["vertex"].keys():
        raise InputError("needed an element vertex with x, y and z, found none")
    vertices = np.stack([found["vertex"][axis] for axis in "xyz"], axis=1).astype(np.float64)
    faces = found.get("face", {})
    name = next((n for n in ("vertex_indices", "vertex_index") if n in faces), None)
    if name is None:
        raise InputError("needed an element face with vertex_indices, found none")
    sizes, corners = faces[f"{name}#"], faces[name]
    return Polygons(vertices=vertices, faces=fan(sizes, corners))


def format_ply(vertices: NDArray[np.float32], faces: NDArray[np.int32], comment: str) -> bytes:
    """A binary little-endian PLY, float32 vertices and int32 triangles in order."""
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        "comment SPACE=LPS",
        *(f"comment {line}" for line in comment.splitlines()),
        f"element vertex {len(vertices)}",
        *(f"property float {axis}" for axis in "xyz"),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
        "",
    ]
    rows = np.empty(len(faces), dtype=[("size", "u1"), ("corners", "<i4", (3,))])
    rows["size"], rows["corners"] = 3, faces
    return (
        "\n".join(lines).encode("ascii", "replace")
        + vertices.astype("<f4").tobytes()
        + (rows.tobytes())
    )


def _header(data: bytes) -> tuple[str, list[_Element], bytes]:
    end = data.find(b"end_header")
    newline = data.find(b"\n", end)
    if end < 0 or newline < 0:
        raise InputError("needed a PLY header, found no end_header")
    form, elements = "", list[_Element]()
    for line in data[:end].decode("latin-1").splitlines()[1:]:
        words = line.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        try:
            if words[0] == "format":
                form = words[1]
            elif words[0] == "element":
                elements.append(_Element(name=words[1], count=int(words[2])))
            elif words[0] == "property" and words[1] == "list":
                elements[-1].properties.append((words[4], _TYPES[words[3]], _TYPES[words[2]]))
            elif words[0] == "property":
                elements[-1].properties.append((words[2], _TYPES[words[1]], None))
            else:
                raise InputError(f"found the unknown PLY header line {line.strip()!r}")
        except (IndexError, KeyError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"found the damaged PLY header line {line.strip()!r}") from None
    if form not in ("ascii", "binary_little_endian", "binary_big_endian"):
        raise InputError(f"needed an ascii or binary PLY, found the format {form!r}")
    if any(element.count < 0 for element in elements):
        raise InputError("needed element counts of 0 or more, found a negative one")
    return form, elements, data[newline + 1 :]


def _read_ascii(elements: list[_Element], body: bytes, order: str) -> _Table:
    try:
        numbers = np.array(body.split(), dtype=np.float64)
    except ValueError as error:
        raise InputError(f"needed numbers after the PLY header: {error}") from None
    found: _Table = {}
    at = 0
    for element in elements:
        if all(count is None for _, _, count in element.properties):
            width = len(element.properties)
            need(at + element.count * width <= len(numbers), element.name)
            table = numbers[at : at + element.count * width].reshape(element.count, width)
            at += element.count * width
            found[element.name] = {
                name: table[:, i] for i, (name, _, _) in enumerate(element.properties)
            }
        else:
            found[element.name], at = _ascii_lists(element, numbers, at)
    return found


def _ascii_lists(
    element: _Element, numbers: NDArray[np.float64], at: int
) -> tuple[dict[str, NDArray[np.generic]], int]:
    columns: dict[str, list[NDArray[np.float64]]] = {n: [] for n, _, _ in element.properties}
    for _ in range(element.count):
        for name, _, count in element.properties:
            need(at < len(numbers), element.name)
            size = 1 if count is None else int(numbers[at])
            at += 0 if count is None else 1
            need(size >= 0 and at + size <= len(numbers), element.name)
            columns[name].append(numbers[at : at + size])
            at += size
    return pack_lists(columns, [n for n, _, count in element.properties if count is not None]), at


def _read_binary(elements: list[_Element], body: bytes, order: str) -> _Table:
    found: _Table = {}
    at = 0
    for element in elements:
        dtype = _fixed_dtype(element, body, at, order)
        need(at + element.count * dtype.itemsize <= len(body), element.name)
        rows = np.frombuffer(body, dtype, element.count, at)
        if all(
            (rows[f"{name}#"] == rows.dtype[name].shape[0]).all()
            for name, _, count in element.properties
            if count is not None
        ):
            at += element.count * dtype.itemsize
            found[element.name] = {
                name: rows[name].reshape(-1) for name in dtype.names or () if element.count
            }
        else:
            found[element.name], at = _binary_lists(element, body, at, order)
    return found


def _fixed_dtype(element: _Element, body: bytes, at: int, order: str) -> np.dtype[np.void]:
    """The row type if every list is as long as in the first row."""
    entries: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
    for name, value, count in element.properties:
        if count is None:
            entries.append((name, order + value))
            at += np.dtype(value).itemsize
            continue
        size = 0
        if element.count:
            size = int(_take(body, order + count, 1, at, element.name)[0])
        need(0 <= size <= len(body), element.name)
        entries += [(f"{name}#", order + count), (name, order + value, (size,))]
        at += np.dtype(count).itemsize + size * np.dtype(value).itemsize
    return np.dtype(entries)


def _binary_lists(
    element: _Element, body: bytes, at: int, order: str
) -> tuple[dict[str, NDArray[np.generic]], int]:
    columns: dict[str, list[NDArray[np.float64]]] = {n: [] for n, _, _ in element.properties}
    for _ in range(element.count):
        for name, value, count in element.properties:
            size = 1
            if count is not None:
                size = int(_take(body, order + count, 1, at, element.name)[0])
                at += np.dtype(count).itemsize
            columns[name].append(_take(body, order + value, size, at, element.name))
            at += size * np.dtype(value).itemsize
    return pack_lists(columns, [n for n, _, count in element.properties if count is not None]), at


def _take(body: bytes, dtype: str, count: int, at: int, name: str) -> NDArray[np.float64]:
    need(count >= 0 and at + count * np.dtype(dtype).itemsize <= len(body), name)
    return np.frombuffer(body, dtype, count, at).astype(np.float64)


def need(enough: bool, name: str) -> None:
    """Raise InputError unless there is enough data for an element."""
    if not enough:
        raise InputError(f"the file ends within the element {name!r}: it is truncated")
