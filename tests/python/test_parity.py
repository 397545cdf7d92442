"""Each operation of the core against the reference in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import Generator

from osteoform import ConeView, SlotView, _core
from osteoform._bodies import ellipsoid
from osteoform._types import Mesh
from reference import adapt
from reference.ellipse import project_ellipsoid
from reference.foreign import share_left
from reference.image import (
    EdgeImage,
    Patch,
    attenuation,
    gaussian_blur,
    make_edge_image,
    search_boundary,
)
from reference.motion import so3_exp
from reference.shape import Model, vertex_normals
from reference.silhouette import extract_silhouette
from reference.soft_match import soft_match
from reference.thickness import thickness

KINDS = ("cone", "slot")
COUNTS = (0, 1, 7, 64)

# The core holds meshes and images in float (24 bits): 1e-6 of the numbers involved, which are up to
# 1000 mm and 1000 px, is its resolution; sums of a few dozen of them lose another digit.
FLOAT = {"rtol": 2e-6, "atol": 2e-5}
# Both sides compute in double: what differs is the order of additions.
DOUBLE = {"rtol": 1e-11, "atol": 1e-9}


def draw_view(kind: str, rng: Generator) -> ConeView | SlotView:
    """A view in any direction whose source is about 900 mm from the origin."""
    pose = np.eye(4)
    pose[:3, :3] = so3_exp(rng.normal(0.0, 1.5, 3))
    pose[:3, 3] = rng.normal(0.0, 20.0, 3) + [0.0, 0.0, 900.0]
    if kind == "cone":
        camera = np.diag([*rng.uniform(800.0, 1600.0, 2), 1.0])
        camera[:2, 2] = rng.uniform(20.0, 60.0, 2)
        return ConeView(K=camera, view_from_world=pose)
    return SlotView(
        focal_px=rng.uniform(800.0, 1600.0),
        principal_u_px=rng.uniform(20.0, 60.0),
        row_pitch_mm=rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1.5),
        first_row_mm=rng.uniform(-40.0, -20.0),
        view_from_world=pose,
    )


def draw_mesh(rng: Generator, num_around: int = 24) -> Mesh:
    """A lumpy closed body of some 50 mm."""
    body = ellipsoid((0.0, 0.0, 0.0), rng.uniform(15.0, 40.0, 3), num_around=num_around)
    lumps = np.cos(body.vertices @ rng.normal(0.0, 0.08, (3, 6)) + rng.uniform(0.0, 6.0, 6))
    grown = body.vertices * (1.0 + 0.05 * lumps.sum(axis=1, keepdims=True))
    return Mesh(vertices=grown.astype(np.float32), faces=body.faces)


def draw_model(rng: Generator, num_modes: int) -> Model:
    """Modes are smooth fields of a few mm; two feature points, one ellipsoid."""
    mesh = draw_mesh(rng, num_around=12)
    phase = mesh.vertices @ rng.normal(0.0, 0.05, (3, num_modes)) + rng.uniform(0, 6, num_modes)
    modes = np.cos(phase).T[..., None] * rng.normal(0.0, 1.0, (num_modes, 1, 3))
    return Model(
        mean=mesh.vertices,
        faces=mesh.faces,
        modes=modes.astype(np.float32),
        inadequacy_mm=np.zeros(len(mesh.vertices), np.float32),
        point_mean=mesh.vertices[:2].astype(np.float64),
        point_modes=modes[:, :2],
        ellipsoid_mean=rng.normal(0.0, 5.0, (1, 3)),
        ellipsoid_modes=modes[:, 2:3],
        ellipsoid_shape=np.diag([100.0, 120.0, 90.0])[None],
        ellipsoid_scale_modes=rng.normal(0.0, 0.01, (num_modes, 1)),
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_points", COUNTS)
def test_views(kind: str, num_points: int, rng: Generator) -> None:
    view = draw_view(kind, rng)
    points = rng.normal(0.0, 50.0, (num_points, 3))
    reference = adapt.view_of(view)
    np.testing.assert_allclose(view.project(points), reference.project(points), **DOUBLE)
    np.testing.assert_allclose(view.rays(points), reference.rays(points), **DOUBLE)
    for point, expected in zip(points, reference.jacobian(points), strict=True):
        np.testing.assert_allclose(view.project_jacobian(point), expected, **DOUBLE)


@pytest.mark.parametrize("num_modes", [0, 1, 7, 8, 40])
def test_instances(num_modes: int, rng: Generator) -> None:
    model = draw_model(rng, num_modes)
    core = _core.ShapeModel(**{name: getattr(model, name) for name in Model.__dataclass_fields__})
    b = rng.standard_normal(num_modes)
    np.testing.assert_allclose(core.instance(b), model.instance(b), **FLOAT)


def test_vertex_normals(rng: Generator) -> None:
    mesh = draw_mesh(rng)
    expected = vertex_normals(mesh.vertices, mesh.faces)
    np.testing.assert_allclose(_core.vertex_normals(mesh.vertices, mesh.faces), expected, **FLOAT)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_points", [0, 1, 7, 10_000])
def test_silhouettes(kind: str, max_points: int, rng: Generator) -> None:
    view, mesh = draw_view(kind, rng), draw_mesh(rng)
    edges, alpha, px, normal = _core.silhouette(
        view, mesh.vertices, mesh.faces, max_points=max_points
    )
    model = adapt.model_of(draw_model(rng, 0))
    object.__setattr__(model, "faces", mesh.faces)
    normals = vertex_normals(mesh.vertices, mesh.faces)
    expected = extract_silhouette(
        adapt.view_of(view), mesh.vertices, normals, model.edges, max_points
    )
    np.testing.assert_array_equal(edges, expected.edges)
    # n . ray is a difference of products near 900 mm: 1e-4 mm is its resolution in float, and the
    # zero on an edge moves by that over the rise along the edge, which is mm.
    np.testing.assert_allclose(alpha, expected.alpha, atol=1e-3)
    np.testing.assert_allclose(px, expected.px, atol=5e-3)
    np.testing.assert_allclose(normal, expected.normal, atol=5e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mesh_behind_the_source_has_no_silhouette(kind: str, rng: Generator) -> None:
    view, mesh = draw_view(kind, rng), draw_mesh(rng)
    source = -view.view_from_world[:3, :3].T @ view.view_from_world[:3, 3]
    behind = (mesh.vertices + 2.0 * source).astype(np.float32)
    edges, *_ = _core.silhouette(view, behind, mesh.faces, max_points=100)
    assert len(edges) == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (3, 7), (41, 30)])
@pytest.mark.parametrize("sigma_px", [0.0, 0.4, 2.5])
def test_gaussian_blur(shape: tuple[int, int], sigma_px: float, rng: Generator) -> None:
    image = rng.random(shape, dtype=np.float32)
    expected = gaussian_blur(image, sigma_px)
    np.testing.assert_allclose(_core.gaussian_blur(image, sigma_px=sigma_px), expected, **FLOAT)


@pytest.mark.parametrize("factor", [1, 3])
@pytest.mark.parametrize("dense", ["DARK_IS_DENSE", "BRIGHT_IS_DENSE"])
def test_attenuation(factor: int, dense: str, rng: Generator) -> None:
    pixels = rng.uniform(-3.0, 8.0, (31, 25)).astype(np.float32)
    found = _core.image_attenuation(pixels, factor=factor, polarity=getattr(_core.Polarity, dense))
    patch = Patch(factor, 0, 0, 25 // factor, 31 // factor)
    expected = attenuation(
        pixels,
        patch,
        float(pixels.min()),
        float(pixels.max()),
        bright_is_dense=dense == "BRIGHT_IS_DENSE",
    )
    # The darkest of 400 grey values: its logarithm magnifies rounding 400 times.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def edge_image(smooth: np.ndarray) -> EdgeImage:
    height, width = smooth.shape
    return make_edge_image(smooth, Patch(1, 0, 0, width, height))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 2), (3, 7), (300, 280)])
def test_gradients_and_their_noise(shape: tuple[int, int], rng: Generator) -> None:
    smooth = rng.random(shape, dtype=np.float32)
    gradient, noise = _core.image_gradient(smooth)
    expected = edge_image(smooth)
    np.testing.assert_array_equal(gradient[..., 0], expected.du)
    np.testing.assert_array_equal(gradient[..., 1], expected.dv)
    assert noise == pytest.approx(expected.noise, rel=1e-6)


@pytest.mark.parametrize("num_points", COUNTS)
@pytest.mark.parametrize("cap", [0.0, 0.02])
@pytest.mark.parametrize("half_width_px", [0.3, 6.0, 23.7, 300.0])
def test_boundary_search(num_points: int, cap: float, half_width_px: float, rng: Generator) -> None:
    smooth = gaussian_blur(rng.random((70, 90), dtype=np.float32), 2.0)
    px = rng.uniform(-5.0, [95.0, 75.0], (num_points, 2))  # some of them outside
    turn = rng.uniform(0.0, 2.0 * np.pi, num_points)
    normal = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    window = {"half_width_px": half_width_px, "step_px": 0.5, "cap": cap}
    offset, strength, own = _core.search_boundary(smooth, px, normal, **window)
    np.testing.assert_array_equal(own, 1.0)
    expected_offset, expected_strength = search_boundary(edge_image(smooth), px, normal, **window)
    # A parabola's vertex divides differences of neighbouring samples: three digits go.
    same = np.abs(offset - expected_offset) < 2e-3
    np.testing.assert_allclose(strength[same], expected_strength[same], rtol=1e-3, atol=1e-6)
    # Of two edges with the same score to float precision either may win, at most once here.
    assert np.count_nonzero(~same) <= num_points // 64


@pytest.mark.parametrize("num_rims", [0, 1, 40])
@pytest.mark.parametrize("reach_px", [0.5, 6.0])
def test_boundary_search_beside_foreign_rims(
    num_rims: int, reach_px: float, rng: Generator
) -> None:
    smooth = gaussian_blur(rng.random((70, 90), dtype=np.float32), 2.0)
    px = rng.uniform(5.0, [85.0, 65.0], (256, 2))
    normal, foreign = unit_vectors(256, rng), unit_vectors(num_rims, rng)
    rims = np.column_stack([rng.uniform(-5.0, [95.0, 75.0], (num_rims, 2)), foreign])
    rims = rims.astype(np.float32)
    window = {"half_width_px": 8.0, "step_px": 0.5, "cap": 0.0}
    limits = {"certain_px": 0.3 * reach_px, "reach_px": reach_px}

    def left(at: np.ndarray, along: np.ndarray) -> np.ndarray:
        if num_rims == 0:
            return np.ones(at.shape[:-1])
        return share_left(at, along, rims.astype(float), smooth.shape, **limits)

    offset, strength, own = _core.search_boundary(
        smooth, px, normal, **window, foreign_rims=rims, **limits
    )
    expected_offset, expected_strength = search_boundary(
        edge_image(smooth), px, normal, **window, share_left=left
    )
    same = np.abs(offset - expected_offset) < 2e-3
    # Where a sample lies between two pixels either may be asked.
    assert np.count_nonzero(~same) <= len(px) // 32
    np.testing.assert_allclose(strength[same], expected_strength[same], rtol=1e-3, atol=1e-6)
    expected_own = left(px + offset[:, None] * normal, normal)
    some = same & (strength > 0.0)
    assert np.mean(np.abs(own - expected_own)[some] < 1e-4) > 0.95
    if num_rims == 40 and reach_px > 1.0:
        plain_offset, _, _ = _core.search_boundary(smooth, px, normal, **window)
        assert np.any(np.abs(plain_offset - offset) > 1.0)


def unit_vectors(num: int, rng: Generator) -> np.ndarray:
    turn = rng.uniform(0.0, 2.0 * np.pi, num)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (4, 0), (1, 1), (1, 6), (7, 4), (30, 30)])
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_soft_match(shape: tuple[int, int], temperature: float, rng: Generator) -> None:
    cost = rng.uniform(0.0, 20.0, shape)
    cost[rng.random(shape) < 0.1] = 1e6  # behind the source, or impossible by name
    found = _core.soft_match(cost, slack_cost=6.0, temperature=temperature)
    expected = soft_match(cost, slack_cost=6.0, temperature=temperature)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_draws", [1, 20])
def test_outlines_of_ellipsoids(kind: str, num_draws: int, rng: Generator) -> None:
    view = draw_view(kind, rng)
    for _ in range(num_draws):
        center = rng.normal(0.0, 40.0, 3)
        root = rng.normal(0.0, 15.0, (3, 3))
        shape = root @ root.T + 4.0 * np.eye(3)
        found = _core.project_ellipsoid(view, center, shape)
        expected = project_ellipsoid(adapt.view_of(view), center, shape)
        for ours, reference in zip(found, expected, strict=True):
            # The cone's shape is a difference of squares of 900 mm: six of sixteen digits go.
            np.testing.assert_allclose(ours, reference, rtol=1e-8, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (37, 45)])
def test_thickness(kind: str, size: tuple[int, int], rng: Generator) -> None:
    view, mesh = draw_view(kind, rng), draw_mesh(rng, num_around=12)
    found = _core.thickness(mesh.vertices, mesh.faces, view, *size)
    expected = thickness(mesh.vertices, mesh.faces, adapt.view_of(view), *size)
    np.testing.assert_allclose(found, expected, atol=2e-3)
