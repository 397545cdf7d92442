"""Pictures of a reconstruction: what was seen in each X-ray, and where the surface is off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from osteoform._normalize import density, grey_level, local_contrast
from osteoform._render import Camera, colours, render
from osteoform._types import F32, F64, Detection, Mesh, XrayView

_MIN_SIDE_PX, _MAX_SIDE_PX = 900, 1400
_MAX_ENLARGEMENT = 3.0
_OVERSAMPLING = 2
_LEGEND_PX = 280
_WINDOW = 0.125  # of the longer side: where contrast is local
_TEXT = (235, 235, 235)
_SILHOUETTE = (255, 196, 0)
_BOUNDARY = (0, 229, 255)
_BOX = (150, 150, 150)

_RIGHT_SIDE_VIEWS = (
    Camera(name="anterior", right=(1.0, 0.0, 0.0)),
    Camera(name="posterior", right=(-1.0, 0.0, 0.0)),
    Camera(name="medial", right=(0.0, 1.0, 0.0)),
    Camera(name="lateral", right=(0.0, -1.0, 0.0)),
)


@dataclass(frozen=True, kw_only=True)
class OverlayBone:
    """What to draw of one bone in one view, in pixels of the X-ray."""

    detection: Detection
    point_names: Sequence[str]
    ellipsoid_names: Sequence[str]
    silhouette_px: F64 = field(repr=False)
    boundary_px: F64 = field(repr=False)


def stretch_contrast(pixels: NDArray[Any]) -> F32:
    """Grey values (rows, columns) in 0 to 1 that show bone, in the image's own polarity.

    A bone may use 40 of 255 grey values: the logarithm and the local contrast show it beside
    the open beam.
    """
    x = np.nan_to_num(np.asarray(pixels, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    level = grey_level(x)
    beam = (level > 0.0) & (level < 1.0)
    x = local_contrast(-density(level), beam, max(1, round(_WINDOW * max(x.shape))))
    low, high = np.percentile(x[beam] if beam.any() else x, [0.5, 99.5])
    return np.asarray(np.clip((x - low) / max(high - low, 1e-6), 0.0, 1.0), np.float32)


def draw_overlay(view: XrayView, bones: Sequence[OverlayBone]) -> Image.Image:
    """Draw the X-ray with detected features, silhouettes and the boundary points found."""
    grey = Image.fromarray((stretch_contrast(view.pixels) * 255.0).astype(np.uint8))
    scale = _scale(max(grey.size)) * _OVERSAMPLING
    size = (max(1, round(grey.width * scale)), max(1, round(grey.height * scale)))
    image = grey.resize(size, Image.Resampling.BICUBIC).convert("RGB")
    pen = _Pen(ImageDraw.Draw(image), scale)
    for bone in bones:
        pen.box(bone.detection.box_px)
        pen.dots(bone.boundary_px, _BOUNDARY, radius=1.8)
        pen.dots(bone.silhouette_px, _SILHOUETTE, radius=1.2)
        pen.features(bone.detection)
    image = image.resize((size[0] // _OVERSAMPLING or 1, size[1] // _OVERSAMPLING or 1))
    legend = _legend(view.name, bones, image.height)
    sheet = Image.new("RGB", (image.width + legend.width, max(image.height, legend.height)))
    sheet.paste(image, (0, 0))
    sheet.paste(legend, (image.width, 0))
    return sheet


def _scale(longer_side_px: int) -> float:
    """Size of the picture relative to the X-ray's."""
    if longer_side_px < _MIN_SIDE_PX:
        return min(_MIN_SIDE_PX / longer_side_px, _MAX_ENLARGEMENT)
    return min(1.0, _MAX_SIDE_PX / longer_side_px)


