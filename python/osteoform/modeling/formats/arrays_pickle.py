"""Reading numbers out of a pickle without running it.

A pickle is a program. Of all it may ask for, only NumPy's words for an array are known here, and
they mean plain classes of this file: nothing of NumPy's, or of anyone's, is called with what the
file says.
"""

from __future__ import annotations

import pickle
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KINDS = {"f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"}


class _Type:
    """What a pickle means by `numpy.dtype`: one plain number type."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        if code not in _KINDS:
            raise pickle.UnpicklingError(f"needed arrays of {sorted(_KINDS)}, found {code!r}")
        self.code, self.order = str(code), "|"

    def __setstate__(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"needed a byte order, found {order!r}")
        self.order = order


class _Array:
    """What a pickle means by `numpy.ndarray`: a shape, a type and bytes."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: NDArray[Any] = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("needed the five parts of an array, found others")
        _, shape, kind, columns_first, data = state
        if not isinstance(kind, _Type) or not isinstance(data, bytes):
            raise pickle.UnpicklingError("needed an array of numbers as bytes, found another")
        flat = np.frombuffer(data, dtype=np.dtype(kind.order + kind.code))
        self.values = flat.reshape(shape, order="F" if columns_first else "C")


def _reconstruct(kind: Any, *_: Any) -> _Array:
    if kind is not _Array:
        raise pickle.UnpicklingError("needed a plain array, found a subclass")
    return _Array()


_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(
                f"needed arrays only, found code: {module}.{name}; refused"
            )
        return _KNOWN[module, name]


def read_array_pickle(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a pickled dictionary; entries that are none are left out.

    Raises
    ------
    ValueError
        The pickle asks for code, is damaged or truncated, or is no dictionary of arrays.
    """
    try:
        content = dict(_Unpickler(BytesIO(data)).load())
    except Exception as error:  # noqa: BLE001 - a damaged pickle raises anything
        raise ValueError(f"cannot be read as a pickle of arrays: {error}") from None
    return {
        name: entry.values
        for name, entry in content.items()
        if isinstance(name, str) and isinstance(entry, _Array)
    }
