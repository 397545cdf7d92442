"""Evaluation: placing an unknown mesh, simulated truth, and what is reported of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import osteoform
from osteoform import Detection, FitStatus, InputError, Mesh, ShapeModel, XrayView, demo
from osteoform._distance import DistanceSummary
from osteoform._placement import place_collection, place_model, umeyama
from osteoform._trial import (
    mirrored,
    random_pose,
    simulate_trial,
    simulated_features,
    transformed,
)
from osteoform.demo import draw_bone
from osteoform.evaluate import CaseResult, Outcome, Protocol, Subject, evaluate, report
from osteoform.modeling.correspondence import read_correspondence
from osteoform.modeling.features import standing_features


@pytest.fixture(scope="module")
def model() -> ShapeModel:
    return osteoform.load_model(bone="femur")


def _rotation_deg(a: np.ndarray, b: np.ndarray) -> float:
    cosine = (np.trace(a[:3, :3].T @ b[:3, :3]) - 1.0) / 2.0
    return float(np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _any_pose(rng: np.random.Generator) -> np.ndarray:
    q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    pose = np.eye(4)
    pose[:3, :3] = q * np.sign(np.linalg.det(q))
    pose[:3, 3] = rng.normal(0.0, 300.0, 3)
    return pose


def _shuffled(mesh: Mesh, rng: np.random.Generator) -> Mesh:
    """The same surface, numbered otherwise: no correspondence to lean on."""
    order = rng.permutation(len(mesh.vertices))
    faces = np.argsort(order)[mesh.faces].astype(np.int32)
    return Mesh(vertices=mesh.vertices[order], faces=faces[rng.permutation(len(faces))])


def test_a_bone_that_its_model_expresses_is_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first patella of seed 18 lies 0.09 mm outside its model."""
    patella = osteoform.load_model(bone="patella")
    bone, outside_mm = draw_bone(patella, np.random.default_rng(18))
    rest = bone.vertices - patella.instance(
        patella.coefficients(bone.vertices.astype(np.float64), noise_mm=0.0)
    )
    assert outside_mm >= 0.1
    assert np.linalg.norm(rest, axis=1).mean() > 0.1
    monkeypatch.setattr(demo, "_smooth_field", lambda inside, rng: 0.0 * inside)
    with pytest.raises(InputError, match="patella at least 0.1 mm outside"):
        draw_bone(patella, np.random.default_rng(18))


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_bone_is_found_in_axes_unknown(
    model: ShapeModel, rng: np.random.Generator, side: str
) -> None:
    right = Mesh(vertices=draw_bone(model, rng)[0].vertices * 1.08, faces=model.faces)
    bone = right if side == "right" else mirrored(right)
    mesh_from_bone = _any_pose(rng)
    placed = place_model(model, _shuffled(transformed(bone, mesh_from_bone), rng), side=side)
    assert _rotation_deg(placed.mesh_from_bone, mesh_from_bone) < 4.0
    shift = placed.mesh_from_bone[:3, 3] - mesh_from_bone[:3, 3]
    assert np.linalg.norm(shift) < 15.0
    assert placed.rms_mm < 3.0


def test_a_mesh_in_correspondence_is_placed_by_it(
    model: ShapeModel, rng: np.random.Generator
) -> None:
    mesh_from_bone = _any_pose(rng)
    mesh = transformed(Mesh(vertices=model.mean, faces=model.faces), mesh_from_bone)
    placed = place_model(model, mesh, side="right")
    np.testing.assert_allclose(placed.mesh_from_bone, mesh_from_bone, atol=1e-3)
    back = placed.to_bone(mesh)
    np.testing.assert_allclose(back.vertices, model.mean, atol=1e-3)


def test_a_rotation_that_is_known_is_kept(model: ShapeModel, rng: np.random.Generator) -> None:
    """Even the wrong way round, where the shape would say otherwise."""
    bone = _shuffled(draw_bone(model, rng)[0], rng)
    upside_down = np.diag([1.0, -1.0, -1.0])
    placed = place_model(model, bone, side="right", rotation=upside_down)
    wanted = np.eye(4)
    wanted[:3, :3] = upside_down
    assert _rotation_deg(placed.mesh_from_bone, wanted) < 45.0
    assert _rotation_deg(place_model(model, bone, side="right").mesh_from_bone, np.eye(4)) < 4.0


