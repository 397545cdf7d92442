"""Repair of raw meshes: what is put right is said, what would be guessing is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from osteoform import InputError, Mesh
from osteoform.io.meshes import is_closed, write_ply
from osteoform.modeling.repair import length_of, read_bone, repair_bone
from osteoform.modeling.surface import signed_volume
from reference.toy_bones import toy_fibula

_TOY = toy_fibula(4.0)
V, F = _TOY.vertices, _TOY.faces
LENGTH_MM = length_of(V)
Arrays = tuple[np.ndarray, np.ndarray]


def _mesh(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    return Mesh(vertices=vertices.astype(np.float32), faces=faces.astype(np.int32))


def _ball(center: list[float], radius_mm: float) -> Arrays:
    """An octahedron."""
    corners = np.concatenate([np.eye(3), -np.eye(3)]) * radius_mm + center
    faces = [[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]]
    return corners, np.array(faces)


def _with(extra: Arrays) -> Arrays:
    return np.concatenate([V, extra[0]]), np.concatenate([F, extra[1] + len(V)])


def _soup() -> Arrays:
    return V[F].reshape(-1, 3), np.arange(3 * len(F)).reshape(-1, 3)


def _some_turned() -> Arrays:
    faces = F.copy()
    faces[::7] = faces[::7, ::-1]
    return V, faces


def _cavity() -> Arrays:
    center, faces = _ball([-8.0, 4.0, 340.0], 5.0)
    return _with((center, faces[:, ::-1]))


def test_a_whole_mesh_is_left_alone() -> None:
    bone = repair_bone(_mesh(V, F), length_mm=LENGTH_MM)
    assert bone.repairs == ()
    order = np.lexsort(bone.mesh.vertices.T)
    np.testing.assert_array_equal(
        bone.mesh.vertices[order], V.astype(np.float32)[np.lexsort(V.astype(np.float32).T)]
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: (V / 1000.0, F), "taken as m: multiplied by 1000"),
        (lambda: (V / 10.0, F), "taken as cm: multiplied by 10"),
        (lambda: (V, F[:, ::-1]), "wound inward"),
        (_soup, "lay on others"),
        (_some_turned, "wound against their neighbours"),
        (lambda: (V, np.delete(F, [3, 500], axis=0)), "2 holes closed"),
        (lambda: _with(_ball([60.0, 0.0, 100.0], 3.0)), "1 small separate bodies removed"),
        (_cavity, "1 surfaces inside the bone removed"),
        (lambda: (V, np.concatenate([F, F[:1]])), "given twice"),
    ],
    ids=["m", "cm", "inward", "soup", "turned", "holes", "speck", "cavity", "twice"],
)
def test_what_is_put_right_is_said(make: Callable[[], Arrays], said: str) -> None:
    bone = repair_bone(_mesh(*make()), length_mm=LENGTH_MM, repairs=("before",))
    assert bone.repairs[0] == "before"
    assert any(said in repair for repair in bone.repairs), bone.repairs
    assert len(bone.repairs) == 2
    mesh = bone.mesh
    assert is_closed(mesh.faces)
    volume = signed_volume(mesh.vertices.astype(np.float64), mesh.faces)
    assert volume == pytest.approx(signed_volume(V, F), rel=1e-3)


def _not_finite() -> Arrays:
    broken = V.copy()
    broken[7, 1] = np.nan
    return broken, F


def _fin() -> Arrays:
    return np.concatenate([V, [[50.0, 0.0, 100.0]]]), np.concatenate([F, [[*F[0, :2], len(V)]]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_not_finite, "NaN or infinity"),
        (lambda: _ball([0.0, 0.0, 0.0], LENGTH_MM / 2), "needed 100 vertices or more, found 6"),
        (lambda: _with((V + [90.0, 0.0, 0.0], F)), "found 2 separate bodies"),
        (lambda: (V, F[V[F].max(axis=1)[:, 2] < 330.0]), "give whole bones"),
        (_fin, "needed edges of two triangles"),
        (lambda: (0.3 * V, F), "needed a whole bone"),
        (lambda: (90.0 * V, F), "needed a whole bone"),
    ],
    ids=["nan", "few", "two", "open", "fin", "short", "huge"],
)
def test_what_would_be_guessing_is_refused(make: Callable[[], Arrays], message: str) -> None:
    with pytest.raises(InputError, match=message):
        repair_bone(_mesh(*make()), length_mm=LENGTH_MM)


def test_length_does_not_hang_on_axes(rng: np.random.Generator) -> None:
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert length_of(V @ turn.T + 100.0) == pytest.approx(LENGTH_MM, rel=1e-9)
    assert pytest.approx(364.0, abs=3.0) == LENGTH_MM


def test_a_message_names_the_file(tmp_path: Path) -> None:
    write_ply(tmp_path / "bone.ply", _mesh(0.3 * V, F))
    with pytest.raises(InputError, match=r"bone\.ply: needed a whole bone"):
        read_bone(tmp_path / "bone.ply", length_mm=LENGTH_MM)
    write_ply(tmp_path / "bone.ply", _mesh(V, F[:, ::-1]))
    bone = read_bone(tmp_path / "bone.ply", length_mm=LENGTH_MM)
    assert bone.name == "bone"
    assert bone.repairs == ("the surface was wound inward: turned outward",)
