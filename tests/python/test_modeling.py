"""Making models: alignment, modes, inadequacy, and the whole on toy and real bones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from osteoform import InputError
from osteoform.modeling.build import build_model
from osteoform.modeling.correspondence import read_correspondence
from osteoform.modeling.inadequacy import leave_one_out_residuals
from osteoform.modeling.kernel_modes import (
    KernelOptions,
    farthest_points,
    kernel_modes,
    scalar_modes,
)
from osteoform.modeling.pca import principal_modes
from osteoform.modeling.procrustes import align_rigid, apply_rigid, rigid_transform
from osteoform.modeling.surface import vertex_normals
from osteoform.modeling.vertex_fit import fit_vertices
from reference.toy_bones import ToyBone, toy_family, toy_patella


@pytest.fixture(scope="module")
def toy() -> ToyBone:
    return toy_patella(3.0)


def _random_rigid(rng: np.random.Generator, max_deg: float) -> np.ndarray:
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    angle = np.radians(rng.uniform(-max_deg, max_deg))
    skew = np.cross(np.eye(3), axis)
    transform = np.eye(4)
    transform[:3, :3] += np.sin(angle) * skew + (1.0 - np.cos(angle)) * skew @ skew
    transform[:3, 3] = rng.normal(size=3) * 50.0
    return transform


def test_rigid_transform_is_found_exactly(toy: ToyBone, rng: np.random.Generator) -> None:
    truth = _random_rigid(rng, 180.0)
    moved = apply_rigid(truth, toy.vertices)
    np.testing.assert_allclose(rigid_transform(toy.vertices, moved), truth, atol=1e-9)


def test_rigid_transform_never_reflects(toy: ToyBone) -> None:
    mirrored = toy.vertices * [-1.0, 1.0, 1.0] + [1.0, 2.0, 3.0]
    assert np.linalg.det(rigid_transform(toy.vertices, mirrored)[:3, :3]) == pytest.approx(1.0)


def test_alignment_removes_pose_and_keeps_axes(toy: ToyBone, rng: np.random.Generator) -> None:
    family = toy_family(toy, rng, count=6)
    posed = np.stack([apply_rigid(_random_rigid(rng, 8.0), shape) for shape in family])
    aligned, reference = align_rigid(posed), align_rigid(family)
    np.testing.assert_allclose(aligned.mean(axis=1), 0.0, atol=1e-9)
    spread = np.sqrt(np.mean(np.sum((aligned - aligned.mean(axis=0)) ** 2, axis=2)))
    expected = np.sqrt(np.mean(np.sum((reference - reference.mean(axis=0)) ** 2, axis=2)))
    assert spread == pytest.approx(expected, rel=1e-3)
    mean = posed - posed.mean(axis=1, keepdims=True)
    turn = rigid_transform(aligned.mean(axis=0), mean.mean(axis=0))[:3, :3]
    np.testing.assert_allclose(turn, np.eye(3), atol=1e-3)


def test_alignment_of_one_shape(toy: ToyBone) -> None:
    aligned = align_rigid(toy.vertices[None])
    np.testing.assert_allclose(aligned[0], toy.vertices - toy.vertices.mean(axis=0), atol=1e-9)


def test_principal_modes_of_a_known_line(toy: ToyBone) -> None:
    direction = np.zeros_like(toy.vertices)
    direction[:, 2] = toy.vertices[:, 2] / 10.0
    scores = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    shapes = toy.vertices + scores[:, None, None] * direction
    mean, modes = principal_modes(shapes)
    np.testing.assert_allclose(mean, toy.vertices, atol=1e-9)
    assert len(modes) == 1
    sign = np.sign(np.sum(modes[0] * direction))
    np.testing.assert_allclose(sign * modes[0], scores.std(ddof=1) * direction, atol=1e-9)


def test_principal_modes_carry_all_variance(toy: ToyBone, rng: np.random.Generator) -> None:
    shapes = toy_family(toy, rng, count=6, num_modes=8)
    mean, modes = principal_modes(shapes)
    variance = np.sum((shapes - mean) ** 2) / 5.0
    assert np.sum(modes**2) == pytest.approx(variance)
    energy = np.sum(modes**2, axis=(1, 2))
    assert (np.diff(energy) <= 1e-9).all()
    with pytest.raises(InputError, match="num_pca must be in 0..5"):
        principal_modes(shapes, num_modes=6)


def test_kernel_modes_have_the_variance_asked_for(toy: ToyBone) -> None:
    heights = scalar_modes(toy.vertices, KernelOptions(sd_mm=1.5, length_mm=25.0, num_modes=60))
    np.testing.assert_allclose(np.sqrt(np.sum(heights**2, axis=0)), 1.5, rtol=0.01)


def test_kernel_covariance_is_the_kernel(toy: ToyBone) -> None:
    options = KernelOptions(sd_mm=1.0, length_mm=20.0, num_modes=100)
    heights = scalar_modes(toy.vertices, options)
    some = np.arange(0, len(toy.vertices), 37)
    distance = np.linalg.norm(toy.vertices[some, None] - toy.vertices[None, some], axis=2)
    covariance = heights[:, some].T @ heights[:, some]
    np.testing.assert_allclose(covariance, np.exp(-(distance**2) / 800.0), atol=0.01)


def test_kernel_directions(toy: ToyBone) -> None:
    along = kernel_modes(toy.vertices, toy.faces, KernelOptions(num_modes=10))
    normals = vertex_normals(toy.vertices, toy.faces)
    assert along.shape == (10, len(toy.vertices), 3)
    np.testing.assert_allclose(np.cross(along[3], normals), 0.0, atol=1e-12)
    free = kernel_modes(toy.vertices, toy.faces, KernelOptions(num_modes=10, direction="xyz"))
    assert free.shape == (30, len(toy.vertices), 3)
    np.testing.assert_allclose(free[10:20, :, 1], free[20:, :, 2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sd_mm": 0.0}, "sd_mm"),
        ({"length_mm": np.nan}, "length_mm"),
        ({"num_modes": 401}, "num_modes"),
        ({"direction": "up"}, "direction"),
    ],
)
def test_kernel_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        KernelOptions(**options)  # type: ignore[arg-type]


def test_farthest_points_spread(toy: ToyBone) -> None:
    chosen = farthest_points(toy.vertices, 50)
    assert len(set(chosen)) == 50
    cover = np.linalg.norm(toy.vertices[:, None] - toy.vertices[chosen][None], axis=2).min(axis=1)
    assert cover.max() < 12.0


def test_vertex_fit_finds_shape_and_pose(toy: ToyBone, rng: np.random.Generator) -> None:
    shapes = align_rigid(toy_family(toy, rng, count=8))
    mean, modes = principal_modes(shapes)
    truth = rng.normal(size=len(modes))
    target = mean + np.tensordot(truth, modes, axes=1)
    posed = apply_rigid(_random_rigid(rng, 60.0), target)
    fit = fit_vertices(
        mean,
        modes,
        posed,
        normals=vertex_normals(mean, toy.faces),
        normal_noise_mm=0.01,
        slide_noise_mm=0.1,
        iterations=10,
    )
    assert np.abs(fit.target - fit.fitted).max() < 0.05
    np.testing.assert_allclose(fit.b, truth, atol=0.05)


def test_inadequacy_is_what_the_others_cannot_say(toy: ToyBone, rng: np.random.Generator) -> None:
    shapes = align_rigid(toy_family(toy, rng, count=9, num_modes=3))
    none = np.zeros((0, *toy.vertices.shape))
    spanned = leave_one_out_residuals(shapes, toy.faces, none)
    assert np.sqrt(np.mean(spanned**2)) < 0.2, "three modes are spanned by eight others"
    bump = np.exp(-np.sum((toy.vertices - toy.vertices[0]) ** 2, axis=1) / 50.0)
    shapes[4] += 3.0 * bump[:, None] * vertex_normals(toy.vertices, toy.faces)
    told = leave_one_out_residuals(shapes, toy.faces, none)
    assert told[4, 0] > 1.5
    kernel = kernel_modes(shapes.mean(axis=0), toy.faces, KernelOptions(length_mm=8.0))
    eased = leave_one_out_residuals(shapes, toy.faces, kernel)
    assert abs(eased[4, 0]) < 0.5 * told[4, 0]


def test_build_model(toy: ToyBone, rng: np.random.Generator) -> None:
    shapes = toy_family(toy, rng, count=7) + [300.0, -40.0, 900.0]
    steps: list[tuple[int, int]] = []
    model = build_model(
        shapes,
        toy.faces,
        "patella",
        num_pca=4,
        kernel=KernelOptions(num_modes=12),
        leave_out=[2],
        origin="test",
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(i + 1, 6) for i in range(6)]
    assert (model.num_pca, model.num_modes) == (4, 16)
    np.testing.assert_allclose(model.mean.mean(axis=0), 0.0, atol=1e-4)
    assert model.origin == "test"
    again = build_model(
        np.delete(shapes, 2, axis=0),
        toy.faces,
        "patella",
        num_pca=4,
        kernel=KernelOptions(num_modes=12),
        origin="test",
    )
    np.testing.assert_allclose(again.modes, model.modes, atol=1e-5)


def test_features_of_the_model_follow_its_instances(toy: ToyBone, rng: np.random.Generator) -> None:
    from osteoform.modeling.features import define_features

    model = build_model(toy_family(toy, rng, count=7), toy.faces, "patella")
    definition = define_features("patella", model.mean, model.faces)
    b = rng.normal(size=model.num_modes)
    shape = model.instance(b)
    points = model.point_mean + np.tensordot(b, model.point_modes, axes=1)
    np.testing.assert_allclose(points, definition.points(shape), atol=1e-3)
    center, matrix = definition.ellipsoids(shape)
    predicted = model.ellipsoid_mean + np.tensordot(b, model.ellipsoid_modes, axes=1)
    np.testing.assert_allclose(predicted, center, atol=0.2)
    growth = np.linalg.slogdet(matrix)[1] - np.linalg.slogdet(model.ellipsoid_shape)[1]
    np.testing.assert_allclose(b @ model.ellipsoid_scale_modes, growth / 6.0, atol=0.02)


def test_one_bone_makes_a_model_with_kernel_modes_only(toy: ToyBone) -> None:
    with pytest.raises(InputError, match="inadequacy_mm must be given"):
        build_model(toy.vertices[None], toy.faces, "patella")
    model = build_model(toy.vertices[None], toy.faces, "patella", inadequacy_mm=1.0)
    assert model.num_pca == 0
    assert model.num_modes == 60
    assert (model.inadequacy_mm == 1.0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"leave_out": [7]}, "leave_out must hold indices"),
        ({"leave_out": range(7)}, "leaves no bone"),
        ({"num_pca": 7}, "num_pca must be in"),
        ({"leave_out": range(5)}, "inadequacy_mm must be given"),
    ],
)
def test_wrong_settings(toy: ToyBone, settings: dict[str, object], message: str) -> None:
    shapes = toy_family(toy, np.random.default_rng(1), count=7)
    with pytest.raises(InputError, match=message):
        build_model(shapes, toy.faces, "patella", **settings)  # type: ignore[arg-type]


def test_wrong_arrays(toy: ToyBone) -> None:
    with pytest.raises(InputError, match=r"shape \(S, N, 3\)"):
        build_model(toy.vertices, toy.faces, "patella")
    broken = np.stack([toy.vertices] * 4)
    broken[2, 5, 0] = np.nan
    with pytest.raises(InputError, match="finite"):
        build_model(broken, toy.faces, "patella")


def test_read_correspondence(toy: ToyBone, tmp_path: Path) -> None:
    shapes = np.stack([toy.vertices, toy.vertices + 1.0]).astype(np.float32)
    left = shapes * np.float32([-1, 1, 1])
    np.savez(tmp_path / "some_left_patella.npz", vertices=left, faces=toy.faces[:, ::-1])
    vertices, faces = read_correspondence(tmp_path / "some_left_patella.npz")
    np.testing.assert_array_equal(vertices, shapes)
    np.testing.assert_array_equal(faces, toy.faces)
    np.savez(tmp_path / "said.npz", vertices=shapes, faces=toy.faces, side=np.array("right"))
    np.testing.assert_array_equal(read_correspondence(tmp_path / "said.npz")[0], shapes)


def test_read_correspondence_refuses(toy: ToyBone, tmp_path: Path) -> None:
    shapes = np.stack([toy.vertices] * 2)
    file = tmp_path / "bones.npz"
    with pytest.raises(InputError, match="no such file"):
        read_correspondence(file)
    np.savez(file, vertices=shapes, faces=toy.faces)
    with pytest.raises(InputError, match="side is not said"):
        read_correspondence(file)
    np.savez(file, vertices=shapes, faces=toy.faces[:, ::-1])
    with pytest.raises(InputError, match="wound inward"):
        read_correspondence(file, side="right")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot be read"):
        read_correspondence(file, side="right")
    np.savez(file, vertices=shapes)
    with pytest.raises(InputError, match="needs an array 'faces'"):
        read_correspondence(file, side="right")
    np.savez(file, vertices=np.array([{}], dtype=object), faces=toy.faces)
    with pytest.raises(InputError, match="pickle"):
        read_correspondence(file, side="right")
    shapes[1, 3] = np.inf
    np.savez(file, vertices=shapes, faces=toy.faces)
    with pytest.raises(InputError, match=r"bones\.npz: vertices must be finite"):
        read_correspondence(file, side="right")


@pytest.mark.parametrize(("bone", "pca_mm", "kernel_mm"), [("femur", 0.7, 0.5)])
def test_real_bones_left_out(bone: str, pca_mm: float, kernel_mm: float, shared_data: Path) -> None:
    path = shared_data / "bones" / "llp26" / f"llp26_left_{bone}.npz"
    vertices, faces = read_correspondence(path)
    shapes = align_rigid(vertices)
    none = np.zeros((0, *shapes.shape[1:]))
    local = kernel_modes(shapes.mean(axis=0), faces, KernelOptions())
    learned = np.abs(leave_one_out_residuals(shapes, faces, none)).mean()
    both = np.abs(leave_one_out_residuals(shapes, faces, local)).mean()
    assert both < kernel_mm
    assert both < learned < pca_mm
