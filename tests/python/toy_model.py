"""A small shape model for tests of files."""

from __future__ import annotations

import numpy as np

from osteoform import ShapeModel
from reference.toy_bones import toy_patella


def crooked_model() -> ShapeModel:
    """A toy bone whose modes are neither orthogonal nor of one length."""
    rng = np.random.default_rng(7)
    toy = toy_patella(4.0)
    modes = rng.normal(size=(6, *toy.vertices.shape))
    modes[4] = 0.5 * modes[0] - modes[1]
    modes[5] = modes[2]
    none = np.zeros((0, 3))
    return ShapeModel(
        bone="patella",
        mean=toy.vertices,
        faces=toy.faces,
        modes=modes,
        inadequacy_mm=rng.uniform(0.3, 0.9, len(toy.vertices)),
        point_names=(),
        point_mean=none,
        point_modes=np.zeros((6, 0, 3)),
        ellipsoid_names=(),
        ellipsoid_mean=none,
        ellipsoid_modes=np.zeros((6, 0, 3)),
        ellipsoid_shape=np.zeros((0, 3, 3)),
        ellipsoid_scale_modes=np.zeros((6, 0)),
        axes=(),
        num_pca=6,
        origin="a test",
    )
