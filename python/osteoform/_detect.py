"""Bones, feature points and feature ellipses in an image, by an ONNX network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from osteoform._attitude import Attitude
from osteoform._detections import shifted
from osteoform._errors import DetectionError
from osteoform._harmonize import Harmonizer
from osteoform._network_file import NUM_TURNS, NetworkFacts, Tensor, read_facts
from osteoform._normalize import NormalizedImage, normalize, pad_to_multiple
from osteoform._onnx import open_session
from osteoform._open_field import open_field
from osteoform._peaks import MIN_TURN, Frame, NetworkOutput
from osteoform._peaks import Reading as NetworkReading
from osteoform._types import F32, F64, Detection, Side, XrayView
from osteoform._windows import Window, joined_windows, windows_of

_WHAT = "detector network"


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look at an image shows.

    Attributes
    ----------
    score
        Number of features found, each counted by its probability.
    attitude
        How the leg lies in the image, if the side is right.
    """

    score: float
    reading: Mapping[str, Detection] = field(repr=False)
    attitude: Attitude

    def shifted(self, offset_px: F64) -> Look:
        """The same, (2,) pixels further to the right and down."""
        reading = {bone: shifted(found, offset_px) for bone, found in self.reading.items()}
        return replace(self, reading=reading)


class OnnxDetector:
    """The detector of the package: see `osteoform.train` for how it came to be.

    The network knows right legs only, so left images are mirrored; it reads upright legs only, so
    an image is read at every quarter turn that may set it upright. All answers are in pixels of the
    original image.

    Parameters
    ----------
    path
        The ONNX file; None means the shipped one.
    num_threads
        Threads of onnxruntime.
    harmonizer
        Changes the look of the normalised image before the network reads it; None leaves it.

    Raises
    ------
    DetectionError
        The file is missing, unreadable or of another version.
    MissingExtraError
        onnxruntime is not installed.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        num_threads: int = 2,
        harmonizer: Harmonizer | None = None,
    ) -> None:
        self._harmonizer = harmonizer
        if path is None:
            with as_file(files("osteoform").joinpath("data/detector.onnx")) as shipped:
                self._session = open_session(shipped, num_threads, what=_WHAT)
        else:
            self._session = open_session(path, num_threads, what=_WHAT)
        values = (*self._session.get_inputs(), *self._session.get_outputs())
        self._facts = read_facts(
            self._session.get_modelmeta().custom_metadata_map,
            [Tensor(name=x.name, type=x.type, shape=tuple(x.shape)) for x in values],
        )

    @property
    def facts(self) -> NetworkFacts:
        """Names of the features, sizes and calibration, as the file has them."""
        return self._facts

    def __call__(
        self, view: XrayView, *, side: Side, bones: Sequence[str]
    ) -> Sequence[Mapping[str, Detection]]:
        """Read one image at its likely quarter turns, best reading first.

        Returns
        -------
        Sequence of mappings from bone to Detection
            One to four readings, twice as many where the polarity of the image is unknown. Bones
            that were not seen have an empty detection.
        """
        return [look.reading for look in self.look(view, side=side, bones=bones)]

    def look(self, view: XrayView, *, side: Side, bones: Sequence[str]) -> list[Look]:
        """Read one image at its likely quarter turns; best first."""
        unknown = sorted(set(bones) - set(self._facts.points))
        if unknown:
            raise DetectionError(f"the detector knows {list(self._facts.points)}, not {unknown}")
        polarities = ("dark_is_dense", "bright_is_dense")
        looks: list[Look] = []
        for polarity in (view.polarity,) if view.polarity else polarities:
            dark_is_dense = polarity == "dark_is_dense"
            field = open_field(view.pixels, dark_is_dense=dark_is_dense)
            pixels = field.of(view.pixels)
            windows = windows_of(pixels.shape)
            images = [self._seen(w.of(pixels), dark_is_dense=dark_is_dense) for w in windows]
            found = self._look_turned(images, windows, side=side, bones=bones)
            looks += [look.shifted(field.offset_px) for look in found]
        return sorted(looks, key=lambda look: -look.score)

    def _seen(self, pixels: F32, *, dark_is_dense: bool) -> NormalizedImage:
        image = normalize(pixels, dark_is_dense=dark_is_dense, size_px=self._facts.input_px)
        if self._harmonizer is None:
            return image
        return replace(image, values=self._harmonizer(image.values))

    def _look_turned(
        self,
        images: Sequence[NormalizedImage],
        windows: Sequence[Window],
        *,
        side: Side,
        bones: Sequence[str],
    ) -> list[Look]:
        """Looks at an image as it is and at every other quarter turn that it says is likely.

        Its windows are turned alike, and tell together which way up they are.
        """
        mirrored = side == "left"
        looks: list[Look] = []
        likely = [0]
        for k in likely:  # grows at the first
            outputs = self.run(np.stack([self._turned(image, k, mirrored) for image in images]))
            if k == 0:
                turns = np.mean([output.turns for output in outputs], axis=0)
                likely += [int(n) for n in np.flatnonzero(turns > MIN_TURN) if n > 0]
            frames = [Frame.of(image, quarter_turns=k, mirrored=mirrored) for image in images]
            read = [NetworkReading.of(output, self._facts.stride_px) for output in outputs]
            beam = np.stack([output.direction for output in outputs]).mean(axis=0)
            looks.append(
                Look(
                    score=sum(reading.score for reading in read),
                    reading={bone: self._told(bone, read, frames, windows) for bone in bones},
                    attitude=Attitude(
                        side=side, quarter_turns=k, beam=np.asarray(beam, np.float64)
                    ),
                )
            )
        return looks

    def _turned(self, image: NormalizedImage, quarter_turns: int, mirrored: bool) -> F32:
        upright = image.values[:, ::-1] if mirrored else image.values
        return pad_to_multiple(np.rot90(upright, quarter_turns), self._facts.multiple_px)

    def _told(
        self,
        bone: str,
        read: Sequence[NetworkReading],
        frames: Sequence[Frame],
        windows: Sequence[Window],
    ) -> Detection:
        """What all windows tell of a bone."""
        parts = [
            reading.detection(bone, frame, self._facts)
            for reading, frame in zip(read, frames, strict=True)
        ]
        return joined_windows(windows, parts)

    def run(self, images: F32) -> list[NetworkOutput]:
        """Run the network on normalised, padded images (B, H, W)."""
        fed = np.ascontiguousarray(images[:, None], np.float32)
        heat, shape, box, *attitude = self._session.run(self._facts.outputs, {"image": fed})
        told = (
            [
                {"turns": a[:NUM_TURNS], "direction": a[NUM_TURNS:], "upright": float(a[0])}
                for a in attitude[0]
            ]
            if attitude
            else []
        )
        return [
            NetworkOutput(heat=h, shape=s.reshape(-1, 3, *s.shape[1:]), box=b, **extra)
            for h, s, b, extra in zip(heat, shape, box, told or [{}] * len(fed), strict=True)
        ]


@lru_cache(maxsize=1)
def shipped_detector() -> OnnxDetector:
    """The detector that comes with the package, opened once."""
    return OnnxDetector()
