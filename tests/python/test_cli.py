"""The command line: every command runs, reports numbers, and starts quickly."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import osteoform
from osteoform._cli.console import complete_json, join_lists, number
from osteoform._output import staged_file, staged_folder
from osteoform._types import BONES
from osteoform.cli import app
from osteoform.io.meshes import read_mesh, write_ply
from osteoform.io.study import read_study

COMMANDS = [
    ["demo"],
    ["reconstruct"],
    ["detect"],
    ["simulate"],
    ["evaluate"],
    ["train"],
    ["model", "build"],
    ["model", "info"],
    ["model", "measure"],
    ["model", "fetch"],
    ["model", "show"],
    ["model", "import"],
    ["model", "export"],
    ["atlas", "build"],
    ["atlas", "table"],
    ["atlas", "show"],
]
needs_network = pytest.mark.skipif(
    not files("osteoform").joinpath("data/detector.onnx").is_file(), reason="no network shipped"
)


def _run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_and_its_units(command: list[str]) -> None:
    text = _run(*command, "--help")
    assert "Usage" in text
    if command[0] not in ("detect", "model", "atlas"):
        assert "mm" in text
    if command not in (["simulate"],):
        assert "--json" in text


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['osteoform', 'demo', '--help']\n"
        "from osteoform.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'onnxruntime', 'torch', 'scipy', 'skimage'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_the_version() -> None:
    assert osteoform.__version__ in _run("--version")


def test_json_may_stand_alone() -> None:
    assert complete_json(["a", "--json"]) == ["a", "--json", "-"]
    assert complete_json(["--json", "--seed", "1"]) == ["--json", "-", "--seed", "1"]
    assert complete_json(["--json", "x.json", "b"]) == ["--json", "x.json", "b"]


def test_lists_may_be_written_with_spaces_or_commas() -> None:
    joined = join_lists(["s.json", "--bones", "femur", "tibia,patella", "--out", "o"])
    assert joined == ["s.json", "--bones", "femur,tibia,patella", "--out", "o"]
    assert join_lists(["--views", "ap", "lateral"]) == ["--views", "ap,lateral"]
    assert join_lists(["--bones", "ulna", "femur"]) == ["--bones", "ulna", "femur"]


def test_numbers_that_do_not_exist_are_dashes() -> None:
    assert [number(None), number(float("nan")), number(1.234)] == ["-", "-", "1.23"]


def _fail_in_folder(folder: Path) -> None:
    with staged_folder(folder) as staging:
        (staging / "half").write_text("half")
        raise ZeroDivisionError


def _fail_in_file(file: Path) -> None:
    with staged_file(file) as staging:
        staging.write_text("half")
        raise ZeroDivisionError


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    folder, file = tmp_path / "a" / "b", tmp_path / "c" / "x.npz"
    with pytest.raises(ZeroDivisionError):
        _fail_in_folder(folder)
    with pytest.raises(ZeroDivisionError):
        _fail_in_file(file)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    folder.mkdir()
    (folder / "other").write_text("kept")
    with staged_folder(folder) as staging:
        (staging / "new").write_text("new")
    assert {path.name for path in folder.iterdir()} == {"other", "new"}
    assert [path.name for path in folder.parent.iterdir()] == ["b"]


@pytest.mark.parametrize("geometry", ["cone", "slot"])
def test_simulate_writes_a_study(geometry: str, tmp_path: Path) -> None:
    model = osteoform.load_model(bone="femur")
    bone = osteoform.Mesh(vertices=model.mean + np.float32(30.0), faces=model.faces)
    write_ply(tmp_path / "femur.ply", bone)
    out = tmp_path / "study"
    options = ["--side", "right", "--geometry", geometry, "--dose", "20000"]
    _run("simulate", tmp_path / "femur.ply", "--out", out, *options)
    study = read_study(out / "study.json")
    assert study.side == "right"
    assert study.bones == ("femur",)
    for view in study.views:
        assert view.polarity == "dark_is_dense"
        height, width = view.pixels.shape
        outline = view.geometry.project(bone.vertices.astype(float))
        assert (outline.min(axis=0) > 0).all()
        assert (outline.max(axis=0) < [width, height]).all()
        inside = outline.round().astype(int)
        assert view.pixels[inside[:, 1], inside[:, 0]].mean() < 0.5 * view.pixels.max()


def test_model_build_and_info(tmp_path: Path, rng: np.random.Generator) -> None:
    model = osteoform.load_model(bone="femur")
    shapes = [model.instance(rng.standard_normal(model.num_modes)) for _ in range(5)]
    bones, out = tmp_path / "some_right_femur.npz", tmp_path / "model.npz"
    np.savez(bones, vertices=np.array(shapes), faces=model.faces)
    options = ["--bone", "femur", "--num-kernel", 8, "--leave-out", "1", "--out", out]
    built = json.loads(_run("model", "build", bones, *options, "--json"))
    told = json.loads(_run("model", "info", out, "--json", "-"))
    assert told.pop("variation_rms_mm") == pytest.approx(built.pop("variation_rms_mm"), rel=1e-4)
    assert told == built
    assert built["num_modes"] == 3 + 8
    assert built["num_pca"] == 3
    assert built["points"][0] == "femoral_head_center"
    assert osteoform.load_model(out).bone == "femur"
    assert "femur" in _run("model", "info", out)


def test_evaluate_reports_the_stated_keys(tmp_path: Path, rng: np.random.Generator) -> None:
    model = osteoform.load_model(bone="femur")
    names = ["one", "two"]
    for name in names:
        b = np.clip(rng.standard_normal(model.num_modes), -2.0, 2.0)
        mesh = osteoform.Mesh(vertices=model.instance(b), faces=model.faces)
        write_ply(tmp_path / f"{name}.ply", mesh)
    meshes = [tmp_path / f"{name}.ply" for name in names]
    numbers = tmp_path / "numbers.json"
    options = ["--bone", "femur", "--side", "right", "--features", "simulated"]
    table = _run("evaluate", *meshes, *options, "--json", numbers, "--pictures", tmp_path / "p")
    assert "one" in table
    values = json.loads(numbers.read_text())
    assert set(values) == {"cases", "summary", "timings_ms"}
    assert [case["name"] for case in values["cases"]] == names
    for case in values["cases"]:
        assert {"name", "mean_mm", "rms_mm", "p95_mm", "status"} <= set(case)
        assert case["mean_mm"] < 1.0
    summary = values["summary"]
    assert set(summary) == {"n", "mean_mm", "rms_mm", "p95_mm", "worst_mm", "failures"}
    assert summary["n"] == 2
    assert summary["failures"] == 0
    assert len(list((tmp_path / "p").glob("overlay_*.png"))) == 4


@needs_network
def test_demo_writes_everything_and_shows_the_true_error(tmp_path: Path) -> None:
    out, numbers = tmp_path / "demo", tmp_path / "numbers.json"
    table = _run("demo", "--out", out, "--json", numbers)
    assert "true error" in table
    assert {path.name for path in out.iterdir()} == {
        "reconstruction.json",
        *(f"{bone}.ply" for bone in BONES),
        "overlay_ap.png",
        "overlay_lateral.png",
        "surface_error.png",
    }
    values = json.loads((out / "reconstruction.json").read_text())
    femur = values["bones"]["femur"]
    keys = ("mesh", "status", "confidence", "boundary_rms_mm", "boundary_found", "pose")
    assert set(keys) <= set(femur)
    assert "total" in values["timings_ms"]
    mesh = read_mesh(out / femur["mesh"])
    assert np.isfinite(mesh.vertices).all()
    with Image.open(out / "surface_error.png") as picture:
        assert picture.width > 500
    errors = json.loads(numbers.read_text())["true_error"]
    assert set(errors) == set(BONES)
    for error in errors.values():
        assert error["outside_model_rms_mm"] > 0.1
        assert error["mean_mm"] < 2.0


@needs_network
@pytest.mark.parametrize("inverted", [False, True])
def test_a_simulated_study_is_reconstructed(tmp_path: Path, inverted: bool) -> None:
    model = osteoform.load_model(bone="femur")
    bone = osteoform.Mesh(vertices=model.mean, faces=model.faces)
    write_ply(tmp_path / "femur.ply", bone)
    _run("simulate", tmp_path / "femur.ply", "--side", "right", "--out", tmp_path / "s")
    study = json.loads((tmp_path / "s" / "study.json").read_text())
    for view in study["views"]:
        del view["polarity"]  # to be found out
        path = tmp_path / "s" / view["image"]
        grey = np.asarray(Image.open(path)) // 257
        Image.fromarray((255 - grey if inverted else grey).astype(np.uint8)).save(path)
    (tmp_path / "s" / "study.json").write_text(json.dumps(study))
    out = tmp_path / "out"
    values = json.loads(_run("reconstruct", tmp_path / "s", "--out", out, "--json"))
    assert values == json.loads((out / "reconstruction.json").read_text())
    assert values["bones"]["femur"]["boundary_found"] > 0.7
    found = read_mesh(out / "femur.ply")
    assert np.linalg.norm(found.vertices - bone.vertices, axis=1).mean() < 3.0
    seen = json.loads(_run("detect", tmp_path / "s", "--out", tmp_path / "d", "--json"))
    assert set(seen["views"]) == {"ap", "lateral"}
    assert (tmp_path / "d" / "overlay_ap.png").is_file()
