"""Edges that two bones claim are the more certain one's."""

from __future__ import annotations

import numpy as np
import pytest

from osteoform import XrayView, reconstruct
from osteoform._confidence import Evidence
from osteoform._core import FitStatus
from osteoform._distance import distances_to_surface, sample_surface
from osteoform._foreign_rims import foreign_rims
from osteoform._models import load_model
from osteoform._result import BoneReconstruction
from osteoform._surroundings import surroundings
from osteoform._trial import mirrored, simulate_trial, simulated_features
from osteoform._types import BONES, Mesh, Side
from osteoform.modeling.features import define_features

SIDE: Side = "left"


def bone(name: str, rims: np.ndarray, confidence: float) -> BoneReconstruction:
    """A result of which only the rims, in one view, and the confidence matter."""
    nothing = np.zeros((0, 3), np.float32)
    return BoneReconstruction(
        bone=name,
        side=SIDE,
        status=FitStatus.CONVERGED,
        confidence=confidence,
        evidence=Evidence(
            num_views=2,
            found=1.0,
            rms_mm=0.0,
            uneven_mm=0.0,
            shape=0.0,
            start=1.0,
            features=1.0,
            seen=1.0,
        ),
        mesh=Mesh(vertices=nothing, faces=np.zeros((0, 3), np.int32)),
        world_from_bone=np.eye(4),
        b=np.zeros(1),
        vertex_sd_mm=np.zeros(0, np.float32),
        corrections=np.zeros((0, 6)),
        boundary_rms_mm=0.5,
        boundary_found=1.0,
        match_quality=1.0,
        num_matched=10.0,
        iterations=1,
        detections=(),
        rims=(rims.astype(np.float32),),
        boundary_px=(),
    )


def test_the_less_certain_bone_yields_where_they_overlap():
    normal = np.array([1.0, 0.0])
    big = np.array([[u, 50.0, *normal] for u in range(100)])
    small = np.array([[10.0, 40.0, *normal], [20.0, 60.0, *normal]])
    found = {"femur": bone("femur", big, 0.9), "patella": bone("patella", small, 0.7)}
    (claimed,) = foreign_rims("patella", found)
    np.testing.assert_array_equal(claimed[:, 0], np.arange(10.0, 21.0))
    assert foreign_rims("femur", found) == ()
    unsure = found | {"femur": bone("femur", big, 0.45)}
    assert foreign_rims("patella", unsure | {"patella": bone("patella", small, 0.4)}) == ()
    assert foreign_rims("patella", found | {"patella": found["patella"].rejected()}) == ()
    apart = found | {"patella": bone("patella", small + [0.0, 200.0, 0.0, 0.0], 0.7)}
    assert foreign_rims("patella", apart) == ()


@pytest.fixture(scope="module")
def knee() -> tuple[list[XrayView], dict[str, list], Mesh]:
    """Two X-rays of a patella among the other bones, true features with noise, and its surface."""
    rng = np.random.default_rng(4)
    models = {name: load_model(bone=name) for name in BONES}
    model = models["patella"]
    b = np.clip(rng.normal(0.0, 1.0, model.num_modes), -2.0, 2.0)
    right = Mesh(vertices=model.instance(b), faces=model.faces)
    left = mirrored(right)
    others = surroundings(left, models, "patella", rng, side=SIDE)
    trial = simulate_trial(left, rng, others=others)
    definition = define_features("patella", model.mean, model.faces)
    told = simulated_features(definition, right, trial, rng, side=SIDE)
    return list(trial.views), {"patella": told}, trial.truth


def test_a_patella_does_not_take_the_femur_s_edges(knee, monkeypatch):
    views, features, truth = knee
    bones = ("femur", "patella")

    def mean_error_mm() -> float:
        found = reconstruct(views, side=SIDE, bones=bones, features=features).bones["patella"]
        return float(distances_to_surface(sample_surface(truth, 2000), found.mesh).mean())

    beside = mean_error_mm()
    monkeypatch.setattr("osteoform._fit_bones.foreign_rims", lambda *_: ())
    alone = mean_error_mm()
    assert beside < 0.75 * alone
    assert beside < 1.0
