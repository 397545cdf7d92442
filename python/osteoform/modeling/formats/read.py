"""Any foreign file of a shape model, told by its name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from osteoform._errors import InputError
from osteoform._types import Mesh
from osteoform.modeling.formats.hdf5 import Tree, read_hdf5
from osteoform.modeling.formats.hdf5_json import read_hdf5_json
from osteoform.modeling.formats.llp26 import read_llp26
from osteoform.modeling.formats.plain import read_plain
from osteoform.modeling.formats.points import PointModel, PointShapes
from osteoform.modeling.formats.shapeworks import read_shapeworks
from osteoform.modeling.formats.statismo import point_model

FORMATS = {
    ".h5": "statismo",
    ".hdf5": "statismo",
    ".json": "statismo as JSON",
    ".pc": "LLP26",
    ".npz": "plain arrays",
}


@dataclass(frozen=True, kw_only=True)
class ForeignFile:
    """What a file holds, and the name of its format."""

    content: PointModel | PointShapes = field(repr=False)
    format: str


def read_foreign(path: str | Path, *, bone: str, mesh: Mesh | None = None) -> ForeignFile:
    """Read a statismo or scalismo `.h5` or `.h5.json`, an LLP26 `.pc`, a folder of ShapeWorks
    particles, or an `.npz` of modes.

    Parameters
    ----------
    bone
        Which bone, in a file of several.
    mesh
        For an `.npz`: the mean. For particles: a mesh of one of the people, or of their mean.

    Raises
    ------
    InputError
        The file is missing, of another format, damaged, holds code, or an array in it is missing,
        of the wrong shape or not finite.
    MissingExtraError
        h5py is needed and not installed.
    """
    file = Path(path)
    if file.is_dir():
        return ForeignFile(
            content=read_shapeworks(file, surface=mesh), format="ShapeWorks particles"
        )
    kind = FORMATS.get(file.suffix.lower())
    if kind is None:
        raise InputError(
            f"{file}: needed {', '.join(FORMATS)} or a folder of particles, "
            f"found {file.suffix or 'no such folder'!r}"
        )
    if kind == "plain arrays":
        return ForeignFile(content=read_plain(file, mesh=mesh), format=kind)
    if mesh is not None:
        raise InputError(f"{file}: a mesh goes with .npz or particles, found {kind}")
    if kind == "LLP26":
        return ForeignFile(content=read_llp26(file, bone), format=kind)
    tree = read_hdf5(file) if kind == "statismo" else read_hdf5_json(file)
    return ForeignFile(content=_statismo(file, tree), format=kind)


def _statismo(file: Path, tree: Tree) -> PointModel:
    try:
        return point_model(tree)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
