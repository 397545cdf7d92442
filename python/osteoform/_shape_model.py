"""A statistical shape model of one bone, and its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from osteoform._errors import InputError, ModelFileError
from osteoform._npz import read_npz
from osteoform._types import F32, F64, I32, Side

FORMAT = "osteoform shape model"
VERSION = 1
_MIRROR = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True, kw_only=True, eq=False)
class ShapeModel:
    """Mean, modes and features of one bone: `mean + sum_k b[k] modes[k]`, b ~ N(0, I).

    Right-sided, axes as in DICOM LPS: x medial, y posterior, z proximal [mm]; the origin is the
    centroid of the mean. Arrays are read-only.

    Attributes
    ----------
    mean, faces
        (N, 3) float32 [mm]; (M, 3) int32, wound outward.
    modes
        (K, N, 3) float32: displacement [mm] at b = 1; the standard deviation is in them, and
        they need not be orthogonal.
    inadequacy_mm
        (N,) float32: standard deviation, per vertex and along the normal, of what the model
        cannot express of a bone it has not seen.
    point_names, point_mean, point_modes
        F feature points: (F, 3) [mm] and (K, F, 3) [mm at b = 1].
    ellipsoid_names, ellipsoid_mean, ellipsoid_modes, ellipsoid_shape, ellipsoid_scale_modes
        E feature ellipsoids: centres (E, 3) and (K, E, 3); matrices of squared semi-axes
        (E, 3, 3) [mm^2]; (K, E) derivative of the logarithm of the radius.
    axes
        (name, from point, to point), indices into the feature points.
    num_pca
        Leading modes that were learned or have an anatomical meaning; the rest are kernel modes.
    origin
        The command and the data that made the model.
    """

    bone: str
    mean: F32 = field(repr=False)
    faces: I32 = field(repr=False)
    modes: F32 = field(repr=False)
    inadequacy_mm: F32 = field(repr=False)
    point_names: tuple[str, ...] = field(repr=False)
    point_mean: F64 = field(repr=False)
    point_modes: F64 = field(repr=False)
    ellipsoid_names: tuple[str, ...] = field(repr=False)
    ellipsoid_mean: F64 = field(repr=False)
    ellipsoid_modes: F64 = field(repr=False)
    ellipsoid_shape: F64 = field(repr=False)
    ellipsoid_scale_modes: F64 = field(repr=False)
    axes: tuple[tuple[str, int, int], ...] = field(repr=False)
    num_pca: int
    origin: str = ""
    _cores: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        expected = _expected_shapes(self)
        for name, (dtype, shape) in expected.items():
            array: NDArray[Any] = np.array(getattr(self, name), dtype=dtype, order="C")
            if array.shape != shape:
                raise InputError(f"{name} must have the shape {shape}, got {array.shape}")
            if not np.isfinite(array).all():
                raise InputError(f"{name} must be finite")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        _check_contents(self)

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled, to reach another process: everything but the C++ side."""
        return self.__dict__ | {"_cores": {}}

    @property
    def num_vertices(self) -> int:
        """N."""
        return len(self.mean)

    @property
    def num_modes(self) -> int:
        """K."""
        return len(self.modes)

    def instance(self, b: ArrayLike) -> F32:
        """Vertices (N, 3) [mm] for shape coefficients (K,)."""
        weights = _check_vector(b, self.num_modes)
        moved = self.mean + np.tensordot(weights, self.modes.astype(np.float64), axes=1)
        return np.ascontiguousarray(moved, dtype=np.float32)

    def coefficients(self, points: ArrayLike, *, noise_mm: float = 1.0) -> F64:
        """Shape coefficients (K,) of vertices (N, 3) [mm] given in the model's frame.

        The most probable b when every coordinate carries independent noise of `noise_mm` and
        b ~ N(0, I); with `noise_mm` = 0 the least squares of smallest norm.
        """
        target = np.asarray(points, dtype=np.float64)
        if target.shape != self.mean.shape or not np.isfinite(target).all():
            raise InputError(
                f"points must be finite, of the shape {self.mean.shape}, got {target.shape}"
            )
        if not (np.isfinite(noise_mm) and noise_mm >= 0.0):
            raise InputError(f"noise_mm must be 0 or positive, got {noise_mm}")
        basis = self.modes.reshape(self.num_modes, -1).astype(np.float64)
        rhs = (target - self.mean).reshape(-1)
        if noise_mm == 0.0:
            return np.asarray(np.linalg.lstsq(basis.T, rhs, rcond=None)[0], dtype=np.float64)
        normal = basis @ basis.T + noise_mm**2 * np.eye(self.num_modes)
        return np.asarray(np.linalg.solve(normal, basis @ rhs), dtype=np.float64)

    def mirrored(self) -> ShapeModel:
        """The model of the other side: x negated everywhere, faces wound outward again."""
        flip = {
            name: getattr(self, name) * _MIRROR
            for name in (
                "mean",
                "modes",
                "point_mean",
                "point_modes",
                "ellipsoid_mean",
                "ellipsoid_modes",
            )
        }
        return replace(
            self,
            faces=self.faces[:, ::-1],
            ellipsoid_shape=self.ellipsoid_shape * _MIRROR[:, None] * _MIRROR,
            **flip,
        )

    def truncated(self, num_modes: int) -> ShapeModel:
        """The model with only its first modes; what they lose is not added to the inadequacy."""
        if not 0 <= num_modes <= self.num_modes:
            raise InputError(f"num_modes must be in 0..{self.num_modes}, got {num_modes}")
        return replace(
            self,
            modes=self.modes[:num_modes],
            point_modes=self.point_modes[:num_modes],
            ellipsoid_modes=self.ellipsoid_modes[:num_modes],
            ellipsoid_scale_modes=self.ellipsoid_scale_modes[:num_modes],
            num_pca=min(self.num_pca, num_modes),
        )

    def core(self, side: Side) -> Any:
        """The `_core.ShapeModel` for a side, made once; a left bone is the mirrored model."""
        if side not in ("left", "right"):
            raise InputError(f"side must be 'left' or 'right', got {side!r}")
        if side not in self._cores:
            from osteoform import _core

            model = self if side == "right" else self.mirrored()
            arrays = {name: getattr(model, name) for name in _CORE_ARRAYS}
            self._cores[side] = _core.ShapeModel(**arrays)
        return self._cores[side]

    def save(self, path: str | Path) -> None:
        """Write the model as a compressed .npz.

        Modes are stored as float16: a displacement comes back within 1/2048 of itself, 0.01 mm
        at 20 mm.
        """
        stored = self.modes.astype(np.float16)
        if not np.isfinite(stored).all():
            raise InputError("modes above 65504 mm cannot be stored")
        arrays: dict[str, NDArray[Any]] = {
            name: getattr(self, name) for name in _expected_shapes(self)
        }
        arrays |= {
            "modes": stored,
            "format": np.array(FORMAT),
            "version": np.array(VERSION),
            "bone": np.array(self.bone),
            "origin": np.array(self.origin),
            "num_pca": np.array(self.num_pca),
            "point_names": np.array(self.point_names, dtype=np.str_),
            "ellipsoid_names": np.array(self.ellipsoid_names, dtype=np.str_),
            "axis_names": np.array([axis[0] for axis in self.axes], dtype=np.str_),
            "axis_points": np.array([axis[1:] for axis in self.axes], np.int32).reshape(-1, 2),
        }
        with Path(path).open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @staticmethod
    def load(path: str | Path) -> ShapeModel:
        """Read a model written by `save`.

        Raises
        ------
        ModelFileError
            The file is missing, truncated, pickled, of another format or version, or holds
            arrays of wrong shape or with values that are not finite.
        """
        stored = _read_npz(Path(path))
        _check_header(stored, path)
        try:
            return _from_arrays(stored)
        except KeyError as error:
            raise ModelFileError(f"{path}: needs an array {error.args[0]!r}, has none") from None
        except (ValueError, TypeError, IndexError) as error:
            raise ModelFileError(f"{path}: {error}") from None


