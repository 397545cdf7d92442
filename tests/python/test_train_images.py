"""Training: what feeds it; scenes, batches, and batches used again."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from osteoform._errors import InputError
from osteoform.train.dataset import (
    Batch,
    BatchStream,
    PoolPlan,
    ScenePool,
    create_pool,
    render_pool,
)
from osteoform.train.vary import varied_again, vary
from osteoform.train.workshop import open_workshop
from training_batch import random_batch


def lit_batch() -> Batch:
    """Images dark but for one bright spot each, which all points, ellipses and boxes are about."""
    batch = random_batch(4)
    at = torch.tensor([[20.0, 44.0], [30.0, 30.0], [40.0, 24.0], [33.0, 41.0]])
    v, u = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    away = (u - at[:, 0, None, None]).square() + (v - at[:, 1, None, None]).square()
    around = torch.cat([at - 8, at + 8], 1)
    return replace(
        batch,
        images=(0.1 + 40 * torch.exp(-away / 8))[:, None],
        points=at[:, None].expand_as(batch.points).clone(),
        visible=torch.ones_like(batch.visible),
        roots=torch.ones_like(batch.roots),
        boxes=around[:, None].expand_as(batch.boxes).clone(),
    )


def test_what_is_varied_keeps_its_truth():
    batch, rng = lit_batch(), torch.Generator().manual_seed(4)
    moved = 0.0
    for _ in range(20):
        told = vary(batch, rng)
        shown = told.visible[:, 0] > 0
        for image, point in zip(told.images[shown, 0], told.points[shown, 0], strict=True):
            if image.max() > 28:  # else a patch hides the spot, or its middle
                v, u = divmod(int(image.argmax()), 64)
                np.testing.assert_allclose([u, v], point, atol=1.0)
        middle = told.boxes[:, 0].unflatten(1, (2, 2)).mean(1)
        size = told.boxes[:, 0, 2:] - told.boxes[:, 0, :2]
        whole = ((told.boxes[:, 0] > 0) & (told.boxes[:, 0] < 63)).all(1)
        torch.testing.assert_close(middle[whole], told.points[whole, 0])
        torch.testing.assert_close(size[whole, 0], 16 * told.roots[whole, 0, 0])
        moved = max(moved, float((told.points - batch.points).abs().max()))
    assert moved > 10


def test_what_leaves_the_image_is_not_in_view():
    batch, rng = lit_batch(), torch.Generator().manual_seed(5)
    batch = replace(batch, points=torch.full_like(batch.points, 63.0))
    told = [vary(batch, rng) for _ in range(10)]
    outside = torch.cat([(b.points > 63.5).any(2) for b in told])
    assert 0 < outside.sum() < outside.numel()
    assert (torch.cat([b.visible for b in told])[outside] == 0).all()


def test_every_batch_comes_once_as_it_is_and_others_again():
    fresh = [replace(random_batch(), points=torch.full((2, 1, 2), float(i))) for i in range(6)]
    cpu = torch.device("cpu")
    came = list(varied_again(fresh, repeats=3, device=cpu, seed=0))
    assert len(came) == 18
    assert [b.points[0, 0, 0] for b in came[::3]] == list(range(6))
    torch.testing.assert_close(came[3].images, fresh[1].images)
    assert not torch.equal(came[1].images, fresh[0].images)
    assert len(list(varied_again(fresh, repeats=1, device=cpu, seed=0))) == 6


def test_a_workshop_shares_out_its_processes():
    assert open_workshop("cpu", threads=2, workers=None).options == "--threads 2"
    shop = replace(
        open_workshop("cpu", threads=1, workers=15), device=torch.device("cuda"), repeats=5
    )
    assert (shop.renderers, shop.makers) == (4, 11)
    assert shop.options == "--threads 1 --device cuda --workers 15"
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="found none"):
            open_workshop("cuda", threads=1, workers=None)


def test_several_renderers_make_one_pool(shared_data, tmp_path):
    bones = shared_data / "bones" / "llp26"
    plan = PoolPlan(bones=bones, people=(0, 1), num_scenes=5, seed=3)
    for name, shares in (("one", 1), ("two", 2)):
        create_pool(tmp_path / name, plan)
        for first in range(shares):
            render_pool(tmp_path / name, plan, slice(first, None, shares))
    one, two = (ScenePool(tmp_path / name, plan) for name in ("one", "two"))
    for k in range(4):
        np.testing.assert_array_equal(one.layers(k), two.layers(k))
        np.testing.assert_array_equal(one.truth(k, 0).points_px, two.truth(k, 0).points_px)


def test_workers_open_the_pool_themselves(tmp_path):
    plan = PoolPlan(bones=tmp_path, people=(0,), num_scenes=4, seed=0)
    stream = BatchStream(tmp_path, plan, batch_size=1, seed=0, scenes_per_batch=1.0)
    stream._pool = ScenePool(tmp_path, plan)
    sent = pickle.loads(pickle.dumps(stream))
    assert sent._pool is None
    assert sent.plan == plan
