"""Where shape models come from: a file, a folder of bones, or the package itself."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path

from osteoform._errors import ModelFileError
from osteoform._shape_model import ShapeModel


def shipped_models() -> tuple[str, ...]:
    """Names of the models inside the package."""
    folder = files("osteoform").joinpath("data")
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".npz") for name in names if name.endswith(".npz")))


def load_model(source: str | Path | None = None, *, bone: str | None = None) -> ShapeModel:
    """Load a shape model.

    Parameters
    ----------
    source
        A model file, a folder that holds `<bone>.npz`, or the name of a shipped model.
        None: the shipped model of `bone`.
    bone
        The bone the model must be of; needed with a folder. None with a file: any bone.

    Raises
    ------
    ModelFileError
        Nothing is there, the file cannot be used, or it is of another bone.
    """
    if source is None:
        return _shipped(bone or "femur")
    path = Path(source)
    if path.is_dir():
        if bone is None:
            raise ModelFileError(f"{path}: is a folder; name the bone to load from it")
        model = ShapeModel.load(path / f"{bone}.npz")
    elif path.is_file() or path.suffix or len(path.parts) > 1:
        model = ShapeModel.load(path)
    elif str(source) in shipped_models():
        model = _shipped(str(source))
    else:
        known = ", ".join(shipped_models()) or "none"
        raise ModelFileError(f"no model {str(source)!r}: neither a file nor shipped ({known})")
    if bone is not None and model.bone != bone:
        raise ModelFileError(f"{source}: needed a model of the {bone}, found the {model.bone}")
    return model


@lru_cache(maxsize=8)
def _shipped(name: str) -> ShapeModel:
    with as_file(files("osteoform").joinpath(f"data/{name}.npz")) as path:
        return ShapeModel.load(path)
