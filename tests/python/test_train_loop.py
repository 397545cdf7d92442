"""Training: a run from its first step to its report, and what chooses how it learns."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat
from math import isfinite

import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")

from osteoform._errors import InputError
from osteoform._split import held_out
from osteoform.cli import app
from osteoform.train import loop, steps, workshop
from osteoform.train.dataset import KINDS
from osteoform.train.loop import load_network, run_training
from osteoform.train.stock import SCENES_PER_ROUND
from osteoform.train.workshop import open_workshop
from training_batch import random_batch

SHOP = open_workshop("cpu", threads=1, workers=None)


@pytest.fixture
def begun_at(monkeypatch) -> list[int]:
    """Batches without scenes; tells at which step each stream of them began."""
    noted: list[int] = []

    def stream(packs, supply, device, first_step):
        noted.append(first_step)
        return repeat((KINDS[0], random_batch(4)))

    monkeypatch.setattr(loop, "batches", stream)
    return noted


@pytest.fixture
def rates(monkeypatch) -> list[float]:
    """The shares of the highest rates at which was learnt."""
    noted: list[float] = []

    def set_rate(optimizers, share):
        noted.append(share)
        steps.set_rate(optimizers, share)

    monkeypatch.setattr(loop, "set_rate", set_rate)
    return noted


def test_a_run_goes_on_where_it_stopped(begun_at, tmp_path):
    first = run_training(data=tmp_path, out=tmp_path / "run", workshop=SHOP, steps=2, seed=5)
    assert (first.steps, first.images) == (2, 8)
    assert first.scenes == 2 * SCENES_PER_ROUND
    assert first.history == ("osteoform train --data LLP26 --steps 2 --seed 5 --threads 1",)
    assert not set(first.people) & set(held_out())
    assert all(map(isfinite, first.losses.values()))
    assert first.losses
    more = run_training(
        data=tmp_path, out=tmp_path / "run", workshop=SHOP, steps=5, seed=5, resume=True
    )
    assert begun_at == [0, 2]
    assert (more.steps, more.images) == (5, 20)
    assert more.history == first.history
    assert more.minutes > first.minutes
    assert load_network(more.checkpoint).training is False
    assert not (tmp_path / "run" / "checkpoint.part").exists()


def test_a_run_begins_with_another_s_weights_at_a_share_of_its_rates(begun_at, rates, tmp_path):
    first = run_training(data=tmp_path, out=tmp_path / "first", workshop=SHOP, steps=1, seed=3)
    assert rates.pop() == pytest.approx(0.02)
    before = load_network(first.checkpoint)
    more = run_training(
        data=tmp_path,
        out=tmp_path / "more",
        workshop=SHOP,
        steps=1,
        start_from=first.checkpoint,
        peak_rate=0.25,
    )
    assert rates.pop() == pytest.approx(0.25 * 0.02)
    assert more.history == (
        *first.history,
        "osteoform train --data LLP26 --steps 1 --rate 0.25 --seed 0 --threads 1",
    )
    assert more.images == 4
    after = load_network(more.checkpoint)
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    assert 0 < max((one - other).abs().max() for one, other in pairs) < 1e-3
    for one, other in zip(before.buffers(), after.buffers(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", [KINDS[1], KINDS[4]], ids=str)
def test_statistics_are_not_of_images_that_all_lie(monkeypatch, tmp_path, kind):
    monkeypatch.setattr(loop, "batches", lambda *_: repeat((kind, random_batch(4))))
    report = run_training(data=tmp_path, out=tmp_path, workshop=SHOP, steps=1)
    norms = [m for m in load_network(report.checkpoint).modules() if hasattr(m, "running_mean")]
    assert all(bool(norm.running_mean.any()) != kind.lying for norm in norms)


def test_rates_rise_and_then_fall_to_the_end():
    rates = [loop._rate(share) for share in (0.0, 0.01, 0.02, 0.5, 0.8, 1.0)]
    assert rates[:3] == pytest.approx([0.02, 0.5, 1.0])
    assert rates[2] > rates[3] > rates[4] > rates[5]
    assert rates[5] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ([], 1.0),
        (["--from", "net.onnx"], 0.2),
        (["--rate", "0.5"], 0.5),
        (["--from", "net.onnx", "--rate", "1"], 1.0),
    ],
)
def test_weights_that_were_trained_before_learn_slower_unless_told(
    monkeypatch, tmp_path, options, rate
):
    told = {}

    def noted(**arguments):
        told.update(arguments)
        raise InputError("enough")

    monkeypatch.setattr(loop, "run_training", noted)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.onnx").touch()
    where = ["--data", ".", "--work", "work", "--out", "out.onnx", "--steps", "1"]
    result = CliRunner().invoke(app, ["train", *where, "--device", "cpu", *options])
    assert result.exit_code != 0
    assert told["peak_rate"] == rate
    assert (told["start_from"] is None) == ("--from" not in options)


@pytest.mark.parametrize("rate", ["0", "1.5"])
def test_a_rate_is_a_share(tmp_path, rate):
    where = ["--data", str(tmp_path), "--work", str(tmp_path), "--out", str(tmp_path / "n.onnx")]
    result = CliRunner().invoke(app, ["train", *where, "--steps", "1", "--rate", rate])
    assert result.exit_code == 2
    assert "--rate" in result.output


def test_a_workshop_tells_the_options_that_choose_it(monkeypatch):
    assert open_workshop("cpu", threads=2, workers=None).options == "--threads 2"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (64e9, 80e9))
    shop = open_workshop(None, threads=1, workers=15)
    assert shop.options == "--threads 1 --device cuda --workers 15"
    assert shop.supply.workers == 15
    assert shop.supply.batch_size == shop.batch_size > SHOP.batch_size
    assert shop.half_precision


def test_a_gpu_keeps_the_scenes_that_half_of_its_memory_holds(monkeypatch):
    for free, rounds in ((80e9, 400), (16e9, 100), (1e6, 2)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda free=free: (free, 80e9))
        assert workshop._gpu_rounds() == rounds


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="found none"):
        open_workshop("cuda", threads=1, workers=None)
    assert open_workshop(None, threads=1, workers=None) == replace(SHOP, threads=1)
