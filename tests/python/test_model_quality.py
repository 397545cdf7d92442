"""Models of few bones, their quality, and the command that builds them from raw meshes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import osteoform
from osteoform import Mesh
from osteoform._plot import Panel, draw_panels
from osteoform.cli import app
from osteoform.io.meshes import write_ply, write_stl
from osteoform.modeling.kernel_modes import KernelOptions, kernel_modes
from osteoform.modeling.pca import principal_modes
from osteoform.modeling.pooled import pooled_modes
from osteoform.modeling.procrustes import align_rigid
from osteoform.modeling.quality import measure_quality
from osteoform.modeling.surface import F64
from reference.toy_bones import ToyBone, toy_family, toy_patella


@pytest.fixture(scope="module")
def toy() -> ToyBone:
    return toy_patella(3.0)


def _energy(modes: F64) -> float:
    return float(np.square(modes).sum())


def test_no_bone_leaves_the_template(toy: ToyBone, rng: np.random.Generator) -> None:
    mean, modes = principal_modes(align_rigid(toy_family(toy, rng, count=6)))
    none = np.zeros((0, *mean.shape))
    found = pooled_modes(none, toy.faces, mean, modes, num_modes=None)
    np.testing.assert_array_equal(found[0], mean)
    np.testing.assert_array_equal(found[1], modes)


def test_one_bone_gives_its_own_details_and_the_templates_variation(
    toy: ToyBone, rng: np.random.Generator
) -> None:
    mean, modes = principal_modes(align_rigid(toy_family(toy, rng, count=6)))
    local = kernel_modes(mean, toy.faces, KernelOptions(length_mm=6.0, num_modes=20))
    detail = local[15]
    found, learned = pooled_modes((mean + detail)[None], toy.faces, mean, modes, num_modes=None)
    share = np.sum((found - mean) * detail) / np.sum(detail**2)
    assert 0.6 < share < 0.9, "what the template's modes do not say is taken almost whole"
    assert _energy(learned) == pytest.approx(_energy(modes), rel=1e-6)


def test_many_bones_outweigh_the_template(toy: ToyBone, rng: np.random.Generator) -> None:
    shapes = align_rigid(toy_family(toy, rng, count=60))
    mean, modes = principal_modes(shapes)
    template = 0.1 * modes[:2]
    found, learned = pooled_modes(shapes, toy.faces, mean, template, num_modes=4)
    assert np.abs(found - mean).max() < 0.3
    assert _energy(learned) == pytest.approx(_energy(modes), rel=0.1)
    flat = learned.reshape(4, -1)
    gram = flat @ flat.T
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-6 * gram.max())


def test_quality_of_a_family_that_three_modes_span(toy: ToyBone, rng: np.random.Generator) -> None:
    shapes = align_rigid(toy_family(toy, rng, count=9, num_modes=3))
    none = np.zeros((0, *toy.vertices.shape))
    done = []
    quality = measure_quality(
        shapes, toy.faces, principal_modes, none, progress=lambda i, n: done.append((i, n))
    )
    assert done == [(i, 9) for i in range(1, 10)]
    assert (np.diff(quality.compactness) >= 0.0).all()
    assert quality.compactness[2] > 0.99
    assert quality.compactness[-1] == pytest.approx(1.0)
    assert quality.generalization_mm is not None
    assert quality.generalization_mm[0] > 1.0
    assert quality.generalization_mm[3] < 0.2
    assert quality.residuals_mm.shape == shapes.shape[:2]
    assert np.sqrt(np.mean(quality.residuals_mm**2)) < 0.2
    # With no mode every random shape is the mean; what they vary by then adds to the distance.
    distance = np.linalg.norm(shapes - shapes.mean(axis=0), axis=2)
    assert quality.specificity_mm[0] <= np.sqrt(np.mean(distance**2, axis=1)).min() + 1e-9
    assert quality.specificity_mm[3] > quality.specificity_mm[0] * 0.5


def test_panels_show_curves_and_bars() -> None:
    values = np.array([3.0, 2.0, 1.0])
    curve = Panel(title="a", x_label="modes", values=values)
    bars = Panel(title="b", x_label="bone", values=values, bars=True)
    sheet = np.asarray(draw_panels([curve, bars]))
    half = sheet.shape[1] // 2
    red = (sheet == [178, 34, 34]).all(axis=2)
    assert 20 < red[:, :half].sum() < red[:, half:].sum()
    assert draw_panels([curve]).size == (half, sheet.shape[0])


def test_a_panel_of_nothing_but_zeros_is_drawn_with_its_labels() -> None:
    named = Panel(title="a", x_label="share", values=np.zeros(2), labels=("0", "60"))
    counted = Panel(title="a", x_label="share", values=np.zeros(2))
    drawn, other = (np.asarray(draw_panels([panel])) for panel in (named, counted))
    assert (drawn == [178, 34, 34]).all(axis=2).any()
    assert (drawn != other).any()


def _build(*arguments: object) -> dict[str, object]:
    words = ["model", "build", *map(str, arguments), "--bone", "femur", "--num-kernel", "8"]
    result = CliRunner().invoke(app, [*words, "--json", "-"])
    assert result.exit_code == 0, result.output
    values: dict[str, object] = json.loads(result.stdout)
    return values


def test_one_command_builds_a_model_of_one_raw_bone(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    template = osteoform.load_model(bone="femur")
    b = np.clip(rng.standard_normal(template.num_modes), -2.0, 2.0)
    bone = Mesh(vertices=template.instance(b) / np.float32(1000.0), faces=template.faces[:, ::-1])
    write_stl(tmp_path / "bone.stl", bone)
    out, plot = tmp_path / "model.npz", tmp_path / "quality.png"
    values = _build(tmp_path / "bone.stl", "--side", "right", "--out", out, "--plot", plot)
    (entry,) = values["registration"]  # type: ignore[misc]
    assert entry["name"] == "bone"
    assert entry["side"] == "right"
    assert entry["side_said"]
    assert any("taken as m" in repair for repair in entry["repairs"])
    assert any("wound inward" in repair for repair in entry["repairs"])
    assert entry["residual_rms_mm"] < 0.2
    quality = values["quality"]
    assert quality["generalization_mm"] is None  # type: ignore[index]
    assert quality["compactness"][-1] == pytest.approx(1.0)  # type: ignore[index]
    model = osteoform.load_model(out)
    assert model.num_modes == values["num_modes"] == values["num_pca"] + 8  # type: ignore[operator]
    assert (model.inadequacy_mm > 0.0).any()
    assert model.point_names == template.point_names
    with Image.open(plot) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bone.ply", "--leave-out", "0"], "needed one mesh or more"),
        (["bone.ply", "--leave-out", "3"], "--leave-out must hold indices 0..0"),
        (["bone.ply"], "bone.ply: needed a whole bone"),
        (["none.ply"], "found no file"),
        (["bone.ply", "--bone", "tibia", "--template", "femur.npz"], "needed a model of the tibia"),
    ],
)
def test_wrong_input_leaves_nothing_behind(
    words: list[str], message: str, tmp_path: Path, toy: ToyBone
) -> None:
    write_ply(
        tmp_path / "bone.ply",
        Mesh(vertices=(3.0 * toy.vertices).astype(np.float32), faces=toy.faces.astype(np.int32)),
    )
    osteoform.load_model(bone="femur").save(tmp_path / "femur.npz")
    given = [str(tmp_path / word) if "." in word else word for word in words]
    bone = [] if "--bone" in words else ["--bone", "femur"]
    out = tmp_path / "out" / "model.npz"
    result = CliRunner().invoke(app, ["model", "build", *given, *bone, "--out", str(out)])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not out.parent.exists()
