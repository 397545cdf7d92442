"""Shaded bones: covered where they are, lit from the upper left, dark in hollows, round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from osteoform import Mesh
from osteoform._render import Camera
from osteoform._shade import IVORY, Frame, over_white, rounded, shade
from osteoform.io.meshes import is_closed
from osteoform.simulate import ellipsoid

FRONT = Camera(name="anterior", right=(1.0, 0.0, 0.0))
BALL = ellipsoid((0.0, 0.0, 0.0), 20.0, num_around=64)


def _frame(size_px: int = 60, pixel_mm: float = 1.0) -> Frame:
    return Frame(center=np.zeros(3), size_px=(size_px, size_px), pixel_mm=pixel_mm)


def _together(*meshes: Mesh) -> Mesh:
    first = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = [mesh.faces + k for mesh, k in zip(meshes, first[:-1], strict=True)]
    return Mesh(
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        faces=np.concatenate(faces).astype(np.int32),
    )


def test_edges_are_covered_in_part_and_the_area_is_right() -> None:
    cover = shade(BALL, np.array(IVORY), FRONT, _frame())[..., 3]
    assert cover.sum() == pytest.approx(np.pi * 20.0**2, rel=0.005)
    assert ((cover > 0.05) & (cover < 0.95)).sum() > 50
    assert cover[0, 0] == 0.0
    np.testing.assert_allclose(cover, cover[::-1, ::-1], atol=0.12)  # in the middle of the frame


def test_light_comes_from_the_upper_left() -> None:
    image = over_white(shade(BALL, np.array(IVORY), FRONT, _frame())).astype(int).sum(axis=2)
    assert image[20, 20] > image[40, 40] + 60
    assert image[20, 20] > image[20, 40] > image[40, 40]


def test_colours_are_seen_where_they_are() -> None:
    red, blue = np.array([0.8, 0.1, 0.1]), np.array([0.1, 0.1, 0.8])
    medial = BALL.vertices[:, :1] > 0.0
    image = shade(BALL, np.where(medial, red, blue), FRONT, _frame())
    assert image[30, 45, 0] > 2 * image[30, 45, 2]
    assert image[30, 15, 2] > 2 * image[30, 15, 0]


def test_what_is_near_hides_what_is_far() -> None:
    near = ellipsoid((0.0, -60.0, 0.0), 8.0)
    both = _together(BALL, near)
    colours = np.zeros((len(both.vertices), 3))
    colours[: len(BALL.vertices), 0] = colours[len(BALL.vertices) :, 2] = 0.9
    back = Camera(name="posterior", right=(-1.0, 0.0, 0.0))
    front, behind = (shade(both, colours, view, _frame())[30, 30] for view in (FRONT, back))
    assert front[2] > 2 * front[0]
    assert behind[0] > 2 * behind[2]


def test_hollows_are_dark() -> None:
    plate = ellipsoid((0.0, 20.0, 0.0), (60.0, 4.0, 60.0), num_around=64)
    alone = shade(plate, np.array(IVORY), FRONT, _frame(100))
    under = shade(_together(plate, BALL), np.array(IVORY), FRONT, _frame(100))
    beside, far = (50, 73), (50, 97)  # 3 mm and 27 mm from the ball's outline
    assert under[beside][0] < 0.9 * alone[beside][0]
    assert under[far][0] == pytest.approx(alone[far][0], abs=0.02)


def test_the_far_end_of_a_long_bone_is_pale_where_asked() -> None:
    both = _together(BALL, ellipsoid((0.0, 400.0, 0.0), 28.0))
    plain = shade(both, np.array(IVORY), FRONT, _frame())
    hazy = shade(both, np.array(IVORY), FRONT, replace(_frame(), clear_mm=45.0))
    far, near = (30, 55), (30, 30)
    assert plain[far][3] == hazy[far][3] == 1.0
    assert hazy[far][:3].min() > 0.85
    assert plain[far][:3].max() < 0.85
    np.testing.assert_array_equal(plain[near], hazy[near])


def test_a_rounded_ball_is_rounder_and_still_closed() -> None:
    coarse = ellipsoid((1.0, 2.0, 3.0), 20.0, num_around=12)
    painted = np.linspace(0, 1, len(coarse.vertices))[:, None].repeat(3, axis=1)
    fine, colours = rounded(coarse, painted)
    old = len(coarse.vertices)
    np.testing.assert_array_equal(fine.vertices[:old], coarse.vertices)
    np.testing.assert_array_equal(colours[:old], painted)
    assert len(fine.faces) == 4 * len(coarse.faces)
    assert is_closed(fine.faces)
    center = np.array([1.0, 2.0, 3.0])
    bowed = np.linalg.norm(fine.vertices[old:] - center, axis=1)
    corners = np.sort(coarse.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    a, b = coarse.vertices[np.unique(corners, axis=0)].transpose(1, 0, 2).astype(float)
    flat = np.linalg.norm((a + b) / 2 - center, axis=1)
    assert np.abs(bowed - 20.0).max() < 0.5 * np.abs(flat - 20.0).max()


def test_a_bone_outside_the_picture_is_not_seen() -> None:
    away = ellipsoid((500.0, 0.0, 0.0), 20.0)
    assert not shade(away, np.array(IVORY), FRONT, _frame()).any()