_CORE_ARRAYS = (
    "mean",
    "modes",
    "faces",
    "inadequacy_mm",
    "point_mean",
    "point_modes",
    "ellipsoid_mean",
    "ellipsoid_modes",
    "ellipsoid_shape",
    "ellipsoid_scale_modes",
)


def _expected_shapes(model: ShapeModel) -> dict[str, tuple[type, tuple[int, ...]]]:
    n = _count(model.mean, "mean", 2)
    k = _count(model.modes, "modes", 3)
    f, e = len(model.point_names), len(model.ellipsoid_names)
    return {
        "mean": (np.float32, (n, 3)),
        "faces": (np.int32, (_count(model.faces, "faces", 2), 3)),
        "modes": (np.float32, (k, n, 3)),
        "inadequacy_mm": (np.float32, (n,)),
        "point_mean": (np.float64, (f, 3)),
        "point_modes": (np.float64, (k, f, 3)),
        "ellipsoid_mean": (np.float64, (e, 3)),
        "ellipsoid_modes": (np.float64, (k, e, 3)),
        "ellipsoid_shape": (np.float64, (e, 3, 3)),
        "ellipsoid_scale_modes": (np.float64, (k, e)),
    }


def _count(array: ArrayLike, name: str, ndim: int) -> int:
    shape = np.shape(array)
    if len(shape) != ndim:
        raise InputError(f"{name} must have {ndim} dimensions, got the shape {shape}")
    return int(shape[0])


