"""Simulated studies: the same leg in both images, where their geometry says."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from osteoform import _core
from osteoform._normalize import normalize
from osteoform._split import held_out
from osteoform.train.clutter import draw_bank
from osteoform.train.legs import LegAtlas, as_mesh, load_atlas
from osteoform.train.scenes import MARGIN_PX, sample_present, sample_scene, sample_setting
from osteoform.train.solids import draw_solids
from osteoform.train.studies import sample_studies, sample_study
from osteoform.train.views import sample_view

SHAPE = (96, 64)
CANVAS = (96 + 2 * MARGIN_PX, 64 + 2 * MARGIN_PX)


@pytest.fixture(scope="module")
def atlas(shared_data) -> LegAtlas:
    return load_atlas(shared_data / "bones/llp26", held_out())


def test_a_scene_is_its_parts_drawn_in_turn(atlas):
    scene = sample_scene(atlas, np.random.default_rng(4), shape=SHAPE)
    rng = np.random.default_rng(4)
    setting = sample_setting(atlas, rng, shape=SHAPE)
    view, azimuth = sample_view(
        atlas,
        setting.leg,
        rng,
        site=setting.site,
        mm_per_px=setting.mm_per_px,
        shape=SHAPE,
        margin_px=MARGIN_PX,
    )
    parts = sample_present(rng, setting.site)
    solids = draw_solids(atlas, setting.leg, rng, parts=parts)
    layers = solids.render(view, CANVAS).astype(np.float16)
    np.testing.assert_array_equal(scene.layers, layers)
    np.testing.assert_array_equal(scene.truth.direction, [np.cos(azimuth), np.sin(azimuth)])


def test_both_images_are_dense_where_the_bones_are(atlas):
    study = sample_study(atlas, draw_bank(2, 0), np.random.default_rng(1))
    bone = next(iter(study.vertices))
    mesh = as_mesh(study.vertices[bone], atlas.faces[bone])
    for view in study.views:
        height, width = view.pixels.shape
        inside = _core.thickness(*mesh, view.geometry, width, height) > 5.0
        seen = normalize(
            view.pixels, dark_is_dense=view.polarity == "dark_is_dense", size_px=max(height, width)
        ).values
        aside = np.roll(inside, 60, axis=1)
        assert seen[inside & ~aside].mean() > seen[aside & ~inside].mean() + 0.2


def test_the_beams_cross_at_large_angles_and_seeds_repeat(atlas):
    studies, again = (list(sample_studies(atlas, 3, 7)) for _ in range(2))
    for study, same in zip(studies, again, strict=True):
        first, second = (v.geometry.view_from_world[2, :3] for v in study.views)
        assert 35.0 < np.rad2deg(np.arccos(first @ second)) < 145.0
        np.testing.assert_array_equal(study.views[1].pixels, same.views[1].pixels)


def test_what_is_seen_lies_in_the_image_and_in_the_field(atlas):
    study = sample_study(atlas, draw_bank(2, 0), np.random.default_rng(3))
    for points in study.vertices.values():
        for view, is_open, seen in zip(
            study.views, study.in_field, study.seen(points), strict=True
        ):
            px = view.geometry.project(points[seen])
            assert (px > -0.6).all()
            assert (px < np.array(is_open.shape[::-1]) - 0.4).all()
