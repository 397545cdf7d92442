"""The README's example runs, and its commands are the ones CI takes from it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import osteoform
from osteoform.cli import app
from osteoform.io.meshes import write_ply

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "words"), [("demo", "osteoform demo --out demo"), ("test", "pytest")]
)
def test_the_two_commands_are_marked(name: str, words: str) -> None:
    script = ROOT / ".ci" / "readme_command.py"
    run = subprocess.run(
        [sys.executable, str(script), name], capture_output=True, text=True, check=True
    )
    assert len(run.stdout.strip().splitlines()) == 1
    assert words in run.stdout


def test_every_command_named_exists() -> None:
    for line in re.findall(r"^osteoform (.*)$", README, re.MULTILINE):
        words = [word for word in line.split()[:2] if re.fullmatch("[a-z]+", word)]
        command = words if words[0] in ("model", "atlas") else words[:1]
        assert CliRunner().invoke(app, [*command, "--help"]).exit_code == 0, line


def test_every_file_linked_exists() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_study_shown_can_be_read(tmp_path: Path, rng: np.random.Generator) -> None:
    study = re.search(r"```json\n(.*?)```", README, re.DOTALL)
    assert study is not None
    (tmp_path / "study.json").write_text(study.group(1), encoding="utf-8")
    Image.fromarray(rng.integers(0, 255, (64, 64), np.uint8)).save(tmp_path / "ap.png")
    view = osteoform.read_study(tmp_path / "study.json").views[0]
    np.testing.assert_allclose(view.geometry.project(np.zeros((1, 3))), [[255.5, 639.5]])


def test_the_features_shown_can_be_read(tmp_path: Path) -> None:
    features = re.search(r"```json\n({\"views\".*?)```", README, re.DOTALL)
    assert features is not None
    (tmp_path / "features.json").write_text(features.group(1), encoding="utf-8")
    view = osteoform.XrayView(
        name="ap",
        pixels=np.zeros((1280, 512), np.float32),
        geometry=osteoform.standard_views("cone", ("ap",))["ap"],
    )
    models = {"femur": osteoform.load_model(bone="femur")}
    hand = osteoform.read_features(tmp_path / "features.json", views=[view], models=models)
    assert len(hand["ap"]["femur"].points) == len(hand["ap"]["femur"].ellipses) == 1


@pytest.mark.skipif(
    not files("osteoform").joinpath("data/detector.onnx").is_file(), reason="no network shipped"
)
def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = osteoform.load_model(bone="femur")
    write_ply(tmp_path / "femur.ply", osteoform.Mesh(vertices=model.mean, faces=model.faces))
    arguments = ["simulate", "femur.ply", "--side", "right", "--out", "study"]
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, arguments).exit_code == 0
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert example is not None
    exec(example.group(1), {})  # noqa: S102
    assert "vertices in world mm" in capsys.readouterr().out
