"""Sheets of pictures and the tables of the atlas, through the commands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

import osteoform
from osteoform import Mesh
from osteoform import _sheets as sheets
from osteoform._shade import IVORY
from osteoform.atlas.build import FAMILIES, family_of
from osteoform.atlas.page import COLUMNS, parameter_rows, section
from osteoform.cli import app
from osteoform.show import nice_limit, save_sheet, signed_colours
from osteoform.simulate import ellipsoid

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edges need not be smooth here."""
    monkeypatch.setattr("osteoform._shade._OVERSAMPLING", 1)


def _run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def _refused(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    return result.stderr


def _pixels(path: Path) -> NDArray[np.int64]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(np.int64)


# -- pieces --------------------------------------------------------------------------------------


def test_pictures_are_put_beside_and_below_each_other() -> None:
    red, blue = Image.new("RGB", (10, 20), "red"), Image.new("RGB", (30, 4), "blue")
    row = sheets.across([red, blue], gap_px=5, align="end")
    assert row.size == (45, 20)
    assert row.getpixel((20, 17)) == (0, 0, 255)
    assert row.getpixel((20, 2)) == (255, 255, 255)
    column = sheets.down([red, blue], gap_px=5, align="middle")
    assert column.size == (30, 29)
    assert column.getpixel((15, 5)) == (255, 0, 0)
    assert column.getpixel((2, 5)) == (255, 255, 255)


def test_a_portrait_has_its_scale_and_its_place() -> None:
    small, large = ellipsoid((10.0, 0.0, 0.0), 5.0), ellipsoid((0.0, 0.0, 0.0), (30.0, 20.0, 40.0))
    extent = sheets.Extent.of([small, large])
    painted = sheets.Painted(mesh=small, colours=np.array([0.5, 0.5, 0.5]))
    picture = sheets.portrait(painted, sheets.SIDES[0], extent, 0.5)
    assert picture.height == pytest.approx(80.0 * 1.05 / 0.5, abs=1)
    dark = np.asarray(picture).astype(int).sum(axis=2) < 765
    _, columns = np.nonzero(dark)
    middle = columns.mean() + 0.5
    assert (middle - picture.width / 2) * 0.5 == pytest.approx(10.0, abs=0.3)
    assert np.ptp(columns) * 0.5 == pytest.approx(10.0, abs=1.0)


@pytest.mark.parametrize("view", [*sheets.SIDES, *sheets.ENDS], ids=lambda view: view.name)
def test_every_view_is_named_after_the_side_it_shows(view: sheets.Camera) -> None:
    towards = np.cross(view.right, view.up)
    names = {"medial": 0, "posterior": 1, "proximal": 2}  # x, y, z of a right bone
    opposite = {"lateral": 0, "anterior": 1, "distal": 2}
    axis, sign = (names[view.name], 1) if view.name in names else (opposite[view.name], -1)
    np.testing.assert_array_equal(towards, sign * np.eye(3)[axis])


def test_a_colour_bar_has_its_end_at_the_top() -> None:
    ramp = np.linspace([0.0, 0.0, 1.0], [1.0, 0.0, 0.0], 64)
    pixels = np.asarray(sheets.colour_bar(ramp, ["0", "1"], "mm")).astype(int)
    strip = pixels[:, 8]
    coloured = np.flatnonzero((strip[:, 1] < 30) & (np.ptp(strip, axis=1) > 100))
    top, bottom = strip[coloured[0]], strip[coloured[-1]]
    assert top[0] > top[2] + 150
    assert bottom[2] > bottom[0] + 150


def test_signed_colours_tell_in_from_out() -> None:
    out, still, inward = signed_colours(np.array([1.0, 0.0, -1.0]))
    assert out[0] > 2 * out[2]
    assert inward[2] > 2 * inward[0]
    np.testing.assert_allclose(still, IVORY)
    np.testing.assert_allclose(signed_colours(np.array([3.0, -9.0])), [out, inward])


def test_the_end_of_a_scale_is_round_and_holds_nearly_all() -> None:
    assert nice_limit(np.linspace(0.0, 1.2, 1000)) == 1.5
    assert nice_limit(np.zeros(10)) == 0.5
    assert nice_limit(np.full(10, 400.0)) == 50.0


def test_a_small_picture_keeps_white_and_strong_colours(tmp_path: Path) -> None:
    shades = np.linspace(90, 250, 600)[None, :, None] * [1.0, 0.95, 0.85]
    image = np.repeat(shades, 400, axis=0).astype(np.uint8)
    image[:60] = 255
    image[100:110, 100:130] = (200, 10, 20)
    save_sheet(Image.fromarray(image), tmp_path / "s.png", width_px=300)
    found = _pixels(tmp_path / "s.png")
    assert found.shape == (200, 300, 3)
    np.testing.assert_array_equal(found[5, 5], [255, 255, 255])
    np.testing.assert_allclose(found[52, 57], [200, 10, 20], atol=25)
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.mode == "P"


# -- model show ----------------------------------------------------------------------------------


def test_a_model_is_drawn(tmp_path: Path) -> None:
    out = tmp_path / "new" / "femur.png"
    values = json.loads(_run("model", "show", "femur", "--out", out, "--modes", 1, "--json"))
    assert values["picture"] == str(out)
    assert values["bone"] == "femur"
    pixels = _pixels(out)
    assert pixels.shape[1] > 1200
    assert (pixels == 255).all(axis=2).mean() > 0.4  # paper
    red, blue = pixels[..., 0], pixels[..., 2]
    assert (red > blue + 100).sum() > 5000  # inadequacy, and what moves outward
    assert (blue > red + 40).sum() > 500  # what moves inward


def test_modes_beyond_the_last_are_not_drawn(tmp_path: Path) -> None:
    model = osteoform.load_model("femur").truncated(0)
    model.save(tmp_path / "rigid.npz")
    _run("model", "show", tmp_path / "rigid.npz", "--out", tmp_path / "r.png")
    assert _pixels(tmp_path / "r.png").shape[0] < 1200


def test_a_picture_that_cannot_be_is_refused_before_any_work(tmp_path: Path) -> None:
    assert ".png" in _refused("model", "show", "femur", "--out", tmp_path / "femur.jpg")
    assert "needed a file" in _refused("model", "show", "femur", "--out", tmp_path)
    assert "no model" in _refused("model", "show", "ulna", "--out", tmp_path / "u.png")
    assert list(tmp_path.iterdir()) == []


# -- atlas show ----------------------------------------------------------------------------------


def test_the_atlas_is_drawn_alone(tmp_path: Path) -> None:
    values = json.loads(_run("atlas", "show", "femur", "--out", tmp_path, "--json"))
    assert values == {"bones": {"femur": {"picture": "atlas_femur.png"}}}
    pixels = _pixels(tmp_path / "atlas_femur.png")
    ink = (pixels < 245).any(axis=2)
    assert 0.1 < ink.mean() < 0.5
    assert not ink[:30].any()
    assert not ink[:, :30].any()


def test_the_gap_is_drawn_and_told(tmp_path: Path) -> None:
    model = osteoform.load_model("femur")
    b = np.zeros(model.num_modes)
    b[0] = 0.2
    other = Mesh(vertices=model.instance(b), faces=model.faces)
    np.savez(tmp_path / "clinic_right_femur.npz", vertices=other.vertices[None], faces=other.faces)
    options = ["--out", tmp_path / "out", "--beside", tmp_path, "--width", 900]
    numbers = tmp_path / "gap.json"
    text = _run("atlas", "show", *options, "--json", numbers)
    assert "trochanters" in text
    entry = json.loads(numbers.read_text())["bones"]["femur"]
    assert entry["beside"] == "mean of 1 bones in clinic_right_femur.npz"
    assert set(entry["gap"]) == {"whole bone", *family_of("femur").table.inadequacy_mm}
    whole = entry["gap"]["whole bone"]
    assert set(whole) == {"area_share", "mean_mm", "p95_mm", "bias_mm"}
    assert 0.2 < whole["mean_mm"] < whole["p95_mm"]
    assert whole["bias_mm"] != 0.0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["atlas_femur_beside.png"]
    assert _pixels(tmp_path / "out" / "atlas_femur_beside.png").shape[1] == 900


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    osteoform.load_model("femur").save(tmp_path / "one.npz")
    osteoform.load_model("femur").save(tmp_path / "two.npz")
    one = ["--beside", tmp_path / "one.npz"]
    two = ["--beside", tmp_path / "two.npz"]
    assert "found no file" in _refused("atlas", "show", "--out", out, "--beside", "none.npz")
    assert "two means" in _refused("atlas", "show", "femur", "--out", out, *one, *two)
    missing = [bone for bone in ("tibia", "fibula", "patella") if bone not in FAMILIES]
    for bone in missing:
        assert "the atlas has femur" in _refused("atlas", "show", bone, "--out", out)
    assert not out.exists()


# -- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bone", FAMILIES)
def test_a_table_is_printed_in_three_ways(bone: str) -> None:
    table = family_of(bone).table
    printed = _run("atlas", "table", bone)
    assert all(f" {name} " in printed for name in table.means)  # none is broken in two
    values = json.loads(_run("atlas", "table", bone, "--json"))["bones"][bone]
    assert [row["name"] for row in values["parameters"]] == list(table.means)
    assert [row["mean"] for row in values["parameters"]] == list(table.means.values())
    assert values["inadequacy_mm"] == dict(table.inadequacy_mm)
    markdown = _run("atlas", "table", bone, "--markdown")
    assert markdown == section(bone)
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in markdown.splitlines()
        if line.startswith("|")
    ]
    assert rows[0] == list(COLUMNS)
    assert rows[2 : 2 + len(table.parameters)] == parameter_rows(table)


