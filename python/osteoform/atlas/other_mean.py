"""Other mean bones to hold the atlas against: of a shape model, or of bones in correspondence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from osteoform._errors import InputError
from osteoform._models import load_model
from osteoform._split import held_out_in
from osteoform._types import BONES, Mesh
from osteoform.modeling.correspondence import is_collection, read_correspondence
from osteoform.modeling.procrustes import align_rigid


@dataclass(frozen=True, kw_only=True)
class OtherMean:
    """A mean bone, turned right-sided; a short name, and what it is the mean of."""

    bone: str
    name: str
    origin: str
    mesh: Mesh = field(repr=False)


def other_files(sources: Sequence[Path]) -> list[Path]:
    """The files meant by files and folders; a folder stands for the .npz in it."""
    found: list[Path] = []
    for source in sources:
        if source.is_dir():
            inside = [path for path in sorted(source.glob("*.npz")) if _said_bone(path)]
            if not inside:
                raise InputError(f"{source}: needed .npz files named after {', '.join(BONES)}")
            found += inside
        elif source.is_file():
            found.append(source)
        else:
            raise InputError(f"{source}: needed a model or bones in correspondence, found no file")
    return found


def read_other_mean(path: Path, *, bone: str | None = None) -> OtherMean:
    """Read the mean of a shape model, or of bones in correspondence (an .npz).

    Of the LLP26 collection the people held out for testing are left out.

    Parameters
    ----------
    bone
        Which bone a collection is of, where its name does not say it.

    Raises
    ------
    InputError, ModelFileError
        The file is neither, or it is not known of which bone it is.
    """
    if not is_collection(path):
        model = load_model(path)
        return OtherMean(
            bone=model.bone,
            name=_short_name(path),
            origin=f"mean of the model {path.name}",
            mesh=Mesh(vertices=model.mean, faces=model.faces),
        )
    said = _said_bone(path) or bone
    if said is None:
        raise InputError(f"{path}: the bone is not said; name the file after {', '.join(BONES)}")
    vertices, faces = read_correspondence(path)
    left_out = held_out_in(path) or ()
    shapes = np.delete(vertices, [i for i in left_out if i < len(vertices)], axis=0)
    mean = align_rigid(shapes).mean(axis=0)
    note = ", those held out for testing left out" if left_out else ""
    return OtherMean(
        bone=said,
        name=_short_name(path),
        origin=f"mean of {len(shapes)} bones in {path.name}{note}",
        mesh=Mesh(vertices=mean.astype(np.float32), faces=faces),
    )


def _said_bone(path: Path) -> str | None:
    words = set(_words(path)) & set(BONES)
    return words.pop() if len(words) == 1 else None


def _short_name(path: Path) -> str:
    """The file's name without bone and side, which the picture says anyhow."""
    rest = [word for word in _words(path) if word not in (*BONES, "left", "right")]
    return " ".join(rest) or path.stem


def _words(path: Path) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", path.stem.lower()) if word]
