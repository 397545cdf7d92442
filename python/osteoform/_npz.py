"""Reading .npz archives from strangers: numbers and text only, one kind of failure."""

from __future__ import annotations

import zipfile
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FAILURES = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    SyntaxError,
    NotImplementedError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_npz(data: bytes) -> dict[str, NDArray[Any]]:
    """Every array of an .npz; ValueError when it is damaged, pickled or something else."""
    if not data.startswith(b"PK"):
        raise ValueError("needed an .npz archive, found another format")
    try:
        with np.load(BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except _FAILURES as error:
        raise ValueError(f"cannot be read as .npz: {error}") from None
