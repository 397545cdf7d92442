"""Registration: bending, fitting a model to a surface, and raw meshes of known correspondence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import osteoform
from osteoform import InputError, Mesh
from osteoform.modeling.deform import bending_energy, deform
from osteoform.modeling.procrustes import align_rigid
from osteoform.modeling.register import register_bone, surface_gap
from osteoform.modeling.repair import length_of, read_bone
from osteoform.modeling.surface import triangle_quality, vertex_areas, vertex_normals
from osteoform.modeling.surface_fit import barycentric
from reference.raw_mesh import raw
from reference.toy_bones import ToyBone, toy_fibula, toy_patella


@pytest.fixture(scope="module")
def toy() -> ToyBone:
    return toy_patella(2.0)


def raw_mesh(
    vertices: np.ndarray, faces: np.ndarray, rng: np.random.Generator, *, mirror: bool
) -> Mesh:
    split = raw(vertices, faces, rng, mirror=mirror)
    return Mesh(vertices=split[0], faces=split[1])


def test_raw_makes_the_same_surface(toy: ToyBone, rng: np.random.Generator) -> None:
    for mirror in (False, True):
        mesh = raw_mesh(toy.vertices, toy.faces, rng, mirror=mirror)
        area = vertex_areas(mesh.vertices.astype(float), mesh.faces).sum()
        assert area == pytest.approx(vertex_areas(toy.vertices, toy.faces).sum(), rel=1e-4)
        outward = np.einsum(
            "ij,ij->i",
            vertex_normals(mesh.vertices.astype(float), mesh.faces),
            mesh.vertices - mesh.vertices.mean(axis=0),
        )
        assert (outward > 0.0).all()


def test_triangle_quality() -> None:
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0.5, np.sqrt(0.75), 0], [2, 0, 0]])
    quality = triangle_quality(vertices, np.array([[0, 1, 2], [0, 1, 3]], dtype=np.int32))
    np.testing.assert_allclose(quality, [1.0, 0.0], atol=1e-12)


def test_barycentric_weights_give_the_point_back(rng: np.random.Generator) -> None:
    corners = rng.normal(size=(20, 3, 3))
    truth = rng.dirichlet(np.ones(3), size=20)
    points = np.einsum("pk,pkc->pc", truth, corners)
    np.testing.assert_allclose(barycentric(points, corners), truth, atol=1e-6)


def test_bending_costs_what_bends_and_nothing_else(toy: ToyBone) -> None:
    energy = bending_energy(toy.vertices, toy.faces)
    np.testing.assert_allclose(energy @ np.ones(len(toy.vertices)), 0.0, atol=1e-9)
    z = toy.vertices[:, 2]
    slow, fast = np.cos(z / 20.0), np.cos(z / 5.0)
    assert 0.0 < slow @ energy @ slow < 0.1 * (fast @ energy @ fast)
    # On a flat part, cos(k z) bends like k^4 times its square, summed over the area.
    k, size = 0.5, 24
    y, x = np.mgrid[0:size, 0:size].astype(float)
    flat = np.stack([x.ravel(), y.ravel(), np.zeros(size * size)], axis=1)
    i = (np.arange(size - 1)[:, None] * size + np.arange(size - 1)).ravel()
    faces = np.concatenate(
        [np.stack([i, i + 1, i + size], 1), np.stack([i + 1, i + size + 1, i + size], 1)]
    ).astype(np.int32)
    wave = np.cos(k * flat[:, 0])
    inside = (x.ravel() > 2) & (x.ravel() < size - 3) & (y.ravel() > 2) & (y.ravel() < size - 3)
    force = bending_energy(flat, faces) @ wave
    # The 1 % by which every right angle still counts, and the differences' own error at k.
    np.testing.assert_allclose(force[inside], k**4 * wave[inside], atol=0.1 * k**4)


def test_deform_follows_a_bump_and_keeps_triangles(toy: ToyBone) -> None:
    normals = vertex_normals(toy.vertices, toy.faces)
    bump = 3.0 * np.exp(-np.sum((toy.vertices - [0.0, -11.0, 5.0]) ** 2, axis=1) / 60.0)
    bone = Mesh(
        vertices=(toy.vertices + bump[:, None] * normals).astype(np.float32), faces=toy.faces
    )
    before = surface_gap(Mesh(vertices=toy.vertices.astype(np.float32), faces=toy.faces), bone)
    moved = deform(toy.vertices, toy.faces, bone)
    after = surface_gap(Mesh(vertices=moved.astype(np.float32), faces=toy.faces), bone)
    assert before[1] > 2.5
    assert after[0] < 0.05
    assert after[1] < 0.4
    assert triangle_quality(moved, toy.faces).min() > 0.2


@pytest.mark.parametrize("mirror", [False, True], ids=["right", "left"])
def test_a_raw_femur_is_brought_into_correspondence(mirror: bool, rng: np.random.Generator) -> None:
    model = osteoform.load_model(bone="femur")
    truth = model.instance(np.clip(rng.standard_normal(model.num_modes), -2.0, 2.0)).astype(float)
    found = register_bone(model, raw_mesh(truth, model.faces, rng, mirror=mirror))
    assert found.side == ("left" if mirror else "right")
    assert found.side_sure
    assert found.rms_mm < 0.2
    assert found.min_quality > 0.2
    aligned = align_rigid(np.stack([truth, found.vertices]))
    slid = np.linalg.norm(aligned[0] - aligned[1], axis=1)
    assert np.sqrt(np.mean(slid**2)) < 2.5, "vertices slide along the surface, but not far"


def test_another_bone_is_refused() -> None:
    model = osteoform.load_model(bone="femur")
    rod = toy_fibula(4.0)
    mesh = Mesh(vertices=rod.vertices.astype(np.float32), faces=rod.faces)
    with pytest.raises(InputError, match="needed a whole femur"):
        register_bone(model, mesh, side="right")


def test_a_real_femur(shared_data: Path) -> None:
    model = osteoform.load_model(bone="femur")
    bone = read_bone(
        shared_data / "bones" / "smir-femurs" / "VSD002_femur.vtk",
        length_mm=length_of(model.mean.astype(float)),
    )
    found = register_bone(model, bone.mesh, side="left")
    assert found.rms_mm < 0.25
    assert found.min_quality > 0.2
    assert found.side_said
