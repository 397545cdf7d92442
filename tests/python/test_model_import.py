"""Import and export by the command line: a foreign model ends up in our frame, with features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import osteoform
from osteoform import InputError, Mesh, ShapeModel
from osteoform._distance import distances_to_surface, sample_surface
from osteoform._placement import rigid_fit_to_surface
from osteoform._split import held_out
from osteoform.cli import app
from osteoform.io.meshes import read_mesh, write_ply
from osteoform.modeling.adopt import adopt
from osteoform.modeling.carry import carrier_of_mesh, spline_weights
from osteoform.modeling.correspondence import read_correspondence
from osteoform.modeling.formats.llp26 import read_llp26
from osteoform.modeling.formats.points import PointModel, PointShapes
from osteoform.modeling.procrustes import align_rigid, apply_rigid, rigid_transform

MIRROR = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def femur() -> ShapeModel:
    """The shipped femur with few modes."""
    return osteoform.load_model(bone="femur").truncated(8)


def _turn(rng: np.random.Generator) -> np.ndarray:
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return rotation * np.sign(np.linalg.det(rotation))


def _run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


def _covariance(modes: np.ndarray, step: int) -> np.ndarray:
    flat = modes[:, ::step].reshape(len(modes), -1).astype(np.float64)
    return flat.T @ flat


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_export_and_import_give_the_same_gaussian(
    suffix: str, femur: ShapeModel, tmp_path: Path
) -> None:
    femur.save(tmp_path / "ours.npz")
    there, back = tmp_path / f"there{suffix}", tmp_path / "back.npz"
    left = ["--side", "left"]
    told = json.loads(
        _run("model", "export", tmp_path / "ours.npz", "--out", there, *left, "--json")
    )
    assert told == {"files": [str(there)]}
    _run("model", "import", there, "--bone", "femur", *left, "--out", back, "--json")
    found = ShapeModel.load(back)
    np.testing.assert_array_equal(found.faces, femur.faces)
    np.testing.assert_allclose(found.mean, femur.mean, atol=2e-3)
    spread = _covariance(femur.modes, 100)
    # float16 modes on both ways
    np.testing.assert_allclose(
        _covariance(found.modes, 100), spread, atol=2e-3 * np.abs(spread).max()
    )
    np.testing.assert_allclose(
        np.sqrt(np.mean(found.inadequacy_mm**2)),
        np.sqrt(np.mean(femur.inadequacy_mm**2)),
        rtol=1e-5,
    )
    assert found.point_names == femur.point_names
    np.testing.assert_allclose(found.point_mean, femur.point_mean, atol=0.05)
    assert found.origin.startswith(f"osteoform model import there{suffix} --bone femur --side left")


def test_export_of_ply_to_a_folder(femur: ShapeModel, tmp_path: Path) -> None:
    femur.save(tmp_path / "ours.npz")
    _run("model", "export", tmp_path / "ours.npz", "--out", tmp_path / "meshes", "--num-modes", 1)
    names = {path.name for path in (tmp_path / "meshes").iterdir()}
    assert names == {"mean.ply", "mode_01_plus.ply", "mode_01_minus.ply"}
    np.testing.assert_array_equal(read_mesh(tmp_path / "meshes" / "mean.ply").vertices, femur.mean)
    message = _run("model", "export", tmp_path / "ours.npz", "--out", "a.vtk", code=2)
    assert "needed .h5, .npz or a folder, found '.vtk'" in message


def test_a_model_in_any_pose_is_turned_back(femur: ShapeModel, rng: np.random.Generator) -> None:
    turn, shift = _turn(rng), np.array([300.0, -40.0, 900.0])
    foreign = PointModel(
        mean=femur.mean @ turn.T + shift, modes=femur.modes @ turn.T, faces=femur.faces[:, ::-1]
    )
    with pytest.raises(InputError, match="pass inadequacy_mm"):
        adopt(foreign, side="right", template=femur)
    found = adopt(foreign, side="right", template=femur, inadequacy_mm=0.5).model
    np.testing.assert_allclose(found.mean, femur.mean, atol=0.01)
    np.testing.assert_allclose(found.modes, femur.modes, atol=0.01)
    assert (found.inadequacy_mm == 0.5).all()
    with pytest.raises(InputError, match="needed a left femur, found the other side"):
        adopt(foreign, side="left", template=femur, inadequacy_mm=0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda mean, faces: (mean / 1000.0, faces), "another unit, or another bone"),
        (lambda mean, faces: (mean, faces[1:]), "needed a closed surface"),
    ],
)
def test_what_is_no_whole_bone_in_mm_is_refused(
    change: object, message: str, femur: ShapeModel
) -> None:
    mean, faces = change(femur.mean.astype(np.float64), femur.faces)  # type: ignore[operator]
    foreign = PointModel(mean=mean, modes=femur.modes, faces=faces)
    with pytest.raises(InputError, match=message):
        adopt(foreign, side="right", template=femur, inadequacy_mm=0.5)


def test_errors_reach_the_command_line_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "bad.h5").write_bytes(b"nothing")
    options = ["--bone", "femur", "--side", "left", "--out", tmp_path / "out.npz"]
    assert "needed a whole HDF5 file" in _run(
        "model", "import", tmp_path / "bad.h5", *options, code=2
    )
    assert not (tmp_path / "out.npz").exists()


def test_a_spline_carries_every_affine_motion(rng: np.random.Generator) -> None:
    centers, points = rng.normal(size=(40, 3)) * 50.0, rng.normal(size=(60, 3)) * 50.0
    weights = spline_weights(centers, points)
    matrix, shift = rng.normal(size=(3, 3)), rng.normal(size=3)
    np.testing.assert_allclose(
        weights @ (centers @ matrix.T + shift), points @ matrix.T + shift, atol=1e-6
    )
    # Where the points are, values are met, but for what `spare_mm` lets go.
    values = rng.normal(size=(40, 3))
    exact = spline_weights(centers, centers, spare_mm=0.0) @ values
    np.testing.assert_allclose(exact, values, atol=1e-6)
    with pytest.raises(InputError, match="three dimensions"):
        spline_weights(centers * [1.0, 1.0, 0.0], points)


def test_particles_carry_the_mesh_of_one_person(
    femur: ShapeModel, tmp_path: Path, rng: np.random.Generator
) -> None:
    people = [femur.instance(b) for b in rng.standard_normal((4, 8)) * 0.7]
    ids = rng.choice(femur.num_vertices, 500, replace=False)
    for i, person in enumerate(people):
        posed = person[ids] @ _turn(rng).T if i else person[ids]
        np.savetxt(tmp_path / f"p{i}_local.particles", posed * MIRROR)
    write_ply(tmp_path / "p0.ply", Mesh(vertices=people[0] * MIRROR, faces=femur.faces[:, ::-1]))
    options = ["--bone", "femur", "--side", "left", "--mesh", tmp_path / "p0.ply"]
    out = tmp_path / "out.npz"
    _run("model", "import", tmp_path, *options, "--out", out, "--leave-out", "2", "--json")
    found = ShapeModel.load(out)
    assert (found.num_modes, found.num_pca) == (2, 2)
    expected = align_rigid(np.stack([people[i] for i in (0, 1, 3)])).mean(axis=0)
    found_at = apply_rigid(rigid_transform(found.mean, expected), found.mean)
    error = np.linalg.norm(found_at - expected, axis=1)
    assert np.mean(error) < 0.7
    elsewhere = Mesh(vertices=people[0] + np.float32(80.0), faces=femur.faces)
    astray = PointShapes(shapes=np.stack(people)[:, ids], surface=elsewhere)
    with pytest.raises(InputError, match="must be of one of the people"):
        adopt(astray, side="right", template=femur)


def test_a_carrier_moves_the_mesh_with_its_points(femur: ShapeModel) -> None:
    mesh = Mesh(vertices=femur.mean, faces=femur.faces)
    b = np.zeros(8)
    b[1] = 2.0
    carrier = carrier_of_mesh(femur.mean[::8].astype(np.float64), mesh)
    moved = carrier.apply(femur.instance(b)[::8].astype(np.float64))
    moved_mm = np.linalg.norm(femur.instance(b) - femur.mean, axis=1)
    error_mm = np.linalg.norm(moved - femur.instance(b), axis=1)
    assert np.sqrt(np.mean(error_mm**2)) < 0.06 * np.sqrt(np.mean(moved_mm**2))


def test_scattered_points_of_any_pose_carry_the_template(
    femur: ShapeModel, rng: np.random.Generator
) -> None:
    turn, shift = _turn(rng), np.array([300.0, -40.0, 900.0])
    b = np.array([0.8, -1.0, 0.5, 0.0, 1.0, 0.0, 0.0, 0.0])
    ids = rng.choice(femur.num_vertices, 400, replace=False)
    foreign = PointModel(
        mean=femur.instance(b)[ids] @ turn.T + shift,
        modes=femur.modes[:3, ids] @ turn.T,
        inadequacy_mm=np.full(400, 0.7),
    )
    adopted = adopt(foreign, side="right", template=femur)
    assert adopted.carried
    found = adopted.model
    surface = Mesh(vertices=found.mean, faces=found.faces)
    truth = femur.instance(b).astype(np.float64)
    at = rigid_fit_to_surface(truth[::3], surface).apply(truth)
    assert np.mean(distances_to_surface(at, surface)) < 0.5
    np.testing.assert_array_equal(found.faces, femur.faces)
    np.testing.assert_allclose(found.inadequacy_mm, 0.7, atol=1e-6)
    # The axes are the template's, as far as another shape has them.
    away = rigid_transform(truth - truth.mean(axis=0), found.mean)
    assert np.degrees(np.arccos(np.clip((np.trace(away[:3, :3]) - 1.0) / 2.0, -1.0, 1.0))) < 3.0


def test_llp26_nodes_become_the_published_femur(shared_data: Path) -> None:
    """The surface carried by the nodes against the one published with them, people held out."""
    folder = shared_data / "bones" / "llp26"
    people = read_llp26(folder / "LLP26_rigid.pc", "femur")
    template = osteoform.load_model(bone="femur")
    adopted = adopt(people, side="left", template=template, leave_out=held_out())
    assert adopted.carried
    assert adopted.placement_rms_mm < 1.5
    assert adopted.model.num_pca == len(people.shapes) - len(held_out()) - 1
    vertices, faces = read_correspondence(folder / "llp26_left_femur.npz")
    mean = align_rigid(np.delete(vertices, held_out(), axis=0)).mean(axis=0)
    points = sample_surface(Mesh(vertices=mean.astype(np.float32), faces=faces), 5000)
    surface = Mesh(vertices=adopted.model.mean, faces=adopted.model.faces)
    at = rigid_fit_to_surface(points[::5], surface).apply(points)
    assert np.mean(distances_to_surface(at, surface)) < 0.3


def test_another_bone_is_refused(femur: ShapeModel, shared_data: Path) -> None:
    people = read_llp26(shared_data / "bones" / "llp26" / "LLP26_rigid.pc", "tibia")
    with pytest.raises(InputError, match="needed a whole femur, found a bone .* another bone"):
        adopt(people, side="left", template=femur, leave_out=held_out())