@dataclass(frozen=True)
class _Pen:
    """Draws at X-ray pixel positions on an enlarged image; sizes are in output pixels."""

    canvas: ImageDraw.ImageDraw
    scale: float

    def at(self, pixels: NDArray[Any]) -> F64:
        """Canvas positions: the centre of pixel (0, 0) is half a pixel in."""
        return (np.asarray(pixels, np.float64) + 0.5) * self.scale

    def dots(self, pixels: NDArray[Any], colour: tuple[int, int, int], *, radius: float) -> None:
        r = radius * _OVERSAMPLING
        for u, v in self.at(np.reshape(pixels, (-1, 2))):
            if np.isfinite(u + v):
                self.canvas.ellipse((u - r, v - r, u + r, v + r), fill=colour)

    def box(self, box_px: F64) -> None:
        if np.all(np.isfinite(box_px)):
            (u0, v0), (u1, v1) = self.at(np.reshape(box_px, (2, 2)))
            low, high = (min(u0, u1), min(v0, v1)), (max(u0, u1), max(v0, v1))
            self.canvas.rectangle((*low, *high), outline=_BOX, width=_OVERSAMPLING)

    def features(self, detection: Detection) -> None:
        width = 2 * _OVERSAMPLING
        for k in range(len(detection.ellipse_ids)):
            colour = _ellipse_colour(int(detection.ellipse_ids[k]))
            outline = ellipse_outline(
                detection.ellipse_center_px[k], detection.ellipse_shape_px2[k]
            )
            points = [(float(u), float(v)) for u, v in self.at(outline)]
            self.canvas.line(points, fill=colour, width=width)
        arm = 7 * _OVERSAMPLING
        font = _font(15 * _OVERSAMPLING)
        for (u, v), probability in zip(
            self.at(detection.points_px), detection.class_probability, strict=True
        ):
            name_id = int(np.argmax(probability))
            colour = feature_colour(name_id)
            self.canvas.line((u - arm, v, u + arm, v), fill=colour, width=width)
            self.canvas.line((u, v - arm, u, v + arm), fill=colour, width=width)
            self.canvas.text((u + arm, v - 2 * arm), str(name_id + 1), fill=colour, font=font)


def ellipse_outline(center_px: F64, shape_px2: F64, num_points: int = 73) -> F64:
    """Closed outline (num_points, 2) of the ellipse whose squared semi-axes `shape_px2` holds."""
    values, axes = np.linalg.eigh(np.asarray(shape_px2, np.float64))
    angle = np.linspace(0.0, 2.0 * np.pi, num_points)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    outline = center_px + circle * np.sqrt(np.maximum(values, 0.0)) @ axes.T
    return np.asarray(outline)


def feature_colour(index: int) -> tuple[int, int, int]:
    """A colour per feature; hues advance by the golden ratio, so neighbours differ."""
    hue = (0.33 + index * 0.6180339887498949) % 1.0 * 6.0
    ramp = np.clip([abs(hue - 3.0) - 1.0, 2.0 - abs(hue - 2.0), 2.0 - abs(hue - 4.0)], 0.0, 1.0)
    red, green, blue = (int(255 * (0.35 + 0.65 * part)) for part in ramp)
    return red, green, blue


def _ellipse_colour(index: int) -> tuple[int, int, int]:
    return feature_colour(-1 - index)


def _font(size: float) -> Any:
    return ImageFont.load_default(size=size)


def _legend(title: str, bones: Sequence[OverlayBone], height: int) -> Image.Image:
    lines: list[tuple[str, tuple[int, int, int]]] = [(title, _TEXT)]
    if any(len(bone.silhouette_px) for bone in bones):
        lines.append(("silhouette of the result", _SILHOUETTE))
        lines.append(("boundary found in the image", _BOUNDARY))
    for bone in bones:
        lines.append((f"{bone.detection.bone}: detected features", _TEXT))
        lines += [
            (f"{i + 1} {bone.point_names[i].replace('_', ' ')}", feature_colour(i))
            for i in sorted(set(bone.detection.class_probability.argmax(axis=1).tolist()))
        ]
        lines += [
            (f"ellipse: {bone.ellipsoid_names[i].replace('_', ' ')}", _ellipse_colour(i))
            for i in sorted(set(bone.detection.ellipse_ids.tolist()))
        ]
    step = 24
    legend = Image.new("RGB", (_LEGEND_PX, max(height, step * (len(lines) + 1))), (24, 24, 24))
    canvas = ImageDraw.Draw(legend)
    for row, (text, colour) in enumerate(lines):
        canvas.text((10, 10 + row * step), text, fill=colour, font=_font(16))
    return legend