@pytest.mark.parametrize("side", ["left", "right"])
def test_patellae_of_a_collection_lie_as_their_mean_does(
    shared_data: Path, rng: np.random.Generator, side: str
) -> None:
    """In the files all bones lie alike; by its own shape one in four would be upside down."""
    vertices, faces = read_correspondence(shared_data / "bones/llp26/llp26_left_patella.npz")
    turns = [_any_pose(rng)[:3, :3] for _ in vertices]
    turned = np.stack([v @ turn.T for v, turn in zip(vertices, turns, strict=True)])
    mirror = np.diag([-1.0 if side == "left" else 1.0, 1.0, 1.0])
    found = place_collection(osteoform.load_model(bone="patella"), turned, faces, side=side)
    for rotation, turn in zip(found, turns, strict=True):
        pose = np.eye(4)
        pose[:3, :3] = mirror @ turn @ mirror
        lies = np.eye(4)
        lies[:3, :3] = rotation
        assert _rotation_deg(lies, pose) < 25.0


def test_a_similarity_is_recovered_from_points(rng: np.random.Generator) -> None:
    points, pose = rng.standard_normal((20, 3)), _any_pose(rng)
    found = umeyama(points, 1.3 * points @ pose[:3, :3].T + pose[:3, 3])
    assert found.scale == pytest.approx(1.3)
    np.testing.assert_allclose(found.rigid(), pose, atol=1e-9)
    np.testing.assert_allclose(found.apply_inverse(found.apply(points)), points, atol=1e-9)


@pytest.mark.parametrize("geometry", ["cone", "slot"])
def test_a_trial_shows_the_whole_bone(
    model: ShapeModel, rng: np.random.Generator, geometry: str
) -> None:
    bone = Mesh(vertices=model.mean * 1.25, faces=model.faces)  # a very tall person
    trial = simulate_trial(bone, rng, geometry=geometry)
    np.testing.assert_allclose(
        trial.truth.vertices, transformed(bone, trial.world_from_bone).vertices
    )
    for view in trial.views:
        height, width = view.pixels.shape
        outline = view.geometry.project(trial.truth.vertices.astype(float))
        assert outline.min() > 20.0
        assert (outline.max(axis=0) < [width - 20, height - 20]).all()
        inside, corner = outline.mean(axis=0).round().astype(int), view.pixels[:8, :8]
        assert view.pixels[inside[1], inside[0]] < corner.mean()


def test_poses_scatter_as_stated() -> None:
    rng = np.random.default_rng(5)
    poses = np.array([random_pose(rng) for _ in range(2000)])
    np.testing.assert_allclose(poses[:, :3, 3].std(axis=0), 8.0, rtol=0.1)
    angles = [_rotation_deg(pose, np.eye(4)) for pose in poses]
    # The root mean square length of a vector with a deviation of 6 degrees on each of 3 axes.
    assert np.sqrt(np.mean(np.square(angles))) == pytest.approx(6.0 * np.sqrt(3.0), rel=0.05)
    product = poses[:, :3, :3] @ poses[:, :3, :3].transpose(0, 2, 1)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=1e-9)


@pytest.mark.parametrize("side", ["left", "right"])
def test_simulated_features_are_the_projected_truth(
    model: ShapeModel, rng: np.random.Generator, side: str
) -> None:
    right = Mesh(vertices=model.mean, faces=model.faces)
    definition = standing_features("femur", model.mean, model.faces)
    trial = simulate_trial(right if side == "right" else mirrored(right), rng)
    exact = simulated_features(definition, right, trial, rng, side=side, noise_px=0.0)
    head = trial.truth.vertices[np.argsort(-trial.truth.vertices @ trial.world_from_bone[:3, 2])]
    for view, seen in zip(trial.views, exact, strict=True):
        assert len(seen.points_px) == len(model.point_names)
        np.testing.assert_array_equal(seen.class_probability, np.eye(len(model.point_names)))
        # The head's sphere is centred on the head's feature point, and its top is the bone's.
        np.testing.assert_allclose(seen.ellipse_center_px[0], seen.points_px[0], atol=3.0)
        radius = np.sqrt(np.linalg.eigvalsh(seen.ellipse_shape_px2[0]))
        assert radius == pytest.approx(radius.mean(), rel=0.05)
        top = view.geometry.project(head[:1].astype(float))[0]
        gap = abs(np.linalg.norm(top - seen.ellipse_center_px[0]) - radius.mean())
        assert gap < 0.25 * radius.mean()
    noisy = simulated_features(definition, right, trial, rng, side=side, noise_px=3.0)
    errors = np.concatenate([n.points_px - e.points_px for n, e in zip(noisy, exact, strict=True)])
    assert errors.std() == pytest.approx(3.0, rel=0.4)


