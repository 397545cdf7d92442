"""Distances between surfaces: oracle, analytic sphere, fair sampling."""

from __future__ import annotations

import numpy as np
import pytest

from osteoform import InputError, Mesh, _core
from osteoform._distance import (
    DistanceSummary,
    distances_to_surface,
    sample_surface,
    surface_distance,
)
from osteoform.simulate import ellipsoid
from reference import surface_distance as reference


@pytest.mark.parametrize("num_faces", [1, 4, 5, 60])
def test_the_tree_agrees_with_trying_every_triangle(
    rng: np.random.Generator, num_faces: int
) -> None:
    vertices = rng.normal(0.0, 10.0, (40, 3)).astype(np.float32)
    faces = rng.integers(0, 40, (num_faces, 3)).astype(np.int32)  # degenerate ones among them
    points = rng.normal(0.0, 15.0, (200, 3))
    nearest, distances, ids = _core.closest_points(points=points, vertices=vertices, faces=faces)
    np.testing.assert_allclose(distances, reference.distances(points, vertices, faces), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(nearest - points, axis=1), distances, atol=1e-12)
    for point, face in zip(nearest, ids, strict=True):
        on_face = reference.distances(point[None], vertices, faces[face : face + 1])
        assert on_face[0] < 1e-6


def test_no_points_are_no_error() -> None:
    ball = ellipsoid((0.0, 0.0, 0.0), 5.0)
    assert distances_to_surface(np.zeros((0, 3)), ball).shape == (0,)


def test_concentric_spheres_are_apart_by_their_radii() -> None:
    inner, outer = (ellipsoid((3.0, -2.0, 1.0), r, num_around=128) for r in (20.0, 22.0))
    summary = surface_distance(inner, outer)
    # Chords of 128 corners sag by r (1 - cos(pi / 128)) = 0.006 mm.
    for value in (summary.mean_mm, summary.rms_mm, summary.p95_mm, summary.max_mm):
        assert value == pytest.approx(2.0, abs=0.02)


def test_samples_lie_on_the_surface_evenly_by_area() -> None:
    # One big triangle and 100 slivers of the same total area beside it.
    xs = np.linspace(10.0, 20.0, 102)
    strip = np.stack([xs, np.arange(102) % 2 * 1.01, np.zeros(102)], axis=1)
    vertices = np.concatenate([[[0, 0, 0], [10, 0, 0], [0, 2, 0]], strip]).astype(np.float32)
    faces = [[0, 1, 2], *([3 + i, 4 + i, 5 + i] for i in range(100))]
    mesh = Mesh(vertices=vertices, faces=np.array(faces, np.int32))
    points = sample_surface(mesh, 4000)
    assert np.abs(reference.distances(points, mesh.vertices, mesh.faces)).max() < 1e-5
    assert np.mean(points[:, 0] < 10.0) == pytest.approx(0.5, abs=0.01)
    big = points[points[:, 0] < 10.0]
    np.testing.assert_allclose(big.mean(axis=0), [10 / 3, 2 / 3, 0.0], atol=0.05)
    np.testing.assert_array_equal(points, sample_surface(mesh, 4000))


def test_a_summary_of_known_distances() -> None:
    summary = DistanceSummary.of(np.array([0.0, 3.0, 4.0, 5.0]))
    assert summary.mean_mm == 3.0
    assert summary.rms_mm == pytest.approx(np.sqrt(12.5))
    assert summary.p95_mm == pytest.approx(4.85)
    assert summary.max_mm == 5.0


@pytest.mark.parametrize("wrong", ["points", "vertices", "faces", "no faces"])
def test_unusable_meshes_are_refused(wrong: str) -> None:
    points, vertices = np.zeros((2, 3)), np.eye(3, dtype=np.float32)
    faces = np.array([[0, 1, 2]], np.int32)
    if wrong == "points":
        points[1, 1] = np.nan
    elif wrong == "vertices":
        vertices[0, 0] = np.inf
    else:
        faces = faces[:0] if wrong == "no faces" else faces + 1
    with pytest.raises(InputError, match=wrong.split()[-1]):
        _core.closest_points(points=points, vertices=vertices, faces=faces)
