"""Images of every kind we read, and everything that is not one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from osteoform import StudyError
from osteoform.io.images import MAX_SIDE_PX, check_pixels, read_image


@pytest.fixture
def ramp() -> np.ndarray:
    """24 rows, 40 columns, no two alike."""
    return np.arange(24 * 40, dtype=np.uint16).reshape(24, 40)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits(suffix: str, ramp: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / f"a{suffix}"
    Image.fromarray(ramp * 60).save(file)
    read = read_image(file)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, ramp * 60)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_eight_bits(suffix: str, ramp: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / f"a{suffix}"
    Image.fromarray((ramp % 251).astype(np.uint8)).save(file)
    np.testing.assert_array_equal(read_image(file), ramp % 251)


def test_floats(ramp: np.ndarray, tmp_path: Path) -> None:
    values = ramp.astype(np.float32) / 7.0
    Image.fromarray(values).save(tmp_path / "a.tiff")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tiff"), values)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
def test_npy(dtype: type, ramp: np.ndarray, tmp_path: Path) -> None:
    values = (ramp % 250).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    read = read_image(tmp_path / "a.npy")
    np.testing.assert_array_equal(read, values)
    assert read.flags.owndata or read.base is None


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_grey_in_color_files_stays_grey(mode: str, ramp: np.ndarray, tmp_path: Path) -> None:
    grey = (ramp % 256).astype(np.uint8)
    Image.fromarray(grey).convert(mode).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), grey)


def test_palette(ramp: np.ndarray, tmp_path: Path) -> None:
    grey = (ramp % 256).astype(np.uint8)
    Image.fromarray(grey).convert("P").save(tmp_path / "a.gif")
    np.testing.assert_allclose(read_image(tmp_path / "a.gif"), grey, atol=1.0)


def test_truncated(ramp: np.ndarray, tmp_path: Path, rng: np.random.Generator) -> None:
    noise = rng.integers(0, 65536, size=(64, 64)).astype(np.uint16)
    for suffix in (".png", ".tif"):
        file = tmp_path / f"a{suffix}"
        Image.fromarray(noise).save(file)
        data = file.read_bytes()
        for length in [1, 8, 20, 60, len(data) // 2, len(data) - 40]:
            file.write_bytes(data[:length])
            with pytest.raises(StudyError, match=f"a{suffix}"):
                read_image(file)


def test_damaged(tmp_path: Path, rng: np.random.Generator) -> None:
    noise = rng.integers(0, 256, size=(32, 32)).astype(np.uint8)
    for suffix in (".png", ".tif"):
        file = tmp_path / f"a{suffix}"
        Image.fromarray(noise).save(file)
        data = file.read_bytes()
        for _ in range(40):
            damaged = bytearray(data)
            for at in rng.integers(0, len(data), size=5):
                damaged[at] = rng.integers(0, 256)
            file.write_bytes(damaged)
            with suppress(StudyError):
                assert np.isfinite(read_image(file)).all()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((1, 1)), "found 1 x 1"),
        (np.zeros((64, 8)), "found 8 x 64"),
        (np.full((32, 32), 7.0), "found the one value 7"),
        (np.zeros((32, 32, 3)), r"needed one array \(rows, columns\)"),
        (np.zeros((32, 32), dtype=complex), "found complex128"),
        (np.array(3.0), "needed one array"),
    ],
)
def test_useless_arrays(array: np.ndarray, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(StudyError, match=message):
        read_image(tmp_path / "a.npy")


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite(bad: float, tmp_path: Path) -> None:
    values = np.zeros((32, 32))
    values[3, 4] = bad
    np.save(tmp_path / "a.npy", values)
    with (
        np.errstate(over="ignore"),
        pytest.raises(StudyError, match="needed finite pixels, found 1|below 3.4e38"),
    ):
        read_image(tmp_path / "a.npy")


def test_enormous_images_are_refused_unread(tmp_path: Path) -> None:
    side = MAX_SIDE_PX + 1
    header = np.lib.format.header_data_from_array_1_0(np.zeros((1, 1), np.uint8))
    header["shape"] = (side, side)
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(side * side + 128)
    with pytest.raises(StudyError, match=f"to {MAX_SIDE_PX} pixels, found {side} x {side}"):
        read_image(tmp_path / "a.npy")
    Image.new("1", (side, 20)).save(tmp_path / "a.png")
    with pytest.raises(StudyError, match=f"found {side} x 20"):
        read_image(tmp_path / "a.png")


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (64, 64)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(StudyError, match="needed a smaller image"):
        read_image(tmp_path / "a.png")


def test_a_large_image_does_not_warn(
    ramp: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray((ramp % 250).astype(np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)
    assert read_image(tmp_path / "a.png").shape == (24, 40)


def test_not_files(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="found no file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(StudyError, match="found no file"):
        read_image(tmp_path)
    (tmp_path / "empty.png").touch()
    with pytest.raises(StudyError, match="found an empty file"):
        read_image(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(StudyError, match="a format that is not one"):
        read_image(tmp_path / "text.png")


def test_pickles_and_archives_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object))
    with pytest.raises(StudyError, match="cannot be read as .npy"):
        read_image(tmp_path / "a.npy")
    np.savez(tmp_path / "b.npz", a=np.zeros((32, 32)))
    (tmp_path / "b.npz").rename(tmp_path / "b.npy")
    with pytest.raises(StudyError, match="found several"):
        read_image(tmp_path / "b.npy")


def test_several_pages_are_refused(ramp: np.ndarray, tmp_path: Path) -> None:
    page = Image.fromarray(ramp)
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    with pytest.raises(StudyError, match="found 2 in one file"):
        read_image(tmp_path / "a.tif")


def test_check_pixels_copies_nothing_it_need_not(ramp: np.ndarray) -> None:
    image = ramp.astype(np.float32)
    assert check_pixels(image, "view") is image


def test_real_images(shared_data: Path) -> None:
    for file in (shared_data / "xrays" / "knee-biplane").glob("*.tif"):
        assert read_image(file).shape == (1760, 1760)
