"""The gap between the atlas and another mean: aligned, signed, by region; and what it is held
against.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from osteoform import InputError, Mesh, load_model
from osteoform._split import held_out
from osteoform._trial import mirrored
from osteoform.atlas import gap as gaps
from osteoform.atlas.build import FAMILIES, family_of
from osteoform.atlas.gap import MeanGap, RegionGap, atlas_mean, measure_gap
from osteoform.atlas.other_mean import other_files, read_other_mean
from osteoform.modeling.procrustes import apply_rigid
from osteoform.modeling.rigid_fit import align_surface, signed_distances
from osteoform.modeling.surface import vertex_normals
from osteoform.simulate import ellipsoid

F64 = NDArray[np.float64]
SHIPPED = [bone for bone in FAMILIES if bone in gaps.shipped_models()]


@pytest.fixture(scope="module")
def femur() -> Mesh:
    return atlas_mean("femur")


def _moved(mesh: Mesh, pose: F64, push_mm: F64 | float = 0.0) -> Mesh:
    """Pushed outward along the normals, then moved."""
    x = mesh.vertices.astype(np.float64)
    x = x + np.reshape(push_mm, (-1, 1)) * vertex_normals(x, mesh.faces)
    return Mesh(vertices=apply_rigid(pose, x).astype(np.float32), faces=mesh.faces)


def _pose(rng: np.random.Generator, *, turn_deg: float) -> F64:
    axis = rng.standard_normal(3)
    x, y, z = np.radians(turn_deg) * axis / np.linalg.norm(axis)
    pose = np.eye(4)
    u, _, vt = np.linalg.svd(np.eye(3) + np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]))
    pose[:3, :3], pose[:3, 3] = u @ vt, rng.normal(0, 200, 3)
    return pose


def _of(gap: MeanGap) -> dict[str, RegionGap]:
    return {region.region: region for region in gap.regions}


def test_distances_to_a_ball_are_signed() -> None:
    ball = ellipsoid((0.0, 0.0, 0.0), 10.0, num_around=96)
    points = np.array([[0.0, 0.0, 13.0], [0.0, 7.0, 0.0], [-10.5, 0.0, 0.0]])
    np.testing.assert_allclose(signed_distances(points, ball), [3.0, -3.0, 0.5], atol=0.02)


@pytest.mark.parametrize("bone", SHIPPED)
def test_a_bone_is_laid_on_itself(bone: str, rng: np.random.Generator) -> None:
    mesh = atlas_mean(bone)
    pose = _pose(rng, turn_deg=20.0)
    found = align_surface(_moved(mesh, pose), mesh)
    x = mesh.vertices.astype(np.float64)
    assert np.abs(apply_rigid(found @ pose, x) - x).max() < 0.05
    np.testing.assert_allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3), atol=1e-9)


@pytest.mark.parametrize("bone", SHIPPED)
def test_the_shipped_mean_lies_in_the_frame_of_its_table(bone: str) -> None:
    family = family_of(bone)
    value = family.field(atlas_mean(bone).vertices.astype(np.float64))
    assert np.sqrt(np.mean(value**2)) < 0.1


def test_a_shipped_mean_of_another_table_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model("femur")
    other = replace(model, mean=model.mean * np.float32(1.05))
    monkeypatch.setattr(gaps, "load_model", lambda _: other)
    with pytest.raises(InputError, match="not the mean of its table: build the atlas again"):
        atlas_mean("femur")


def test_a_bone_larger_all_round_has_that_gap(femur: Mesh, rng: np.random.Generator) -> None:
    larger = _moved(femur, _pose(rng, turn_deg=10.0), 1.0)
    gap = measure_gap(family_of("femur"), femur, larger)
    whole = gap.regions[0]
    assert whole.region == gaps.WHOLE
    assert whole.area_share == 1.0
    assert whole.mean_mm == pytest.approx(1.0, abs=0.06)
    assert whole.bias_mm == pytest.approx(-1.0, abs=0.06)  # the atlas falls short
    assert whole.p95_mm == pytest.approx(1.05, abs=0.15)
    assert np.median(gap.signed_mm) == pytest.approx(-1.0, abs=0.05)
    np.testing.assert_allclose(sum(r.area_share for r in gap.regions[1:]), 1.0, atol=1e-9)


def test_a_gap_shows_in_its_region(femur: Mesh) -> None:
    family = family_of("femur")
    head = family.regions(femur.vertices.astype(np.float64))["head"]
    thinner = _moved(femur, np.eye(4), -2.0 * head)
    regions = _of(measure_gap(family, femur, thinner))
    assert set(regions) == {gaps.WHOLE, *family.table.inadequacy_mm}
    assert regions["head"].bias_mm > 1.2
    assert regions["shaft"].mean_mm < 0.3
    assert regions["condyles"].mean_mm < 0.3


@pytest.mark.parametrize("bone", SHIPPED)
def test_the_atlas_is_near_the_mean_of_real_bones(bone: str, shared_data: Path) -> None:
    other = read_other_mean(shared_data / "bones" / "llp26" / f"llp26_left_{bone}.npz")
    gap = measure_gap(family_of(bone), atlas_mean(bone), other.mesh)
    assert gap.regions[0].mean_mm < 0.8
    assert max(region.mean_mm for region in gap.regions) < 1.5


# -- the other mean ------------------------------------------------------------------------------


def _collection(path: Path, femur: Mesh, offsets_mm: list[float]) -> Path:
    """Left femora in correspondence, pushed outward by so much."""
    shapes = [mirrored(_moved(femur, np.eye(4), offset)).vertices for offset in offsets_mm]
    np.savez(path, vertices=np.array(shapes), faces=mirrored(femur).faces)
    return path


def test_the_mean_of_left_bones_is_a_right_one(femur: Mesh, tmp_path: Path) -> None:
    path = _collection(tmp_path / "clinic_left_femur.npz", femur, [0.0, 1.0])
    other = read_other_mean(path)
    assert (other.bone, other.name) == ("femur", "clinic")
    assert other.origin == "mean of 2 bones in clinic_left_femur.npz"
    gap = measure_gap(family_of("femur"), femur, other.mesh)
    assert gap.regions[0].bias_mm == pytest.approx(-0.5, abs=0.05)


def test_people_held_out_are_not_in_the_mean(femur: Mesh, tmp_path: Path) -> None:
    offsets = [3.0 if person in held_out() else 0.0 for person in range(26)]
    other = read_other_mean(_collection(tmp_path / "llp26_left_femur.npz", femur, offsets))
    assert "19 bones" in other.origin
    assert "held out" in other.origin
    assert measure_gap(family_of("femur"), femur, other.mesh).regions[0].mean_mm < 0.02


def test_a_model_says_its_bone_and_a_file_must_be_named_after_its(
    femur: Mesh, tmp_path: Path
) -> None:
    load_model("femur").save(tmp_path / "mine.npz")
    assert read_other_mean(tmp_path / "mine.npz").bone == "femur"
    nameless = _collection(tmp_path / "left_bones.npz", femur, [0.0])
    with pytest.raises(InputError, match="the bone is not said"):
        read_other_mean(nameless)
    assert read_other_mean(nameless, bone="femur").bone == "femur"


def test_a_folder_stands_for_the_bones_in_it(tmp_path: Path) -> None:
    for name in ("left_tibia.npz", "left_femur.npz", "notes.npz", "femur.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in other_files([tmp_path])] == ["left_femur.npz", "left_tibia.npz"]
    with pytest.raises(InputError, match="found no file"):
        other_files([tmp_path / "nothing.npz"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="named after femur, tibia"):
        other_files([tmp_path / "empty"])
