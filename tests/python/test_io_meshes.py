"""Meshes from every format we read, whole, damaged and odd."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from osteoform import InputError, Mesh
from osteoform.io.meshes import is_closed, read_mesh, read_mesh_file, write_ply, write_stl
from osteoform.io.polygons import fan
from osteoform.io.stl import format_stl
from osteoform.modeling.surface import signed_volume
from reference.toy_bones import toy_patella

_TOY = toy_patella(6.0)
BONE = Mesh(vertices=_TOY.vertices.astype(np.float32), faces=_TOY.faces)


def _rows(array: np.ndarray, prefix: str = "") -> str:
    return "".join(prefix + " ".join(map(repr, row)) + "\n" for row in array.tolist())


def _ply_ascii(mesh: Mesh) -> bytes:
    head = (
        f"ply\nformat ascii 1.0\ncomment made by hand\nelement vertex {len(mesh.vertices)}\n"
        "property float x\nproperty float y\nproperty float z\nproperty uchar red\n"
        f"element face {len(mesh.faces)}\nproperty list uchar int vertex_index\nend_header\n"
    )
    colored = "".join(f"{' '.join(map(repr, row))} 7\n" for row in mesh.vertices.tolist())
    return (head + colored + _rows(mesh.faces, "3 ")).encode()


def _ply_binary(mesh: Mesh, order: str) -> bytes:
    name = "little" if order == "<" else "big"
    head = (
        f"ply\r\nformat binary_{name}_endian 1.0\r\nelement vertex {len(mesh.vertices)}\r\n"
        "property double x\r\nproperty double y\r\nproperty double z\r\n"
        f"element face {len(mesh.faces)}\r\nproperty uchar flag\r\n"
        "property list uint uint vertex_indices\r\nend_header\r\n"
    )
    rows = np.zeros(
        len(mesh.faces), [("flag", "u1"), ("size", order + "u4"), ("ids", order + "u4", 3)]
    )
    rows["size"], rows["ids"] = 3, mesh.faces
    return head.encode() + mesh.vertices.astype(order + "f8").tobytes() + rows.tobytes()


def _ply_mixed(mesh: Mesh) -> bytes:
    """The first two triangles of a quad merged into it, so that lists differ in length."""
    head = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(mesh.vertices)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        f"element face {len(mesh.faces)}\nproperty list uchar int vertex_indices\n"
        "element extra 1\nproperty list uchar float stuff\nend_header\n"
    )
    body = bytearray(mesh.vertices.astype("<f4").tobytes())
    for face in mesh.faces[:-1]:
        body += bytes([3]) + face.astype("<i4").tobytes()
    body += bytes([4]) + mesh.faces[-1][[0, 1, 2, 2]].astype("<i4").tobytes()
    return head.encode() + bytes(body) + bytes([1]) + np.float32(1.0).tobytes()


def _stl_ascii(mesh: Mesh) -> bytes:
    text = "solid bone\n"
    for face in mesh.faces:
        text += " facet normal 0 0 0\n  outer loop\n"
        text += _rows(mesh.vertices[face], "   vertex ")
        text += "  endloop\n endfacet\n"
    return (text + "endsolid bone\n").encode()


def _vtk_head(version: str, form: str, mesh: Mesh) -> bytes:
    points = len(mesh.vertices)
    return (
        f"# vtk DataFile Version {version}\n\n{form}\nDATASET POLYDATA\nPOINTS {points} float\n"
    ).encode()


def _vtk_ascii(mesh: Mesh) -> bytes:
    faces = f"\nPOLYGONS {len(mesh.faces)} {4 * len(mesh.faces)}\n{_rows(mesh.faces, '3 ')}"
    tail = f"\nPOINT_DATA {len(mesh.vertices)}\nSCALARS a float\n"
    return _vtk_head("3.0", "ASCII", mesh) + (_rows(mesh.vertices) + faces + tail).encode()


def _vtk_binary(mesh: Mesh) -> bytes:
    flat = np.hstack([np.full((len(mesh.faces), 1), 3), mesh.faces]).astype(">i4")
    faces = f"\nPOLYGONS {len(mesh.faces)} {flat.size}\n".encode() + flat.tobytes() + b"\n"
    return _vtk_head("3.0", "BINARY", mesh) + mesh.vertices.astype(">f4").tobytes() + faces


def _vtk_offsets(mesh: Mesh) -> bytes:
    count = len(mesh.faces)
    offsets = (3 * np.arange(count + 1)).astype(">i8")
    return (
        _vtk_head("5.1", "BINARY", mesh)
        + mesh.vertices.astype(">f4").tobytes()
        + b"\nMETADATA\nINFORMATION 0\n\n"
        + f"POLYGONS {count + 1} {3 * count}\nOFFSETS vtktypeint64\n".encode()
        + offsets.tobytes()
        + b"\nCONNECTIVITY vtktypeint64\n"
        + mesh.faces.astype(">i8").tobytes()
        + b"\n"
    )


def _obj(mesh: Mesh) -> bytes:
    text = "# bone\n" + _rows(mesh.vertices, "v ") + "vn 0 0 1\n"
    for i, (a, b, c) in enumerate((mesh.faces + 1).tolist()):
        if i % 2:
            a, b, c = (k - len(mesh.vertices) - 1 for k in (a, b, c))
        text += f"f {a}/1 {b}//1 {c}\n"
    return text.encode()


WRITERS: dict[str, Callable[[Mesh], bytes]] = {
    "ascii.ply": _ply_ascii,
    "little.ply": lambda m: _ply_binary(m, "<"),
    "big.ply": lambda m: _ply_binary(m, ">"),
    "ascii.stl": _stl_ascii,
    "binary.stl": lambda m: format_stl(m.vertices, m.faces),
    "ascii.vtk": _vtk_ascii,
    "binary.vtk": _vtk_binary,
    "offsets.vtk": _vtk_offsets,
    "bone.obj": _obj,
}


def _error_of(path: Path) -> str | None:
    try:
        read_mesh(path)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_mesh(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(WRITERS[name](BONE))
    read = read_mesh_file(tmp_path / name)
    assert read.repairs == ()
    vertices, faces = read.mesh.vertices, read.mesh.faces
    assert vertices.dtype == np.float32
    assert faces.dtype == np.int32
    assert vertices.shape == BONE.vertices.shape
    if not name.endswith(".stl"):
        np.testing.assert_array_equal(faces, BONE.faces)
    np.testing.assert_array_equal(vertices[faces], BONE.vertices[BONE.faces])


@pytest.mark.parametrize("name", WRITERS)
def test_truncated_files(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    data = WRITERS[name](BONE)
    for length in [0, 1, 5, *rng.integers(6, len(data) - 40, size=25)]:
        (tmp_path / name).write_bytes(data[:length])
        message = _error_of(tmp_path / name)
        # Nothing in an OBJ says how long it should be.
        whole = message is None and name.endswith(".obj")
        assert whole or name in str(message), f"{length} of {len(data)} bytes: {message}"


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_files_give_our_error_or_a_mesh(
    name: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    data = WRITERS[name](BONE)
    for _ in range(60):
        damaged = bytearray(data)
        reach = len(data) if rng.random() < 0.5 else 300
        for at in rng.integers(0, min(reach, len(data)), size=4):
            damaged[at] = rng.integers(0, 256)
        (tmp_path / name).write_bytes(damaged)
        message = _error_of(tmp_path / name)
        if message is not None:
            assert name in message
            continue
        mesh = read_mesh(tmp_path / name)
        assert np.isfinite(mesh.vertices).all()
        assert mesh.faces.max() < len(mesh.vertices)


def test_written_ply_keeps_every_bit(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", BONE, comment="femur\nright")
    data = (tmp_path / "a.ply").read_bytes()
    assert b"comment SPACE=LPS\ncomment femur\ncomment right\n" in data
    read = read_mesh(tmp_path / "a.ply")
    np.testing.assert_array_equal(read.vertices, BONE.vertices)
    np.testing.assert_array_equal(read.faces, BONE.faces)


def test_written_stl(tmp_path: Path) -> None:
    write_stl(tmp_path / "a.stl", BONE)
    assert b"SPACE=LPS" in (tmp_path / "a.stl").read_bytes()[:80]
    read = read_mesh(tmp_path / "a.stl")
    assert is_closed(read.faces)
    np.testing.assert_array_equal(read.vertices[read.faces], BONE.vertices[BONE.faces])


@pytest.mark.parametrize("write", [write_ply, write_stl])
def test_wrong_meshes_are_not_written(write: Callable[..., None], tmp_path: Path) -> None:
    broken = BONE.vertices.copy()
    broken[0] = np.nan
    with pytest.raises(InputError, match="finite"):
        write(tmp_path / "a.x", Mesh(vertices=broken, faces=BONE.faces))
    with pytest.raises(InputError, match="faces must name"):
        write(tmp_path / "a.x", Mesh(vertices=BONE.vertices, faces=BONE.faces + 9999))
    assert not (tmp_path / "a.x").exists()


def test_npz(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, vertices=BONE.vertices, faces=BONE.faces)
    np.testing.assert_array_equal(read_mesh(file).faces, BONE.faces)
    np.savez(file, vertices=BONE.vertices)
    with pytest.raises(InputError, match="needed an array faces"):
        read_mesh(file)
    np.savez(file, vertices=BONE.vertices, faces=BONE.faces + 0.5)
    with pytest.raises(InputError, match="whole numbers"):
        read_mesh(file)
    file.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(InputError, match="another format"):
        read_mesh(file)
    np.savez(file, vertices=np.array([None]), faces=BONE.faces)
    with pytest.raises(InputError, match="pickle"):
        read_mesh(file)


def test_inside_out_is_turned_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_ply(tmp_path / "a.ply", Mesh(vertices=BONE.vertices, faces=BONE.faces[:, ::-1].copy()))
    with caplog.at_level(logging.WARNING, "osteoform"):
        mesh = read_mesh(tmp_path / "a.ply")
    assert signed_volume(mesh.vertices.astype(float), mesh.faces) > 0.0
    assert "wound inward: turned outward" in caplog.text


def test_an_open_surface_is_left_as_it_is(tmp_path: Path) -> None:
    faces = BONE.faces[: len(BONE.faces) // 2, ::-1].copy()
    write_ply(tmp_path / "a.ply", Mesh(vertices=BONE.vertices, faces=faces))
    read = read_mesh_file(tmp_path / "a.ply")
    assert not any("wound" in repair for repair in read.repairs)
    np.testing.assert_array_equal(read.mesh.vertices[read.mesh.faces], BONE.vertices[faces])


def test_collapsed_triangles_and_loose_vertices_are_removed(tmp_path: Path) -> None:
    vertices = np.vstack([[[999.0, 0.0, 0.0]], BONE.vertices]).astype(np.float32)
    faces = np.vstack([BONE.faces + 1, [[4, 4, 7]]]).astype(np.int32)
    write_ply(tmp_path / "a.ply", Mesh(vertices=vertices, faces=faces))
    read = read_mesh_file(tmp_path / "a.ply")
    assert read.repairs == (
        "1 triangles without three corners removed",
        "1 vertices that no triangle uses removed",
    )
    np.testing.assert_array_equal(read.mesh.vertices, BONE.vertices)
    np.testing.assert_array_equal(read.mesh.faces, BONE.faces)


def test_ras_is_turned_to_lps(tmp_path: Path) -> None:
    data = _ply_ascii(BONE).replace(b"made by hand", b"SPACE=RAS")
    (tmp_path / "a.ply").write_bytes(data)
    read = read_mesh_file(tmp_path / "a.ply")
    assert read.repairs == ("the file says its axes are RAS: turned to LPS",)
    np.testing.assert_array_equal(read.mesh.vertices, BONE.vertices * np.float32([-1, -1, 1]))


def test_lists_of_different_length(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(_ply_mixed(BONE))
    read = read_mesh_file(tmp_path / "a.ply")
    np.testing.assert_array_equal(read.mesh.faces, BONE.faces)


def test_fan() -> None:
    corners = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    triangles = fan(np.array([3, 4, 5]), corners)
    np.testing.assert_array_equal(
        triangles, [[0, 1, 2], [3, 4, 5], [3, 5, 6], [7, 8, 9], [7, 9, 10], [7, 10, 11]]
    )
    with pytest.raises(InputError, match="3 corners or more"):
        fan(np.array([2]), np.array([0, 1]))
    with pytest.raises(InputError, match="needed 4 polygon corners, found 3"):
        fan(np.array([4]), np.array([0, 1, 2]))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("none.ply", None, "found no file"),
        ("empty.ply", b"", "found an empty file"),
        ("a.step", b"x", "needed one of .ply, .stl"),
        ("a.ply", b"hello", "no end_header"),
        ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 0\nend_header\n", "needed an element"),
        ("a.ply", b"ply\nformat text 1.0\nend_header\n", "found the format 'text'"),
        ("a.vtk", b"hello", "no '# vtk DataFile' line"),
        ("a.vtk", b"# vtk DataFile Version 3.0\nx\nASCII\nDATASET UNSTRUCTURED_GRID\n", "POLYDATA"),
        ("a.obj", b"v 0 0 0\n", "needed vertices and faces, found 1 and 0"),
        ("a.obj", b"v 0 0 0\nf 1 1 0\n", "damaged line 2"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "needed 4 triangles"),
        ("a.obj", b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "finite"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "needed faces of the vertices 0..2"),
        ("a.stl", b"solid x\nendsolid x\n", "three vertices per triangle"),
        ("a.stl", b"\0" * 84, "needed vertices and faces"),
        ("a.stl", b"\1" * 200, "truncated or no STL"),
    ],
)
def test_what_was_wrong_is_said(
    name: str, data: bytes | None, message: str, tmp_path: Path
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_mesh(tmp_path / name)
    assert name in str(caught.value)


def test_a_folder_is_no_mesh(tmp_path: Path) -> None:
    (tmp_path / "a.ply").mkdir()
    with pytest.raises(InputError, match="found no file"):
        read_mesh(tmp_path / "a.ply")


def test_real_meshes(shared_data: Path) -> None:
    files = [*(shared_data / "bones").glob("*/*.vtk"), *(shared_data / "bones").glob("*/*.stl")]
    assert files
    for file in files:
        read = read_mesh_file(file)
        assert read.repairs == ()
        assert is_closed(read.mesh.faces)
        assert 35.0 < np.ptp(read.mesh.vertices, axis=0).max() < 550.0
