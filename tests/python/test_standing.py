"""Feature points mean the same on bones of any axes: in models, and in what the detector learned."""

from __future__ import annotations

import numpy as np
import pytest

from osteoform import Mesh, load_model
from osteoform._rotation import rotation
from osteoform._split import held_out
from osteoform.modeling.correspondence import read_correspondence
from osteoform.modeling.features import FEATURES, define_features, standing_features
from osteoform.modeling.procrustes import apply_rigid
from osteoform.modeling.register import register_bone
from osteoform.modeling.rigid_fit import align_surface


@pytest.mark.parametrize("bone", ["femur", "tibia"])
def test_a_turned_bone_has_the_same_features(bone):
    model = load_model(bone=bone)
    turn = rotation(np.deg2rad([6.0, -4.0, 15.0]))
    turned = model.mean.astype(np.float64) @ turn.T
    there = standing_features(bone, turned, model.faces).points(turned) @ turn
    assert np.linalg.norm(there - model.point_mean, axis=1).max() < 3.0
    moved = define_features(bone, turned, model.faces).points(turned) @ turn
    assert np.linalg.norm(moved - model.point_mean, axis=1).max() > 10.0


@pytest.mark.parametrize("bone", tuple(FEATURES))
def test_a_shipped_model_means_what_the_detector_learned(bone, shared_data):
    """The model bent on to the mean of the legs in training has its features where theirs are."""
    people, faces = read_correspondence(shared_data / f"bones/llp26/llp26_left_{bone}.npz")
    seen = [i for i in range(len(people)) if i not in held_out()]
    mean = people[seen].mean(axis=0)
    learned = define_features(bone, mean, faces).points(mean)

    model = load_model(bone=bone)
    real = Mesh(vertices=mean.astype(np.float32), faces=faces)
    bent = register_bone(model, real, side="right").vertices
    pose = align_surface(Mesh(vertices=bent.astype(np.float32), faces=model.faces), real)
    definition = standing_features(bone, model.mean, model.faces)
    np.testing.assert_allclose(definition.points(model.mean), model.point_mean, atol=0.1)
    points = definition.points(apply_rigid(pose, bent))
    assert np.linalg.norm(points - learned, axis=1).max() < 6.0
