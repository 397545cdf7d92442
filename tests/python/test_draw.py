"""Pictures: things land on the pixels they belong to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from osteoform import ConeView, Detection, Mesh, XrayView
from osteoform._detections import joined
from osteoform._draw import (
    OverlayBone,
    draw_overlay,
    draw_surface_error,
    ellipse_outline,
    feature_colour,
    save_png,
    stretch_contrast,
)
from osteoform._render import Camera, colours, render
from osteoform.simulate import ellipsoid

FRONT = Camera(name="anterior", right=(1.0, 0.0, 0.0))


def _view(pixels: np.ndarray) -> XrayView:
    geometry = ConeView(K=np.diag([1000.0, 1000.0, 1.0]), view_from_world=np.eye(4))
    return XrayView(name="ap", pixels=pixels, geometry=geometry)


def _detection(points: list[list[float]]) -> Detection:
    count = len(points)
    return Detection(
        bone="femur",
        box_px=np.array([10.0, 10.0, 90.0, 70.0]),
        box_confidence=1.0,
        points_px=np.array(points, float).reshape(-1, 2),
        sigma_px=np.ones(count),
        class_probability=np.eye(3)[:count],
        ellipse_ids=np.array([0], np.int32),
        ellipse_center_px=np.array([[50.0, 40.0]]),
        ellipse_shape_px2=np.array([np.diag([400.0, 100.0])]),
        ellipse_sigma_px=np.ones(1),
    )


def _overlay(pixels: np.ndarray, detection: Detection, dots: np.ndarray) -> np.ndarray:
    bone = OverlayBone(
        detection=detection,
        point_names=("head", "neck", "shaft"),
        ellipsoid_names=("head",),
        silhouette_px=dots,
        boundary_px=np.full((1, 2), np.nan),
    )
    return np.asarray(draw_overlay(_view(pixels), [bone]))


def test_a_silhouette_point_is_drawn_on_its_pixel(rng: np.random.Generator) -> None:
    pixels = rng.uniform(0.4, 0.6, (80, 100)).astype(np.float32)
    image = _overlay(pixels, _detection([]), np.array([[30.0, 60.0]]))
    drawn = image[:240, :300].astype(int)  # small images are enlarged, threefold at most
    yellow = (drawn[..., 0] > 180) & (drawn[..., 1] > 120) & (drawn[..., 2] < 90)
    rows, columns = np.nonzero(yellow)
    assert len(rows) > 0
    # The centre of pixel k is k + 1/2 pixels in.
    assert columns.mean() + 0.5 == pytest.approx(3.0 * 30.5, abs=0.7)
    assert rows.mean() + 0.5 == pytest.approx(3.0 * 60.5, abs=0.7)


def test_the_legend_names_what_two_looks_saw_once() -> None:
    """A closer look tells again what the first one told; the longer legend would be longer."""
    pixels = np.zeros((80, 100), np.float32)
    once = _detection([[20.0, 30.0], [60.0, 50.0]])
    twice = joined([once] * 20)
    heights = [_overlay(pixels, seen, np.zeros((0, 2))).shape[0] for seen in (once, twice)]
    assert heights[0] == heights[1]


@pytest.mark.parametrize("shape", [(16, 16), (20, 3000), (700, 200)])
def test_images_of_any_shape_get_an_overlay(
    rng: np.random.Generator, shape: tuple[int, int]
) -> None:
    image = _overlay(
        rng.uniform(0, 1, shape).astype(np.float32), _detection([[5, 5]]), np.zeros((0, 2))
    )
    assert image.ndim == 3
    assert max(image.shape) < 2000


@pytest.mark.parametrize("pixels", [np.full((40, 30), 7.0), np.full((40, 30), np.nan)])
def test_contrast_of_nothing_is_nothing(pixels: np.ndarray) -> None:
    stretched = stretch_contrast(pixels)
    assert stretched.shape == (40, 30)
    assert np.isfinite(stretched).all()


def test_contrast_does_not_depend_on_the_grey_scale(rng: np.random.Generator) -> None:
    pixels = rng.uniform(0.2, 0.9, (64, 64)).astype(np.float32)
    np.testing.assert_allclose(
        stretch_contrast(pixels), stretch_contrast(pixels * 60000.0 + 500.0), atol=1e-2
    )


def test_an_outline_fulfils_its_ellipse() -> None:
    shape = np.array([[90.0, 30.0], [30.0, 40.0]])
    offset = ellipse_outline(np.array([5.0, 6.0]), shape) - [5.0, 6.0]
    np.testing.assert_allclose(
        np.einsum("ni,ij,nj->n", offset, np.linalg.inv(shape), offset), 1.0, atol=1e-9
    )


def test_neighbouring_features_differ_in_colour() -> None:
    table = np.array([feature_colour(i) for i in range(19)], float)
    assert np.linalg.norm(np.diff(table, axis=0), axis=1).min() > 80.0


def test_a_rendered_sphere_has_its_area_and_colour() -> None:
    ball = ellipsoid((4.0, 5.0, 6.0), 20.0, num_around=64)
    image = render(ball, np.full(len(ball.vertices), 0.5), FRONT, pixel_mm=0.5, size_px=(100, 100))
    covered = (image < 1.0).any(axis=2)
    assert covered.sum() * 0.25 == pytest.approx(np.pi * 400.0, rel=0.01)
    np.testing.assert_allclose(image[50, 50], colours(np.array(0.5)), atol=0.02)


def test_the_nearer_surface_hides_the_farther() -> None:
    near, far = ellipsoid((0.0, -50.0, 0.0), 5.0), ellipsoid((0.0, 50.0, 0.0), 10.0)
    both = Mesh(
        vertices=np.concatenate([far.vertices, near.vertices]),
        faces=np.concatenate([far.faces, near.faces + len(far.vertices)]),
    )
    values = np.concatenate([np.zeros(len(far.vertices)), np.ones(len(near.vertices))])
    back = Camera(name="posterior", right=(-1.0, 0.0, 0.0))
    in_front = render(both, values, FRONT, pixel_mm=0.5, size_px=(60, 60))[30, 30]
    behind = render(both, values, back, pixel_mm=0.5, size_px=(60, 60))[30, 30]
    np.testing.assert_allclose(in_front, colours(np.array(1.0)), atol=0.02)
    np.testing.assert_allclose(behind, colours(np.array(0.0)), atol=0.02)


def test_an_error_on_the_medial_side_shows_in_the_medial_panel(tmp_path: Path) -> None:
    bone = ellipsoid((0.0, 0.0, 0.0), (15.0, 15.0, 60.0), num_around=64)
    error = np.where(bone.vertices[:, 0] > 0.0, 2.0, 0.0)  # x is medial
    image = draw_surface_error(bone, error, title="t", limit_mm=2.0, height_px=300)
    save_png(image, tmp_path / "error.png")
    pixels = np.asarray(Image.open(tmp_path / "error.png").convert("RGB")).astype(int)
    row = pixels[70 + 150]
    dark = row.sum(axis=1) < 300  # the top of the scale
    panel = (image.width - 130) / 4
    shares = [dark[round(i * panel) : round((i + 1) * panel)].mean() for i in range(4)]
    anterior, posterior, medial, lateral = shares
    assert medial > 2 * anterior > 0.0
    assert posterior == pytest.approx(anterior, abs=0.05)
    assert lateral < 0.05