def draw_surface_error(
    mesh: Mesh,
    error_mm: NDArray[Any],
    *,
    title: str,
    limit_mm: float | None = None,
    height_px: int = 900,
) -> Image.Image:
    """Draw four shaded sides of a bone, coloured by a distance per vertex.

    Parameters
    ----------
    mesh
        In a right bone's frame (x medial, y posterior, z proximal): names of the sides rely on it.
    error_mm
        (N,) distances [mm].
    limit_mm
        End of the colour scale; None takes a round number above 99 % of the distances.
    """
    limit = _round_up(float(np.percentile(error_mm, 99.0))) if limit_mm is None else limit_mm
    extent = np.ptp(mesh.vertices.astype(np.float64), axis=0)
    pixel_mm = float(extent[2]) / (height_px * 0.96)
    panels = []
    for camera in _RIGHT_SIDE_VIEWS:
        across = float(np.ptp(mesh.vertices @ np.asarray(camera.right)))
        size = (int(across / pixel_mm) + 60, height_px)
        big = (size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING)
        shaded = render(
            mesh, error_mm / limit, camera, pixel_mm=pixel_mm / _OVERSAMPLING, size_px=big
        )
        panel = Image.fromarray((shaded * 255.0).astype(np.uint8))
        panels.append((camera.name, panel.resize(size, Image.Resampling.LANCZOS)))
    return _sheet(panels, title=title, limit_mm=limit, height_px=height_px)


def _round_up(value: float) -> float:
    steps = np.array([0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0])
    return float(steps[min(int(np.searchsorted(steps, value)), len(steps) - 1)])


def _sheet(
    panels: Sequence[tuple[str, Image.Image]], *, title: str, limit_mm: float, height_px: int
) -> Image.Image:
    top, bar_width = 70, 130
    width = max(sum(panel.width for _, panel in panels) + bar_width, 12 * len(title))
    sheet = Image.new("RGB", (width, top + height_px + 20), "white")
    canvas = ImageDraw.Draw(sheet)
    canvas.text((20, 12), title, fill="black", font=_font(20))
    left = 0
    for name, panel in panels:
        sheet.paste(panel, (left, top))
        canvas.text((left + 20, 42), name, fill="black", font=_font(16))
        left += panel.width
    _colour_bar(sheet, canvas, left=left + 20, top=top + 40, limit_mm=limit_mm)
    return sheet


def _colour_bar(
    sheet: Image.Image, canvas: ImageDraw.ImageDraw, *, left: int, top: int, limit_mm: float
) -> None:
    height, width = 300, 24
    ramp = colours(np.linspace(1.0, 0.0, height))[:, None].repeat(width, axis=1)
    sheet.paste(Image.fromarray((ramp * 255.0).astype(np.uint8)), (left, top))
    canvas.text((left, top - 28), "error [mm]", fill="black", font=_font(14))
    for step in range(5):
        y = top + height * step / 4
        canvas.line((left + width, y, left + width + 5, y), fill="black")
        value = limit_mm * (1.0 - step / 4)
        canvas.text((left + width + 9, y - 8), f"{value:.2f}", fill="black", font=_font(14))


def save_png(image: Image.Image, path: Path) -> None:
    """Write a picture as PNG."""
    image.save(path, format="PNG", optimize=False, compress_level=4)
