"""Simulated studies: two X-rays of one leg in one world, with all that is in the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from osteoform._types import F32, F64, XrayView
from osteoform.train.clutter import draw_bank, pick
from osteoform.train.dataset import SHAPES, open_at
from osteoform.train.dice import Dice
from osteoform.train.legs import LegAtlas
from osteoform.train.randomize import Exposure, Extent, Warp, expose
from osteoform.train.scenes import sample_present, sample_setting
from osteoform.train.solids import draw_solids
from osteoform.train.views import sample_view

# An image is at least so much larger than those in training; no pixel is coarser than those of a
# composed whole-leg radiograph that was halved twice.
_LEAST_ENLARGED = 2
_COARSEST_MM_PER_PX = 0.7
_SHAPE_SHARE = (0.4, 0.4, 0.12, 0.08)
_AP_LATERAL_SHARE = 0.5
_APART_DEG = (60.0, 90.0)


@dataclass(frozen=True, kw_only=True)
class Study:
    """Two views of one right leg.

    Attributes
    ----------
    site
        The body part that both views aim at.
    views
        Images with their geometry and polarity.
    in_field
        Per view (rows, columns): where the collimator is open.
    vertices
        Per bone in the images (N, 3), in the world [mm].
    points
        Per bone its feature points (P, 3), in the world [mm].
    """

    site: str
    views: tuple[XrayView, ...]
    in_field: tuple[NDArray[np.bool_], ...] = field(repr=False)
    vertices: dict[str, F64] = field(repr=False)
    points: dict[str, F64] = field(repr=False)

    def seen(self, points: F64) -> NDArray[np.bool_]:
        """Which world points (n, 3) each view shows, (views, n)."""
        return np.stack(
            [
                _open_at(is_open, view.geometry.project(points))
                for view, is_open in zip(self.views, self.in_field, strict=True)
            ]
        )


def _open_at(in_field: NDArray[np.bool_], points: F64) -> NDArray[np.bool_]:
    """See `dataset.open_at`, of one image."""
    extent = Extent.full(1, (in_field.shape[0], in_field.shape[1]))
    seen = open_at(torch.from_numpy(in_field)[None], torch.from_numpy(points)[None], extent)
    return np.asarray(seen[0].numpy())


def sample_studies(atlas: LegAtlas, num_studies: int, seed: int) -> Iterator[Study]:
    """Simulate studies with the randomness of the training's images, and known geometry."""
    clutter = draw_bank(40, seed)
    for i in range(num_studies):
        yield sample_study(atlas, clutter, np.random.default_rng((seed, i)))


def sample_study(atlas: LegAtlas, clutter: Tensor, rng: Generator) -> Study:
    """Draw a leg and X-ray it twice, from the front and the side or from any two sides.

    Parameters
    ----------
    clutter
        See `clutter.draw_bank`.
    """
    rows, columns = SHAPES[rng.choice(len(SHAPES), p=_SHAPE_SHARE)]
    setting = sample_setting(atlas, rng, shape=(rows, columns))
    enlarged = max(_LEAST_ENLARGED, ceil(setting.mm_per_px / _COARSEST_MM_PER_PX))
    shape = (enlarged * rows, enlarged * columns)
    present = sample_present(rng, setting.site)
    solids = draw_solids(atlas, setting.leg, rng, parts=present)
    views, in_field = [], []
    for name, azimuth in zip(("first", "second"), _sample_azimuths(rng), strict=True):
        geometry, _ = sample_view(
            atlas,
            setting.leg,
            rng,
            site=setting.site,
            mm_per_px=setting.mm_per_px / enlarged,
            shape=shape,
            azimuth_rad=azimuth,
        )
        exposure = _expose(solids.render(geometry, shape), clutter, rng, enlarged)
        views.append(
            XrayView(
                name=name,
                pixels=exposure.pixels[0].numpy(),
                geometry=geometry,
                polarity="dark_is_dense" if bool(exposure.dark_is_dense[0]) else "bright_is_dense",
            )
        )
        in_field.append(exposure.in_field[0].numpy())
    vertices = {bone: setting.leg.vertices[bone] for bone in atlas.features if bone in present}
    return Study(
        site=setting.site,
        views=tuple(views),
        in_field=tuple(in_field),
        vertices=vertices,
        points={bone: atlas.features[bone].points(v) for bone, v in vertices.items()},
    )


def _sample_azimuths(rng: Generator) -> tuple[float, float]:
    """Two beams' azimuths [rad]: see `sample_view`."""
    if rng.uniform() < _AP_LATERAL_SHARE:
        first = np.pi * (0.5 + float(rng.integers(2)))
        second = np.pi * float(rng.integers(2))
        return first + rng.normal(0.0, 0.1), second + rng.normal(0.0, 0.1)
    first = rng.uniform(0.0, 2 * np.pi)
    return first, first + rng.choice([-1.0, 1.0]) * np.deg2rad(rng.uniform(*_APART_DEG))


def _expose(layers: F32, clutter: Tensor, rng: Generator, enlarged: int) -> Exposure:
    """Expose layers as they are: the geometry must stay known."""
    size = layers.shape[1], layers.shape[2]
    dice = Dice.seeded(int(rng.integers(1 << 31)))
    small = pick(clutter, dice, (size[0] // enlarged, size[1] // enlarged))
    crossing = small.repeat_interleave(enlarged, 1).repeat_interleave(enlarged, 2)
    return expose(
        torch.from_numpy(layers)[None],
        Warp.none(1),
        dice,
        extent=Extent.full(1, size),
        clutter=crossing,
    )