def _subject(model: ShapeModel, seed: int) -> Subject:
    bone, _ = draw_bone(model, np.random.default_rng(seed))
    return Subject(name=f"drawn-{seed}", mesh=bone, model=model)


def test_two_views_of_an_unseen_bone_give_it_back(model: ShapeModel) -> None:
    protocol = Protocol(side="right", features="simulated", seed=3)
    first, again = (next(evaluate([_subject(model, 1)], protocol)) for _ in range(2))
    result = first.result
    assert result.error is not None
    assert result.error.mean_mm < 1.0
    assert result.aligned_error is None
    assert not result.failed
    assert result.error == again.result.error, "the same seed must give the same case"
    other = next(evaluate([_subject(model, 1)], replace(protocol, seed=4)))
    assert other.result.error != result.error


def test_one_view_is_also_reported_rigidly_aligned(model: ShapeModel) -> None:
    protocol = Protocol(side="right", features="simulated", view_names=("lateral",))
    result = next(evaluate([_subject(model, 2)], protocol)).result
    assert result.error is not None
    assert result.aligned_error is not None
    assert result.aligned_error.mean_mm <= result.error.mean_mm
    case = report([result])["cases"][0]
    assert case["rigidly_aligned_mean_mm"] == result.aligned_error.mean_mm


class _Blind:
    def __call__(
        self, view: XrayView, *, side: str, bones: Sequence[str]
    ) -> Sequence[Mapping[str, Detection]]:
        return [{bone: Detection.empty(bone, 19) for bone in bones}]


class _Broken:
    def __call__(
        self, view: XrayView, *, side: str, bones: Sequence[str]
    ) -> Sequence[Mapping[str, Detection]]:
        raise osteoform.DetectionError("no network")


def _outcome(model: ShapeModel, detector: osteoform.Detector) -> Outcome:
    return next(evaluate([_subject(model, 0)], Protocol(side="right"), detector=detector))


def test_what_is_not_found_or_raises_is_a_failure(model: ShapeModel) -> None:
    blind, broken = _outcome(model, _Blind()).result, _outcome(model, _Broken()).result
    assert blind.status == FitStatus.NOT_FOUND.name
    assert broken.status == "ERROR"
    assert "no network" in broken.message
    values = report([blind, broken])
    assert values["summary"]["failures"] == 2
    assert values["summary"]["mean_mm"] is None
    assert values["cases"][1]["mean_mm"] is None


def test_a_report_averages_what_did_not_fail() -> None:
    def case(name: str, mean: float, status: str = "CONVERGED") -> CaseResult:
        error = DistanceSummary(mean_mm=mean, rms_mm=2 * mean, p95_mm=3 * mean, max_mm=9.0)
        return CaseResult(name=name, status=status, error=error, timings_ms={"total": 10 * mean})

    values = report([case("a", 1.0), case("b", 2.0), case("c", 50.0, "NOT_FOUND")])
    assert values["summary"] == {
        "n": 3,
        "mean_mm": 1.5,
        "rms_mm": 3.0,
        "p95_mm": 4.5,
        "worst_mm": 2.0,
        "failures": 1,
    }
    assert [c["name"] for c in values["cases"]] == ["a", "b", "c"]
    assert values["timings_ms"] == {"total": 20.0}


def test_a_real_femur_left_out_of_its_model(shared_data: Path) -> None:
    from osteoform.modeling.build import build_model
    from osteoform.modeling.correspondence import read_correspondence

    vertices, faces = read_correspondence(shared_data / "bones" / "llp26" / "llp26_left_femur.npz")
    subject = Subject(
        name="llp26-9",
        mesh=mirrored(Mesh(vertices=vertices[9].astype(np.float32), faces=faces)),
        model=build_model(vertices, faces, "femur", leave_out=[9]),
    )
    result = next(evaluate([subject], Protocol(side="left", features="simulated"))).result
    assert result.error is not None
    assert result.error.mean_mm < 1.0
