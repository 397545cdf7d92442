"""Training: images of scenes, and that their truth goes along."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import center_of_mass

torch = pytest.importorskip("torch")

from osteoform._normalize import normalize
from osteoform.train.clutter import draw_bank, pick
from osteoform.train.dataset import Scenes, describe, open_at
from osteoform.train.dice import Dice
from osteoform.train.randomize import Extent, Warp, _warped, draw_warps, expose, randomize
from osteoform.train.scenes import MARGIN_PX
from toy_scenes import toy_scenes

COUNT = 6
SHAPE = (192, 256)
EXTENT = Extent(shape=SHAPE, sizes=torch.tensor([[192 - 8 * k, 256] for k in range(COUNT)]))


def spotted_scenes(at: torch.Tensor) -> Scenes:
    """Canvases dark but for bone at `at` (n, 2), which all points and outlines are about."""
    canvas = torch.zeros(COUNT, 3, *(n + 2 * MARGIN_PX for n in SHAPE))
    for u, v in at.long().tolist():
        canvas[:, 0, v - 2 : v + 3, u - 2 : u + 3] = 400.0
    return Scenes(
        layers=canvas.half(),
        points=at.expand(COUNT, -1, -1),
        roots=5 * torch.eye(2).expand(COUNT, 1, 2, 2),
        outlines=at.expand(COUNT, -1, -1),
        bone_of=torch.zeros(COUNT, len(at), dtype=torch.int8),
        direction=torch.tensor([[1.0, 0.0]] * COUNT),
    )


def test_a_warp_leads_to_the_canvas_and_back(rng):
    warp = draw_warps(Dice.seeded(1, 200), Extent.full(200, SHAPE), margin_px=MARGIN_PX)
    points = torch.from_numpy(rng.uniform(0.0, 250.0, (200, 9, 2)).astype(np.float32))
    torch.testing.assert_close(warp.to_image(warp.to_canvas(points)), points, atol=1e-3, rtol=0)
    torch.testing.assert_close(warp.to_canvas(warp.to_image(points)), points, atol=1e-3, rtol=0)
    torch.testing.assert_close(warp.turn @ warp.turn.mT, torch.eye(2).expand(200, 2, 2))
    middle = torch.tensor([[(256 - 1) / 2, (192 - 1) / 2]])
    shift = warp.to_canvas(middle.expand(200, 1, 2))[:, 0] - middle - MARGIN_PX
    assert shift.abs().mean(0).max() < 7
    assert shift.std() == pytest.approx(6.0, rel=0.15)
    same = Warp.none(200).to_canvas(points)
    torch.testing.assert_close(same, points)


def test_a_warp_carries_image_and_truth_alike():
    at = torch.tensor([[140.0, 110.0], [200.0, 90.0]])
    scenes = spotted_scenes(at)
    warp = draw_warps(Dice.seeded(5, COUNT), EXTENT, margin_px=MARGIN_PX)
    nothing = torch.zeros(COUNT, *SHAPE)
    image = randomize(scenes.layers, warp, Dice.seeded(0, COUNT), extent=EXTENT, clutter=nothing)
    told = describe(scenes, warp, EXTENT, image.in_field)
    assert (told["points"] - at + MARGIN_PX).abs().amax((1, 2)).min() > 2
    warped = _warped(scenes.layers[:, 0].float(), warp, EXTENT)
    for canvas, (rows, _) in zip(warped, EXTENT.sizes.tolist(), strict=True):
        assert torch.equal(canvas[rows:], canvas[rows - 1].expand(SHAPE[0] - rows, -1))
    num_open = 0
    for k, points in enumerate(told["points"].numpy()):
        for point, visible in zip(points, told["visible"][k], strict=True):
            u, v = np.round(point).astype(int)
            patch = slice(v - 8, v + 9), slice(u - 8, u + 9)
            found = center_of_mass(warped[k][patch].numpy())[::-1]
            np.testing.assert_allclose(found + np.round(point) - 8, point, atol=0.05)
            around = slice(v - 16, v + 17), slice(u - 16, u + 17)
            if image.in_field[k][around].all():
                assert image.values[k, v, u] > image.values[k][around].median() + 1
                assert visible == 1
                num_open += 1
    assert num_open > COUNT
    torch.testing.assert_close(told["boxes"][:, 0, :2], told["points"].amin(1))
    torch.testing.assert_close(told["boxes"][:, 0, 2:], told["points"].amax(1))
    assert told["present"].tolist() == [[1.0, 0.0, 0.0, 0.0]] * COUNT


def test_ellipses_are_carried_as_the_points_on_them_are():
    scenes = toy_scenes(COUNT, SHAPE, 0)
    warp = draw_warps(Dice.seeded(2, COUNT), EXTENT, margin_px=MARGIN_PX)
    in_field = torch.ones(COUNT, *SHAPE, dtype=torch.bool)
    told = describe(scenes, warp, EXTENT, in_field)["roots"]
    center = torch.full((COUNT, 1, 2), 100.0)
    angle = torch.linspace(0.0, 6.0, 20)
    around = torch.stack([angle.cos(), angle.sin()])
    for k in range(told.shape[1]):
        s11, s22, s12 = told[:, k].unbind(1)
        root = torch.stack([torch.stack([s11, s12], 1), torch.stack([s12, s22], 1)], 1)
        on_ellipse = center + (scenes.roots[:, k] @ around).mT
        moved = warp.to_image(on_ellipse) - warp.to_image(center)
        away = torch.linalg.solve(root.double(), moved.mT.double()).norm(dim=1)
        torch.testing.assert_close(away, torch.ones(COUNT, 20).double(), atol=1e-3, rtol=0)


def test_a_bone_is_present_where_some_of_it_is_in_the_image():
    scenes = toy_scenes(2, SHAPE, 0)
    outlines = torch.full((2, 200, 2), 1e6)
    bone_of = torch.arange(4).repeat_interleave(50).to(torch.int8).expand(2, -1)
    outlines[:, 0:2] = torch.tensor([[5.0, 7.0], [5.0, 7.0]])  # 4 %: not enough
    outlines[:, 50:53] = torch.tensor([[20.0, 30.0], [40.0, 10.0], [25.0, 20.0]])
    outlines[:, 100:150] = torch.tensor([100.0, 150.0])  # in the second image only
    extent = Extent(shape=SHAPE, sizes=torch.tensor([[150, 256], [151, 256]]))
    scenes = Scenes(**{**vars(scenes), "outlines": outlines, "bone_of": bone_of})
    told = describe(scenes, Warp.none(2), extent, extent.inside)
    assert told["present"].tolist() == [[0, 1, 0, 0], [0, 1, 1, 0]]
    assert told["boxes"][0].tolist() == [[0] * 4, [20, 10, 40, 30], [0] * 4, [0] * 4]
    assert told["boxes"][1, 2].tolist() == [100, 150, 100, 150]


def test_what_is_far_behind_the_collimator_is_not_in_view():
    extent = Extent(shape=(60, 80), sizes=torch.tensor([[60, 80], [60, 50]]))
    in_field = extent.inside.clone()
    in_field[:, :20] = False
    in_field[:, :, :15] = False
    points = {
        (30.0, 40.0): (True, True),
        (30.0, 16.0): (True, True),  # not far behind
        (30.0, 13.0): (False, False),
        (9.0, 40.0): (True, True),
        (8.0, 40.0): (False, False),
        (60.0, 40.0): (True, False),  # beyond the second image
        (79.4, 40.0): (True, False),
        (79.6, 40.0): (False, False),
        (30.0, 59.4): (True, True),
        (-0.6, 40.0): (False, False),
        (30.0, 59.6): (False, False),
        (30.0, -1e6): (False, False),
        (1e6, 1e6): (False, False),
    }
    at = torch.tensor(list(points)).expand(2, -1, -1)
    assert open_at(in_field, at, extent).T.tolist() == [list(seen) for seen in points.values()]


def test_a_random_image_is_an_exposure_normalised():
    scenes, clutter = toy_scenes(COUNT, SHAPE, 3), torch.zeros(COUNT, *SHAPE)
    warp = draw_warps(Dice.seeded(1, COUNT), EXTENT, margin_px=MARGIN_PX)
    wrong = torch.arange(COUNT) % 2 == 1
    exposure = expose(scenes.layers, warp, Dice.seeded(2, COUNT), extent=EXTENT, clutter=clutter)
    image = randomize(
        scenes.layers,
        warp,
        Dice.seeded(2, COUNT),
        extent=EXTENT,
        clutter=clutter,
        wrong_polarity=wrong,
    )
    assert torch.equal(image.in_field, exposure.in_field)
    assert not (image.in_field & ~EXTENT.inside).any()
    assert ((exposure.pixels >= 0) & (exposure.pixels <= 1)).all()
    for k, (rows, columns) in enumerate(EXTENT.sizes.tolist()):
        pixels = exposure.pixels[k, :rows, :columns].numpy()
        is_dark = bool(exposure.dark_is_dense[k] ^ wrong[k])
        want = normalize(pixels, dark_is_dense=is_dark).values[:-4]
        assert np.abs(image.values[k, : rows - 4, :columns].numpy() - want).mean() < 0.02


def test_dense_is_bright_however_it_is_shown():
    scenes = spotted_scenes(torch.tensor([[150.0, 100.0]]))
    extent = Extent.full(COUNT, SHAPE)
    shown = set()
    for seed in range(10):
        exposure = expose(
            scenes.layers,
            Warp.none(COUNT),
            Dice.seeded(seed, COUNT),
            extent=extent,
            clutter=torch.zeros(COUNT, *SHAPE),
        )
        for pixels, is_dark in zip(exposure.pixels, exposure.dark_is_dense.tolist(), strict=True):
            spot, around = pixels[99:102, 149:152].mean(), pixels[80:121, 130:171].median()
            assert spot < around if is_dark else spot > around
            shown.add(is_dark)
    assert shown == {True, False}


def test_clutter_is_there_in_every_position():
    bank = draw_bank(3, 0)
    assert bank.shape == (24, 256, 256)
    assert torch.equal(bank, draw_bank(3, 0))
    assert not torch.equal(bank, draw_bank(3, 1))
    for item in bank.unflatten(0, (3, 8)).numpy():
        turned = [np.rot90(item[0], k) for k in range(4)]
        np.testing.assert_array_equal(item, [*turned, *(image[:, ::-1] for image in turned)])
        assert len({image.tobytes() for image in item}) == 8


def test_clutter_is_nothing_or_one_or_two_items_cut_out():
    bank = torch.ones(1, 256, 256) + torch.arange(256) + 256.0 * torch.arange(256)[:, None]
    picked = pick(bank, Dice.seeded(0, 3000), (9, 17))
    assert picked.shape == (3000, 9, 17)
    # Of every item: its weight and where it was cut out.
    along, down = picked[:, 0, 1] - picked[:, 0, 0], picked[:, 1, 0] - picked[:, 0, 0]
    torch.testing.assert_close(down, 256 * along, rtol=1e-2, atol=1e-2)
    nothing = (picked == 0).all(2).all(1)
    assert float(nothing.float().mean()) == pytest.approx(0.45, abs=0.03)
    assert (picked[~nothing] > 0).all()
    weight = along[~nothing]
    assert weight.min() > 0.09
    assert 2.6 < weight.max() < 5.1
    corner = picked[~nothing][:, 0, 0] / weight
    assert corner.min() < 256 * 20
    assert corner.max() > 256 * 235
    weight = pick(torch.ones(1, 256, 256), Dice.seeded(0, 3000), (2, 2)).mean()
    assert float(weight) == pytest.approx((0.35 + 2 * 0.2) * 2.4 / np.log(25), rel=0.06)
