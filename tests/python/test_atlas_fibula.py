"""The parametric fibula: rod, warp, measure, and the shipped model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from osteoform import InputError, ShapeModel, load_model
from osteoform.atlas._fibula_family import FibulaFamily
from osteoform.atlas._profile import Rod
from osteoform.atlas._surface import is_closed_manifold
from osteoform.atlas.build import build_template, draw_shapes
from osteoform.atlas.measure import MEASURERS, measure_fibula
from osteoform.modeling.features import define_features
from osteoform.modeling.procrustes import align_rigid
from osteoform.modeling.surface import face_normals, signed_volume, triangle_quality, vertex_normals
from reference.surface_fit import fit_surface, surface_distance

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
HELD_OUT = (2, 5, 9, 13, 17, 20, 23)  # osteoform/data/split.toml


@pytest.fixture(scope="module")
def family() -> FibulaFamily:
    return FibulaFamily()


@pytest.fixture(scope="module")
def shipped() -> ShapeModel:
    return load_model("fibula")


@pytest.fixture(scope="module")
def template(family: FibulaFamily, shipped: ShapeModel) -> tuple[F64, I32]:
    """The mean fibula of the shipped model, back in the table's frame."""
    mean = shipped.mean.astype(np.float64)
    center = np.zeros(3)
    for _ in range(20):  # Newton: the shift that puts the vertices on the table's surface
        gradient, value = family.slope(mean + center)
        center = center - np.linalg.lstsq(gradient, value, rcond=None)[0]
        if not center.any() or np.abs(value).max() < 1e-4:
            break
    return mean + center, shipped.faces


# -- the rod -------------------------------------------------------------------------------------


def _capsule(radius: float) -> Rod:
    elevation = np.radians([30.0, 60.0])
    return Rod(
        height=np.array([10.0, 40.0, 70.0, 100.0]),
        center=np.zeros((4, 2)),
        half_width=np.full((4, 8), radius),
        elevation=elevation,
        lower=np.full((2, 8), radius),
        upper=np.full((2, 8), radius),
        poles=(radius, radius),
        turn_mm=radius,
    )


def test_a_rod_of_one_radius_is_a_capsule(rng: np.random.Generator) -> None:
    points = rng.uniform([-9, -9, -5], [9, 9, 115], (500, 3))
    nearest = np.clip(points[:, 2], 10.0, 100.0)
    distance = np.hypot(np.linalg.norm(points[:, :2], axis=1), points[:, 2] - nearest) - 6.0
    outside = distance > 0.0
    value = _capsule(6.0).field(points)
    np.testing.assert_allclose(value[outside], distance[outside], atol=1e-9)
    assert np.all(value[~outside] <= 0.0)


def test_the_mean_surface_has_no_crease(family: FibulaFamily, template: tuple[F64, I32]) -> None:
    """The field's gradient turns with the mesh's normals, over poles and the rims of caps too."""
    vertices, faces = template
    gradient, _ = family.slope(vertices)
    gradient /= np.linalg.norm(gradient, axis=1, keepdims=True)
    assert np.einsum("ij,ij->i", gradient, vertex_normals(vertices, faces)).min() > 0.9


# -- mesh and measures ---------------------------------------------------------------------------


def test_a_coarse_template_is_closed_even_and_outward(family: FibulaFamily) -> None:
    vertices, faces = build_template(family, voxel_mm=2.5, edge_mm=4.5, rounds=2)
    assert is_closed_manifold(faces)
    assert signed_volume(vertices, faces) > 4e4
    assert triangle_quality(vertices, faces).min() > 0.3
    assert np.abs(family.field(vertices)).max() < 0.05


def test_the_mean_fibula_measures_what_its_table_says(
    family: FibulaFamily, template: tuple[F64, I32]
) -> None:
    found = measure_fibula(*template)
    assert set(found) == set(family.table.means)
    for parameter in family.table.parameters:
        tolerance = 0.5 if parameter.unit == "deg" else 0.3
        assert found[parameter.name] == pytest.approx(parameter.mean, abs=tolerance)
    assert MEASURERS["fibula"] is measure_fibula