@pytest.mark.parametrize("bone", FAMILIES)
def test_every_part_of_the_mean_form_says_where_it_comes_from(bone: str) -> None:
    table = family_of(bone).table
    assert len(table.inadequacy_source) > 10
    for part, words in table.form_sources.items():
        assert len(words) > 10, part


def test_the_page_in_the_docs_is_what_the_command_writes() -> None:
    page = (ROOT / "docs" / "atlas.md").read_text(encoding="utf-8")
    assert page == _run("atlas", "table", "--all", "--markdown"), (
        "run: osteoform atlas table --all --markdown > docs/atlas.md"
    )
    for bone in FAMILIES:
        assert f"## {bone.capitalize()}\n" in page


def test_everything_the_page_links_to_is_there_and_small() -> None:
    page = (ROOT / "docs" / "atlas.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", page)
    assert len(targets) == 3 * len(FAMILIES)
    for target in targets:
        file = ROOT / "docs" / target
        assert file.is_file(), f"{target}: see the commands in docs/atlas.md"
        assert file.stat().st_size <= 300_000, target


@pytest.mark.parametrize(
    "arguments", [[], ["femur", "--all"], ["--all", "--markdown", "--json"]], ids=len
)
def test_a_table_is_asked_for_in_one_way(arguments: list[str]) -> None:
    assert _refused("atlas", "table", *arguments).startswith("osteoform: error: ")
