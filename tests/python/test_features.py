"""Feature points and ellipsoids on toy bones of known dimensions, and on real bones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from osteoform import InputError
from osteoform.modeling.correspondence import read_correspondence
from osteoform.modeling.features import FEATURES, define_features
from osteoform.modeling.procrustes import align_rigid
from osteoform.modeling.sections import level_section, plane_sections
from osteoform.modeling.spheres import fit_sphere
from osteoform.modeling.surface import Surface, signed_volume, vertex_areas, vertex_normals
from reference.toy_bones import TOY_BONES, ToyBone, toy_family, toy_femur, toy_patella

BONES = tuple(FEATURES)


@pytest.fixture(scope="module")
def toys() -> dict[str, ToyBone]:
    return {bone: make() for bone, make in TOY_BONES.items()}


def test_contract_of_names() -> None:
    assert tuple(len(FEATURES[b].points) for b in BONES) == (19, 15, 7, 6)
    assert tuple(len(FEATURES[b].ellipsoids) for b in BONES) == (3, 2, 0, 1)
    for features in FEATURES.values():
        assert len(set(features.points)) == len(features.points)
        for _, start, end in features.axis_indices():
            assert start != end


@pytest.mark.parametrize("bone", BONES)
def test_points_lie_where_the_bone_was_built(bone: str, toys: dict[str, ToyBone]) -> None:
    toy = toys[bone]
    definition = define_features(bone, toy.vertices, toy.faces)
    found = dict(zip(definition.names.points, definition.points(toy.vertices), strict=True))
    # A tubercle is a long ridge: where along it is a matter of millimetres.
    loose = {"tibial_tubercle": 9.0, "plafond_center": 4.0, "lesser_trochanter_tip": 3.0}
    for name, truth in toy.truth.items():
        assert np.linalg.norm(found[name] - truth) < loose.get(name, 1.5), name


@pytest.mark.parametrize("bone", BONES)
def test_weights_sum_to_one_and_follow_rigid_motion(
    bone: str, toys: dict[str, ToyBone], rng: np.random.Generator
) -> None:
    toy = toys[bone]
    definition = define_features(bone, toy.vertices, toy.faces)
    np.testing.assert_allclose(definition.point_weights.sum(axis=1), 1.0, atol=1e-9)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    shift = rng.normal(size=3) * 100.0
    moved = toy.vertices @ rotation.T + shift
    np.testing.assert_allclose(
        definition.points(moved), definition.points(toy.vertices) @ rotation.T + shift, atol=1e-6
    )
    center, shape = definition.ellipsoids(toy.vertices)
    center_moved, shape_moved = definition.ellipsoids(moved)
    np.testing.assert_allclose(center_moved, center @ rotation.T + shift, atol=1e-5)
    np.testing.assert_allclose(shape_moved, rotation @ shape @ rotation.T, atol=1e-3)


@pytest.mark.parametrize("bone", BONES)
def test_a_few_degrees_of_pose_move_no_point_far(bone: str, toys: dict[str, ToyBone]) -> None:
    toy = toys[bone]
    here = define_features(bone, toy.vertices, toy.faces).points(toy.vertices)
    c, s = np.cos(np.radians(2.0)), np.sin(np.radians(2.0))
    tilt = np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    turned = toy.vertices @ tilt.T
    there = define_features(bone, turned, toy.faces).points(turned) @ tilt
    distance = np.linalg.norm(here - there, axis=1)
    assert np.median(distance) < 2.0
    assert distance.max() < 12.0


def test_topology_does_not_matter() -> None:
    fine, coarse = toy_femur(2.0), toy_femur(3.5)
    a = define_features("femur", fine.vertices, fine.faces).points(fine.vertices)
    b = define_features("femur", coarse.vertices, coarse.faces).points(coarse.vertices)
    distance = dict(zip(FEATURES["femur"].points, np.linalg.norm(a - b, axis=1), strict=True))
    assert max(distance.values()) < 4.0, distance


def test_spheres_of_the_toy_femur(toys: dict[str, ToyBone]) -> None:
    toy = toys["femur"]
    definition = define_features("femur", toy.vertices, toy.faces)
    centers, shapes = definition.ellipsoids(toy.vertices)
    np.testing.assert_allclose(centers[0], toy.truth["femoral_head_center"], atol=0.3)
    radii = np.sqrt(shapes[:, 0, 0])
    np.testing.assert_allclose(radii, [23.0, 22.0, 21.0], atol=0.3)


@pytest.mark.parametrize("bone", BONES)
def test_wrong_meshes_are_refused(bone: str, toys: dict[str, ToyBone]) -> None:
    toy = toys[bone]
    with pytest.raises(InputError, match=r"shape \(N, 3\)"):
        define_features(bone, toy.vertices[:, :2], toy.faces)
    broken = toy.vertices.copy()
    broken[3, 1] = np.nan
    with pytest.raises(InputError, match="finite"):
        define_features(bone, broken, toy.faces)
    with pytest.raises(InputError, match="integers"):
        define_features(bone, toy.vertices, toy.faces.astype(float))
    with pytest.raises(InputError, match="faces must name vertices"):
        define_features(bone, toy.vertices, toy.faces + len(toy.vertices))
    with pytest.raises(InputError, match="shape"):
        define_features(bone, toy.vertices, toy.faces).points(toy.vertices[:-1])


def test_unknown_bone_is_named() -> None:
    toy = toy_patella()
    with pytest.raises(InputError, match="'humerus'"):
        define_features("humerus", toy.vertices, toy.faces)


def test_a_ball_is_no_femur() -> None:
    toy = toy_patella()
    with pytest.raises(InputError, match="right-sided"):
        define_features("femur", toy.vertices, toy.faces)


def test_fit_sphere_on_a_cap(rng: np.random.Generator) -> None:
    direction = rng.normal(size=(4000, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    cap = direction[direction[:, 2] > np.cos(np.radians(50.0))]
    center = np.array([5.0, -3.0, 40.0])
    found, radius = fit_sphere(center + 22.0 * cap, np.ones(len(cap)))
    np.testing.assert_allclose(found, center, atol=1e-6)
    assert radius == pytest.approx(22.0, abs=1e-6)
    noisy = center + 22.0 * cap + rng.normal(scale=0.2, size=cap.shape)
    found, _ = fit_sphere(noisy, np.ones(len(cap)))
    assert np.linalg.norm(found - center) < 1.0
    with pytest.raises(InputError, match="4 points"):
        fit_sphere(cap[:3], np.ones(3))


def test_sections_of_an_ellipsoid() -> None:
    toy = toy_patella(1.0)
    surface = Surface.of(toy.vertices, toy.faces)
    section = level_section(surface, 0.5)
    assert section.area_mm2 == pytest.approx(np.pi * 21.0 * 11.0, rel=0.02)
    np.testing.assert_allclose(surface.at(section.weights), [0.0, 0.0, 0.0], atol=0.05)
    assert len(plane_sections(surface, np.zeros(3), (1.0, 1.0, 0.0))) == 1
    with pytest.raises(InputError, match="does not meet"):
        plane_sections(surface, np.array([0.0, 0.0, 99.0]), (0.0, 0.0, 1.0))


def test_section_through_two_condyles_has_two_loops(toys: dict[str, ToyBone]) -> None:
    surface = Surface.of(toys["femur"].vertices, toys["femur"].faces)
    loops = plane_sections(surface, np.array([0.0, 25.0, 20.0]), (0.0, 1.0, 0.0))
    assert len(loops) == 2


def test_surface_measures() -> None:
    toy = toy_patella(1.0)
    normals = vertex_normals(toy.vertices, toy.faces)
    outward = toy.vertices / np.array([21.0, 11.0, 22.0]) ** 2
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    assert np.einsum("ij,ij->i", normals, outward).min() > 0.9
    volume = 4.0 / 3.0 * np.pi * 21.0 * 11.0 * 22.0
    assert signed_volume(toy.vertices, toy.faces) == pytest.approx(volume, rel=0.02)
    assert signed_volume(toy.vertices, toy.faces[:, ::-1]) == pytest.approx(-volume, rel=0.02)
    # Knud Thomsen's formula for the area of an ellipsoid is within 1.1 %.
    p, (a, b, c) = 1.6075, (21.0, 11.0, 22.0)
    area = 4.0 * np.pi * (((a * b) ** p + (a * c) ** p + (b * c) ** p) / 3.0) ** (1.0 / p)
    assert vertex_areas(toy.vertices, toy.faces).sum() == pytest.approx(area, rel=0.02)


@pytest.mark.parametrize("bone", BONES)
def test_definition_on_the_mean_holds_for_the_family(
    bone: str, toys: dict[str, ToyBone], rng: np.random.Generator
) -> None:
    toy = toys[bone]
    definition = define_features(bone, toy.vertices, toy.faces)
    for shape in toy_family(toy, rng, count=4, sd_mm=1.0):
        own = define_features(bone, shape, toy.faces).points(shape)
        distance = np.linalg.norm(own - definition.points(shape), axis=1)
        assert np.median(distance) < 2.5


@pytest.mark.parametrize("bone", BONES)
def test_real_bones(bone: str, shared_data: Path) -> None:
    path = shared_data / "bones" / "llp26" / f"llp26_left_{bone}.npz"
    vertices, faces = read_correspondence(path)
    shapes = align_rigid(vertices)
    definition = define_features(bone, shapes.mean(axis=0), faces)
    medians = []
    for shape in shapes:
        own = define_features(bone, shape, faces).points(shape)
        medians.append(np.median(np.linalg.norm(own - definition.points(shape), axis=1)))
    assert np.median(medians) < 4.0
    if bone == "femur":
        centers, shape_matrices = definition.ellipsoids(shapes.mean(axis=0))
        assert 20.0 < np.sqrt(shape_matrices[0, 0, 0]) < 27.0
        points = definition.points(shapes.mean(axis=0))
        np.testing.assert_allclose(points[0], centers[0], atol=0.1)
        assert points[0, 0] > points[1, 0], "the head is medial of the greater trochanter"
