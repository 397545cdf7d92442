"""ShapeWorks' particles: one text file per person, x y z on each line, in correspondence.

A project's folder holds `NAME_local.particles`, in the person's own frame, and
`NAME_world.particles`, aligned and perhaps scaled. Size is part of shape here, so the local ones
are read where there are both.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from osteoform._errors import InputError
from osteoform._types import F64, Mesh
from osteoform.modeling.formats.points import PointShapes


def read_shapeworks(folder: Path, *, surface: Mesh | None = None) -> PointShapes:
    """The particles of a folder as shapes (S, P, 3) [mm], in order of the files' names.

    Parameters
    ----------
    surface
        A mesh of one of the people (its particles lie on it), or of their mean.

    Raises
    ------
    InputError
        There are no particles, a file is damaged, or they differ in number.
    """
    files = _particle_files(folder)
    shapes = [_read(file) for file in files]
    for file, shape in zip(files, shapes, strict=True):
        if len(shape) != len(shapes[0]):
            raise InputError(
                f"{file}: needed {len(shapes[0])} particles as in {files[0].name}, "
                f"found {len(shape)}"
            )
    try:
        return PointShapes(shapes=np.stack(shapes), surface=surface)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from None


def _particle_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.particles"))
    if not files:
        raise InputError(f"{folder}: needed *.particles, found none")
    local = [file for file in files if file.stem.endswith("local")]
    return local or files


def _read(file: Path) -> F64:
    try:
        rows = [line.split() for line in file.read_text(encoding="ascii").splitlines()]
        values = [[float(word) for word in row] for row in rows if row]
    except ValueError as error:
        raise InputError(f"{file}: needed lines of x y z: {error}") from None
    widths = {len(row) for row in values}
    if widths != {3}:
        raise InputError(f"{file}: needed lines of three numbers, found {sorted(widths)}")
    return np.array(values)
