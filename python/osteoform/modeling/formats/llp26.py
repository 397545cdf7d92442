"""The LLP26 models of the lower limb (musculoskeletal/models): `.pc` files.

A pickle of mean (9675,), modes (9675, 26) and projectedWeights (26, 26): person i is
`(mean + modes @ projectedWeights[:, i]).reshape(3, 3225).T`, the surface nodes of a left leg's
Lagrange meshes, without their connectivity. Nodes are listed bone after bone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteoform._errors import InputError
from osteoform.modeling.formats.arrays_pickle import read_array_pickle
from osteoform.modeling.formats.points import PointShapes, numbers

NUM_NODES = 3225
NODES = {
    "femur": slice(1946, 2580),
    "patella": slice(2580, 2654),
    "tibia": slice(2654, 2962),
    "fibula": slice(2962, 3225),
}


def read_llp26(path: Path, bone: str) -> PointShapes:
    """The people of an LLP26 file, one bone of each, as points (S, P, 3) [mm].

    Raises
    ------
    InputError
        The file is missing, damaged, holds code, or not these arrays; or has no such bone.
    """
    if bone not in NODES:
        raise InputError(f"{path}: needed one of {', '.join(NODES)}, found {bone!r}")
    if not path.is_file():
        raise InputError(f"{path}: needed an LLP26 file, found none")
    try:
        people = _people(read_array_pickle(path.read_bytes()))
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    return PointShapes(shapes=np.ascontiguousarray(people[:, NODES[bone]]))


def _people(arrays: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """All nodes (S, 3225, 3) of all people."""
    for name in ("mean", "modes", "projectedWeights"):
        if name not in arrays:
            raise InputError(f"needed an array {name!r}, found {', '.join(arrays) or 'none'}")
    mean, modes, weights = (numbers(arrays[n], n) for n in ("mean", "modes", "projectedWeights"))
    size = 3 * NUM_NODES
    if mean.shape != (size,):
        raise InputError(f"mean must have the shape {(size,)}, found {mean.shape}")
    if modes.ndim != 2 or modes.shape[0] != size:
        raise InputError(f"modes must have the shape ({size}, K), found {modes.shape}")
    if weights.ndim != 2 or weights.shape[0] != modes.shape[1]:
        raise InputError(
            f"projectedWeights must have the shape ({modes.shape[1]}, S), found {weights.shape}"
        )
    people = mean[:, None] + modes @ weights
    return np.moveaxis(people.reshape(3, NUM_NODES, -1), (0, 1, 2), (2, 1, 0))