def _check_contents(model: ShapeModel) -> None:
    n, f = model.num_vertices, len(model.point_names)
    faces = model.faces
    if n < 4 or len(faces) < 4:
        raise InputError(f"a model needs 4 vertices and 4 faces, got {n} and {len(faces)}")
    if faces.min() < 0 or faces.max() >= n:
        raise InputError(
            f"faces must name vertices 0..{n - 1}, got {int(faces.min())}..{int(faces.max())}"
        )
    if (model.inadequacy_mm < 0.0).any():
        raise InputError("inadequacy_mm must not be negative")
    if not 0 <= model.num_pca <= model.num_modes:
        raise InputError(f"num_pca must be in 0..{model.num_modes}, got {model.num_pca}")
    for name, start, end in model.axes:
        if not (0 <= start < f and 0 <= end < f):
            raise InputError(f"axis {name!r} must join points 0..{f - 1}, got {start} and {end}")
    if not np.allclose(model.ellipsoid_shape, np.swapaxes(model.ellipsoid_shape, 1, 2)) or any(
        np.linalg.eigvalsh(shape)[0] <= 0.0 for shape in model.ellipsoid_shape
    ):
        raise InputError("ellipsoid_shape must hold symmetric positive matrices")


def _check_vector(b: ArrayLike, size: int) -> F64:
    weights = np.asarray(b, dtype=np.float64)
    if weights.shape != (size,):
        raise InputError(f"b must have the shape ({size},), got {weights.shape}")
    if not np.isfinite(weights).all():
        raise InputError("b must be finite")
    return weights


def _read_npz(path: Path) -> Mapping[str, NDArray[Any]]:
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file")
    try:
        return read_npz(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path}: {error}") from None


def _check_header(stored: Mapping[str, NDArray[Any]], path: str | Path) -> None:
    found = str(stored["format"]) if "format" in stored else "none"
    if found != FORMAT:
        raise ModelFileError(f"{path}: format must be {FORMAT!r}, found {found!r}")
    version = str(stored["version"]) if "version" in stored else "none"
    if version != str(VERSION):
        raise ModelFileError(f"{path}: version must be {VERSION}, found {version}")


def _from_arrays(stored: Mapping[str, NDArray[Any]]) -> ShapeModel:
    values: dict[str, Any] = {
        entry.name: _read_entry(entry.name, stored[entry.name])
        for entry in fields(ShapeModel)
        if entry.init and entry.name != "axes"
    }
    pairs = _read_numbers(stored["axis_points"])
    names = _read_names(stored["axis_names"])
    if pairs.shape != (len(names), 2):
        raise ValueError(f"axis_points must have the shape ({len(names)}, 2), got {pairs.shape}")
    axes = tuple((name, int(pairs[i, 0]), int(pairs[i, 1])) for i, name in enumerate(names))
    values["axes"] = axes
    return ShapeModel(**values)


def _read_entry(name: str, array: NDArray[Any]) -> Any:
    if name in ("bone", "origin"):
        return _read_text(array)
    if name == "num_pca":
        return _read_int(array)
    return _read_names(array) if name.endswith("_names") else _read_numbers(array)


def _read_numbers(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind not in "fiu":
        raise ValueError(f"needed numbers, found {array.dtype}")
    return array


def _read_int(array: NDArray[Any]) -> int:
    if array.shape != () or array.dtype.kind not in "iu":
        raise ValueError(f"num_pca must be one integer, found {array.shape} {array.dtype}")
    return int(array)


def _read_text(array: NDArray[Any]) -> str:
    if array.shape != () or array.dtype.kind != "U":
        raise ValueError(f"bone and origin must be text, found {array.shape} {array.dtype}")
    return str(array)


def _read_names(array: NDArray[Any]) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind != "U":
        raise ValueError(f"names must be a list of text, found {array.shape} {array.dtype}")
    return tuple(str(name) for name in array)
