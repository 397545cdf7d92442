"""Simulated radiographs of shapes whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from osteoform import _core
from osteoform._errors import InputError
from osteoform._types import Mesh
from osteoform.geometry import standard_views
from osteoform.simulate import (
    Physics,
    collimated_box,
    collimated_circle,
    ellipsoid,
    inverted,
    log_response,
    medullary_surface,
    simulate_view,
    soft_tissue_around,
    tube,
)

SIZE = (161, 201)
IDEAL = Physics(dose=np.inf, blur_px=0.0, scatter=0.0)
MIDDLE = (100, 80)


def view(kind: str = "cone", name: str = "ap") -> _core.ConeView | _core.SlotView:
    return standard_views(kind, size_px=SIZE, pixel_mm=1.0)[name]


def shaft(length_mm: float = 300.0, radius_mm: float = 14.0) -> Mesh:
    """A straight bone along z, with many sections so that its cortex can vary."""
    height = np.linspace(-length_mm / 2, length_mm / 2, 80)
    line = np.stack([np.zeros(80), np.zeros(80), height], axis=1)
    return tube(line, radius_mm, num_around=48)


def volume(mesh: Mesh) -> float:
    a, b, c = np.moveaxis(mesh.vertices.astype(np.float64)[mesh.faces], 1, 0)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)


def thickness(mesh: Mesh, kind: str = "cone") -> np.ndarray:
    return _core.thickness(mesh.vertices, mesh.faces, view(kind), *SIZE)


@pytest.mark.parametrize("kind", ["cone", "slot"])
def test_thickness_is_the_path_through_the_body(kind: str) -> None:
    body = ellipsoid((0.0, 0.0, 0.0), (30.0, 10.0, 50.0), num_around=128)
    image = thickness(body, kind)
    assert image.shape == SIZE[::-1]
    assert image.dtype == np.float32
    assert image[MIDDLE] == pytest.approx(20.0, abs=0.01)
    assert image[0, 0] == 0.0


def test_thickness_does_not_depend_on_threads() -> None:
    body = ellipsoid((0.0, 0.0, 0.0), 40.0)
    one = _core.thickness(body.vertices, body.faces, view(), *SIZE)
    two = _core.thickness(body.vertices, body.faces, view(), *SIZE, num_threads=2)
    np.testing.assert_array_equal(one, two)


def test_open_meshes_and_impossible_sizes_are_refused() -> None:
    body = ellipsoid((0.0, 0.0, 0.0), 10.0)
    with pytest.raises(InputError, match="closed"):
        _core.thickness(body.vertices, body.faces[1:], view(), *SIZE)
    with pytest.raises(InputError, match="finite"):
        _core.thickness(body.vertices * np.nan, body.faces, view(), *SIZE)
    with pytest.raises(InputError, match="16384"):
        _core.thickness(body.vertices, body.faces, view(), 0, 10)
    with pytest.raises(InputError, match="faces must index"):
        _core.thickness(body.vertices[:-1], body.faces, view(), *SIZE)
    with pytest.raises(InputError, match="tissue"):
        _core.Body(vertices=body.vertices, faces=body.faces, mu_per_mm=0.1, tissue="wood")


@pytest.mark.parametrize(
    "mesh",
    [
        ellipsoid((1.0, 2.0, 3.0), 10.0, num_around=64),
        tube([[0.0, 0.0, 0.0], [0.0, 0.0, 50.0]], 5.0, num_around=64),
        tube([[0.0, 0.0, 0.0], [9.0, 3.0, -8.0], [20.0, 0.0, -9.0]], 0.4),
        *soft_tissue_around([shaft()], variation=0.1, seed=1),
    ],
)
def test_bodies_are_closed_and_outward(mesh: Mesh) -> None:
    assert volume(mesh) > 0.0
    _core.Body(vertices=mesh.vertices, faces=mesh.faces, mu_per_mm=1.0)  # checks that it is closed


def test_bodies_have_their_volume() -> None:
    ball = ellipsoid((1.0, 2.0, 3.0), (10.0, 20.0, 30.0), num_around=128)
    assert volume(ball) == pytest.approx(4.0 / 3.0 * np.pi * 6000.0, rel=2e-3)
    pin = tube([[0.0, 0.0, 0.0], [30.0, 0.0, 40.0]], 5.0, num_around=128)
    assert volume(pin) == pytest.approx(np.pi * 25.0 * 50.0, rel=1e-3)


def test_grey_values_are_the_exponential_law() -> None:
    soft = ellipsoid((0.0, 0.0, 0.0), 60.0, num_around=256)
    pin = tube([[0.0, 0.0, -90.0], [0.0, 0.0, 90.0]], 4.0, num_around=256)
    image = simulate_view([], view(), size_px=SIZE, physics=IDEAL, soft=[soft], metal=[pin])
    expected = np.exp(-IDEAL.mu_soft * 112.0 - IDEAL.mu_metal * 8.0)
    assert image[MIDDLE] == pytest.approx(expected, rel=1e-3)
    assert image[MIDDLE[0], 0] == 1.0


def test_a_long_bone_has_a_thick_cortex_in_its_shaft_only() -> None:
    bone = shaft()
    inner = medullary_surface(bone, shaft_mm=5.0, end_mm=1.0)
    radius = np.linalg.norm(inner[:, :2], axis=1)
    height = bone.vertices[:, 2]
    np.testing.assert_allclose(radius[np.abs(height) < 30.0], 9.0, atol=0.1)
    near_end = (np.abs(height) > 135.0) & (np.abs(height) < 145.0)
    np.testing.assert_allclose(radius[near_end], 13.0, atol=0.1)


def test_a_thin_bone_keeps_a_canal_and_a_round_one_has_no_shaft() -> None:
    thin = shaft(radius_mm=4.0)
    inner = medullary_surface(thin, shaft_mm=5.0, end_mm=1.0)
    middle = np.abs(thin.vertices[:, 2]) < 100.0
    assert np.linalg.norm(inner[middle, :2], axis=1).min() > 2.0
    ball = ellipsoid((0.0, 0.0, 0.0), (20.0, 10.0, 21.0), num_around=64)
    moved = np.linalg.norm(
        medullary_surface(ball, shaft_mm=5.0, end_mm=1.0) - ball.vertices, axis=1
    )
    np.testing.assert_allclose(moved, 1.0, atol=1e-4)


def test_a_bone_is_darkest_at_its_cortex_and_dark_against_soft_tissue() -> None:
    image = simulate_view([shaft()], view(), size_px=SIZE, physics=IDEAL)
    row = image[MIDDLE[0]]
    canal, rim, flesh = row[80], row[80 - 15], row[80 - 40]
    assert rim < canal < flesh < row[0] + 1e-6


def test_the_seed_alone_decides_the_noise() -> None:
    arguments = {"size_px": SIZE, "physics": Physics(dose=500.0)}
    first = simulate_view([shaft()], view(), **arguments, seed=3)
    np.testing.assert_array_equal(
        first, simulate_view([shaft()], view(), **arguments, seed=3, num_threads=2)
    )
    other = simulate_view([shaft()], view(), **arguments, seed=4)
    assert np.count_nonzero(first != other) > 0.3 * first.size
    assert first.min() >= 0.0
    assert first.max() <= 1.0


def test_noise_keeps_the_mean_and_has_the_variance_of_the_dose() -> None:
    flesh = [ellipsoid((0.0, 0.0, 0.0), 400.0, num_around=64)]
    physics = replace(IDEAL, mu_soft=0.001)
    clean = simulate_view([], view(), size_px=SIZE, physics=physics, soft=flesh)
    noisy = simulate_view(
        [], view(), size_px=SIZE, physics=replace(physics, dose=300.0), soft=flesh, seed=5
    )
    residual = (noisy - clean).astype(np.float64) / np.sqrt(clean / 300.0)
    assert residual.mean() == pytest.approx(0.0, abs=4.0 / np.sqrt(residual.size))
    assert residual.var() == pytest.approx(1.0, abs=0.05)


def test_soft_tissue_covers_its_bones() -> None:
    bone = shaft()
    (flesh,) = soft_tissue_around([bone], radius_mm=5.0, skin_mm=12.0, variation=0.0)
    reach = np.abs(flesh.vertices).max(axis=0)
    assert reach[0] == pytest.approx(26.0, abs=0.5)
    assert reach[2] == pytest.approx(150.0 + 120.0, abs=0.5)
    assert np.all(thickness(flesh) >= thickness(bone) - 1e-3)


def test_soft_tissue_does_not_care_where_the_world_points() -> None:
    bone = shaft()
    turn = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=np.float32)
    turned = Mesh(vertices=np.ascontiguousarray(bone.vertices @ turn.T), faces=bone.faces)
    (here,), (there,) = soft_tissue_around([bone]), soft_tissue_around([turned])
    assert volume(there) == pytest.approx(volume(here), rel=1e-4)


def test_wrong_physics_is_refused() -> None:
    for wrong in ({"dose": 0.0}, {"scatter": 1.0}, {"blur_px": -1.0}, {"mu_soft": -0.1}):
        with pytest.raises(InputError, match="must"):
            simulate_view([shaft()], view(), size_px=SIZE, physics=Physics(**wrong))
    with pytest.raises(TypeError):
        Physics(dosage=3.0)


def test_response_inversion_and_collimation() -> None:
    image = np.array([[1.0, 0.1], [0.001, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(
        log_response(image, floor=0.001), [[1.0, 2 / 3], [0.0, 0.0]], atol=1e-6
    )
    np.testing.assert_allclose(inverted(image), 1.0 - image)
    with pytest.raises(InputError, match="floor"):
        log_response(image, floor=0.0)
    field = np.full((9, 11), 0.5, dtype=np.float32)
    round_field = collimated_circle(field, center_px=(5.0, 4.0), radius_px=3.0, border=1.0)
    assert np.count_nonzero(round_field == 0.5) == 29  # lattice points within radius 3
    box = collimated_box(field, box_px=(2.0, 3.0, 5.0, 4.0))
    assert np.count_nonzero(box) == 4 * 2
    assert box.dtype == np.float32
