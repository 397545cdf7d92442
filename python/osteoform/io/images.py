"""Reading X-ray images from ordinary image files."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from osteoform._errors import StudyError
from osteoform._types import F32

MIN_SIDE_PX = 16
MAX_SIDE_PX = 16384
_GREY_MODES = ("L", "I;16", "I;16B", "I;16L", "I;16N", "I", "F")


def read_image(path: str | Path) -> F32:
    """Read an X-ray image.

    PNG, TIFF, JPEG and whatever else Pillow reads, with 8 or 16 bits, integers or floats; or a
    two-dimensional .npy. Colour is turned into luminance, transparency dropped.

    Returns
    -------
    (rows, columns) float32, values as in the file.

    Raises
    ------
    StudyError
        The file is missing, empty, truncated or no image; it has a side below 16 or above 16384
        pixels, values that are not finite, or one value only.
    """
    file = Path(path)
    if not file.is_file():
        raise StudyError(f"{file}: needed an image, found no file")
    if file.stat().st_size == 0:
        raise StudyError(f"{file}: needed an image, found an empty file")
    pixels = _read_npy(file) if file.suffix.lower() == ".npy" else _read_pillow(file)
    return check_pixels(pixels, str(file))


def check_pixels(pixels: NDArray[np.generic], name: str) -> F32:
    """The pixels as (rows, columns) float32, or a StudyError that says what is wrong."""
    if pixels.ndim != 2 or pixels.dtype.kind not in "fiu":
        raise StudyError(
            f"{name}: needed numbers of the shape (rows, columns), "
            f"found {pixels.dtype} of the shape {pixels.shape}"
        )
    _check_size(pixels.shape[1], pixels.shape[0], name)
    if not np.isfinite(pixels).all():
        bad = int(np.sum(~np.isfinite(pixels)))
        raise StudyError(f"{name}: needed finite pixels, found {bad} that are not")
    image = np.ascontiguousarray(pixels, dtype=np.float32)
    if not np.isfinite(image).all():
        raise StudyError(f"{name}: needed pixels below 3.4e38, found larger ones")
    if image.min() == image.max():
        raise StudyError(f"{name}: needed an image, found the one value {float(image.flat[0]):g}")
    return image


def _check_size(columns: int, rows: int, name: str) -> None:
    if min(columns, rows) < MIN_SIDE_PX or max(columns, rows) > MAX_SIDE_PX:
        raise StudyError(
            f"{name}: needed sides of {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels, "
            f"found {columns} x {rows}"
        )


def _read_npy(file: Path) -> NDArray[np.generic]:
    try:
        mapped = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # noqa: BLE001 - the header is parsed as Python
        raise StudyError(f"{file}: cannot be read as .npy: {error}") from None
    if not isinstance(mapped, np.ndarray) or mapped.ndim != 2:
        raise StudyError(
            f"{file}: needed one array (rows, columns), found {getattr(mapped, 'shape', 'several')}"
        )
    _check_size(mapped.shape[1], mapped.shape[0], str(file))
    return np.array(mapped)


def _read_pillow(file: Path) -> NDArray[np.generic]:
    try:
        with warnings.catch_warnings():
            # The size is checked below, before any pixel is decoded; damage that matters raises.
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                _check_size(image.width, image.height, str(file))
                frames = getattr(image, "n_frames", 1)
                if frames != 1:
                    raise StudyError(f"{file}: needed one image, found {frames} in one file")
                return _grey(image)
    except StudyError:
        raise
    except UnidentifiedImageError:
        raise StudyError(f"{file}: needed an image, found a format that is not one") from None
    except Image.DecompressionBombError as error:
        raise StudyError(f"{file}: needed a smaller image: {error}") from None
    except Exception as error:  # noqa: BLE001 - damage makes decoders raise anything
        raise StudyError(f"{file}: the image is truncated or damaged: {error}") from None


def _grey(image: Image.Image) -> NDArray[np.generic]:
    if image.mode in _GREY_MODES:
        return np.asarray(image)
    if image.mode in ("LA", "La"):
        return np.asarray(image.getchannel(0))
    if image.mode == "PA" or image.mode == "P":
        return np.asarray(image.convert("RGB").convert("L"))
    return np.asarray(image.convert("L"))