def test_measures_do_not_depend_on_how_the_bone_lies(template: tuple[F64, I32]) -> None:
    vertices, faces = template
    a, b = np.radians([25.0, 8.0])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1.0]])
    about_x = np.array([[1.0, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    before = measure_fibula(vertices, faces)
    after = measure_fibula(vertices @ (about_x @ about_z).T + [5.0, -60.0, 700.0], faces)
    for name, value in before.items():
        assert after[name] == pytest.approx(value, abs=0.05), name


def test_parameters_move_what_they_name(family: FibulaFamily, template: tuple[F64, I32]) -> None:
    carry = family.bind(*template)
    means = family.table.means
    before = measure_fibula(*template)
    for k, parameter in enumerate(family.table.parameters):
        change = parameter.sd * (-1.0) ** k
        changed = carry(means | {parameter.name: parameter.mean + change})
        after = measure_fibula(changed, template[1])
        tolerance = 0.25 * parameter.sd
        moved = after[parameter.name] - before[parameter.name]
        assert moved == pytest.approx(change, abs=tolerance), parameter.name


def test_an_open_or_empty_mesh_is_refused() -> None:
    with pytest.raises(InputError, match="vertices"):
        measure_fibula(np.zeros((3, 2)), np.zeros((1, 3), np.int32))


# -- the warp ------------------------------------------------------------------------------------


def _check_shape(shape: F64, template: tuple[F64, I32], what: str) -> None:
    vertices, faces = template
    before, after = face_normals(vertices, faces), face_normals(shape, faces)
    assert np.isfinite(shape).all(), what
    assert triangle_quality(shape, faces).min() > 0.1, what
    assert np.einsum("ij,ij->i", before, after).min() > 0.0, what


def test_the_mean_carries_onto_itself(family: FibulaFamily, template: tuple[F64, I32]) -> None:
    np.testing.assert_allclose(family.bind(*template)(family.table.means), template[0], atol=1e-9)


def test_no_parameter_folds_the_surface(family: FibulaFamily, template: tuple[F64, I32]) -> None:
    carry = family.bind(*template)
    count = len(family.table.parameters)
    for sign in (-3.0, 3.0):
        _check_shape(carry(family.table.at(sign, np.zeros(count))), template, f"size {sign:+.0f}")
        for parameter in family.table.parameters:
            values = family.table.means
            values[parameter.name] += sign * parameter.sd
            _check_shape(carry(values), template, f"{parameter.name} {sign:+.0f} sd")


def test_bones_at_the_corners_of_the_table_do_not_fold(
    family: FibulaFamily, template: tuple[F64, I32], rng: np.random.Generator
) -> None:
    """Every parameter at plus or minus three deviations at once; each has its features."""
    carry = family.bind(*template)
    for trial in range(40):
        signs = rng.choice([-3.0, 3.0], 1 + len(family.table.parameters))
        shape = carry(family.table.at(signs[0], signs[1:]))
        _check_shape(shape, template, f"corner {trial}")
        assert signed_volume(shape, template[1]) > 0.0
        if trial < 5:
            points = define_features("fibula", shape, template[1]).points(shape)
            assert points[0, 2] > points[1:-1, 2].max() > points[-1, 2]


def test_the_warp_has_an_inverse(
    family: FibulaFamily, template: tuple[F64, I32], rng: np.random.Generator
) -> None:
    """Its Jacobian keeps its sign and heights keep their order: surfaces cannot meet."""
    step = 1e-4
    inside = template[0] - 2.0 * vertex_normals(*template)
    points = np.concatenate([template[0], inside])
    for _ in range(5):
        signs = rng.choice([-3.0, 3.0], 1 + len(family.table.parameters))
        warp = family.at(family.table.at(signs[0], signs[1:]))
        moved = [(warp.carry(points + step * e) - warp.carry(points)) / step for e in np.eye(3)]
        assert np.linalg.det(np.stack(moved, axis=2)).min() > 0.01, "turned inside out"
        column = np.column_stack([np.zeros((2000, 2)), np.linspace(0.0, 352.0, 2000)])
        assert np.diff(warp.carry(column)[:, 2]).min() > 0.0


def test_drawn_bones_are_the_same_on_every_run(
    family: FibulaFamily, template: tuple[F64, I32]
) -> None:
    carry = family.bind(*template)
    np.testing.assert_array_equal(
        draw_shapes(family.table, carry, 6), draw_shapes(family.table, carry, 6)
    )


def test_regions_cover_the_bone(family: FibulaFamily, template: tuple[F64, I32]) -> None:
    shares = family.regions(template[0])
    assert set(shares) == set(family.table.inadequacy_mm)
    np.testing.assert_allclose(sum(shares.values()), 1.0, atol=1e-9)
    for name, share in shares.items():
        assert share.min() > -1e-9, name
        assert share.max() > 0.9, name


# -- the shipped model ---------------------------------------------------------------------------


def test_shipped_fibula_is_sound(shipped: ShapeModel, rng: np.random.Generator) -> None:
    mean = shipped.mean.astype(np.float64)
    assert is_closed_manifold(shipped.faces)
    assert signed_volume(mean, shipped.faces) > 4e4
    assert 1800 < shipped.num_vertices < 3200
    assert triangle_quality(mean, shipped.faces).min() > 0.3
    before = face_normals(mean, shipped.faces)
    for trial in range(60):
        b = np.clip(rng.standard_normal(shipped.num_modes), -3.0, 3.0)
        shape = shipped.instance(b).astype(np.float64)
        after = face_normals(shape, shipped.faces)
        assert triangle_quality(shape, shipped.faces).min() > 0.1, trial
        assert np.einsum("ij,ij->i", before, after).min() > 0.0, trial


def _collection(shared_data: Path) -> tuple[F64, I32]:
    """Right fibulae (26, N, 3) [mm] and their faces."""
    with np.load(shared_data / "bones" / "llp26" / "llp26_left_fibula.npz") as raw:
        vertices, faces = raw["vertices"].astype(np.float64), raw["faces"]
    return vertices * np.array([-1.0, 1.0, 1.0]), faces[:, ::-1].astype(np.int32)


def test_the_mean_lies_on_the_mean_of_real_bones(
    family: FibulaFamily, template: tuple[F64, I32], shared_data: Path
) -> None:
    people, _ = _collection(shared_data)
    mean = align_rigid(np.delete(people, HELD_OUT, axis=0)).mean(axis=0)
    mean = mean - mean.mean(axis=0) + template[0].mean(axis=0)
    for _ in range(12):  # Gauss-Newton onto the table's surface
        gradient, value = family.slope(mean)
        middle = mean.mean(axis=0)
        rows = np.hstack([np.cross(mean - middle, gradient), gradient])
        turn, shift = np.split(np.linalg.lstsq(rows, -value, rcond=None)[0], 2)
        mean = (mean - middle) @ Rotation.from_rotvec(turn).as_matrix().T + middle + shift
    gradient, value = family.slope(mean)
    gap = np.abs(value) / np.linalg.norm(gradient, axis=1)
    assert gap.mean() < 0.2
    for name, share in family.regions(mean).items():
        assert share @ gap / share.sum() < 0.3, name


def test_shipped_fibula_fits_people_it_has_not_seen(shipped: ShapeModel, shared_data: Path) -> None:
    people, _ = _collection(shared_data)
    for person in (2, 20):
        fit = fit_surface(shipped, people[person])
        distance = surface_distance(fit.target, fit.vertices, shipped.faces)
        assert distance.mean() < 0.7, person
