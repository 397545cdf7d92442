"""Sheets of pictures: bones from all sides, captions, colour bars and tables, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from osteoform._render import Camera
from osteoform._shade import Frame, over_white, rounded, shade
from osteoform._types import F64, Mesh

Picture = Image.Image
Align = Literal["start", "middle", "end"]

# In a right bone's frame: x medial, y posterior, z proximal.
SIDES = (
    Camera(name="anterior", right=(1.0, 0.0, 0.0)),
    Camera(name="posterior", right=(-1.0, 0.0, 0.0)),
    Camera(name="medial", right=(0.0, 1.0, 0.0)),
    Camera(name="lateral", right=(0.0, -1.0, 0.0)),
)
ENDS = (
    Camera(name="proximal", right=(-1.0, 0.0, 0.0), up=(0.0, -1.0, 0.0)),
    Camera(name="distal", right=(1.0, 0.0, 0.0), up=(0.0, -1.0, 0.0)),
)

INK, GREY, HAIRLINE = (38, 40, 44), (110, 114, 120), (205, 207, 210)
TITLE_PX, HEADING_PX, TEXT_PX = 34, 23, 18
_MARGIN_SHARE = 0.025  # white around a bone, of its longest side
_PAPER_PX = 48
_CLEAR_MM = 45.0  # of an end seen along the shaft: femoral head to lesser trochanter


@dataclass(frozen=True, kw_only=True)
class Painted:
    """A closed mesh in a right bone's frame, with a colour (3,) or colours (N, 3) in 0 to 1."""

    mesh: Mesh
    colours: NDArray[np.floating] = field(repr=False)


@dataclass(frozen=True)
class Extent:
    """Lower and upper corner (3,) [mm] of a box; what is shown in it is shown in place."""

    low: F64
    high: F64

    @staticmethod
    def of(meshes: Sequence[Mesh]) -> Extent:
        """The box of several meshes, with a margin."""
        low = np.min([mesh.vertices.min(axis=0) for mesh in meshes], axis=0).astype(np.float64)
        high = np.max([mesh.vertices.max(axis=0) for mesh in meshes], axis=0).astype(np.float64)
        margin = _MARGIN_SHARE * float((high - low).max())
        return Extent(low - margin, high + margin)

    @property
    def size_mm(self) -> F64:
        """Sides (3,) [mm]."""
        return self.high - self.low

    def seen_mm(self, camera: Camera) -> tuple[float, float]:
        """Width and height of the box in a view along one of its axes [mm]."""
        width, height = (float(np.abs(axis) @ self.size_mm) for axis in (camera.right, camera.up))
        return width, height


def portrait(painted: Painted, camera: Camera, extent: Extent, pixel_mm: float) -> Picture:
    """Draw a bone from one side."""
    width_mm, height_mm = extent.seen_mm(camera)
    frame = Frame(
        center=0.5 * (extent.low + extent.high),
        size_px=(max(1, round(width_mm / pixel_mm)), max(1, round(height_mm / pixel_mm))),
        pixel_mm=pixel_mm,
        clear_mm=_CLEAR_MM if camera in ENDS else np.inf,
    )
    mesh, colours = rounded(painted.mesh, painted.colours)
    return Image.fromarray(over_white(shade(mesh, colours, camera, frame)))


def across(pictures: Sequence[Picture], *, gap_px: int = 0, align: Align = "start") -> Picture:
    """Put pictures beside each other."""
    height = max(picture.height for picture in pictures)
    width = sum(picture.width for picture in pictures) + gap_px * (len(pictures) - 1)
    sheet, left = Image.new("RGB", (width, height), "white"), 0
    for picture in pictures:
        sheet.paste(picture, (left, _offset(height - picture.height, align)))
        left += picture.width + gap_px
    return sheet


def down(pictures: Sequence[Picture], *, gap_px: int = 0, align: Align = "start") -> Picture:
    """Put pictures below each other."""
    width = max(picture.width for picture in pictures)
    height = sum(picture.height for picture in pictures) + gap_px * (len(pictures) - 1)
    sheet, top = Image.new("RGB", (width, height), "white"), 0
    for picture in pictures:
        sheet.paste(picture, (_offset(width - picture.width, align), top))
        top += picture.height + gap_px
    return sheet


def _offset(room: int, align: Align) -> int:
    return {"start": 0, "middle": room // 2, "end": room}[align]


def text(
    words: str, *, size_px: int = TEXT_PX, colour: tuple[int, int, int] = INK, width_px: int = 0
) -> Picture:
    """One line of text; at least `width_px` wide."""
    font = _font(size_px)
    picture = Image.new(
        "RGB", (max(width_px, int(font.getlength(words)) + 2), round(1.35 * size_px)), "white"
    )
    ImageDraw.Draw(picture).text((0, 0), words, fill=colour, font=font)
    return picture


def _font(size_px: int) -> Any:
    return ImageFont.load_default(size=size_px)


def captioned(picture: Picture, words: str, *, heading: bool = False) -> Picture:
    """A picture with its name above it."""
    size_px, colour = (HEADING_PX, INK) if heading else (TEXT_PX, GREY)
    return down([text(words, size_px=size_px, colour=colour), picture], gap_px=6, align="middle")


def rule(width_px: int) -> Picture:
    """A thin line with room around it."""
    picture = Image.new("RGB", (width_px, 33), "white")
    ImageDraw.Draw(picture).line((0, 16, width_px, 16), fill=HAIRLINE, width=1)
    return picture


def colour_bar(
    ramp: NDArray[np.floating], labels: Sequence[str], title: str, *, height_px: int = 260
) -> Picture:
    """A scale of colours (K, 3), first at the bottom, with labels spread evenly along it."""
    width, room = 22, TEXT_PX
    bar = np.repeat(ramp[::-1], -(-height_px // len(ramp)), axis=0)[:, None].repeat(width, axis=1)
    font = _font(TEXT_PX)
    wide = width + 16 + int(max(font.getlength(label) for label in labels))
    picture = Image.new("RGB", (wide, height_px + room), "white")
    pixels = np.asarray(np.clip(bar * 255.0 + 0.5, 0, 255), np.uint8)
    picture.paste(Image.fromarray(pixels).resize((width, height_px)), (0, room // 2))
    canvas = ImageDraw.Draw(picture)
    for index, label in enumerate(labels):
        y = room // 2 + (height_px - 1) * (1.0 - index / (len(labels) - 1))
        canvas.line((width, y, width + 6, y), fill=INK)
        canvas.text((width + 12, y), label, fill=INK, font=font, anchor="lm")
    return down([text(title, colour=GREY), picture], gap_px=4)


def scale_bar(pixel_mm: float, *, length_mm: float = 50.0) -> Picture:
    """A length to measure with."""
    length_px = round(length_mm / pixel_mm)
    picture = Image.new("RGB", (length_px + 2, 14), "white")
    canvas = ImageDraw.Draw(picture)
    canvas.line((0, 7, length_px, 7), fill=INK, width=2)
    for x in (0, length_px):
        canvas.line((x, 1, x, 13), fill=INK, width=2)
    words = text(f"{length_mm:g} mm", colour=GREY)
    return across([picture, words], gap_px=10, align="middle")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Picture:
    """Rows of words, the first column to the left, the others to the right."""
    font, gap, step = _font(TEXT_PX), 26, round(1.6 * TEXT_PX)
    widths = [
        int(max(font.getlength(row[k]) for row in (columns, *rows))) for k in range(len(columns))
    ]
    wide = sum(widths) + gap * (len(columns) - 1)
    picture = Image.new("RGB", (wide + 2, step * (len(rows) + 1) + 8), "white")
    canvas = ImageDraw.Draw(picture)
    for index, row in enumerate((columns, *rows)):
        y = step * index + (8 if index else 0)
        left = 0
        for k, cell in enumerate(row):
            x, anchor = (left, "la") if k == 0 else (left + widths[k], "ra")
            canvas.text((x, y), cell, fill=INK if index else GREY, font=font, anchor=anchor)
            left += widths[k] + gap
    canvas.line((0, step, wide, step), fill=HAIRLINE)
    return picture


def sheet(title: str, subtitle: str, blocks: Sequence[Picture]) -> Picture:
    """A page: title, a line below it, and blocks below each other with rules between them."""
    width = max(block.width for block in blocks)
    parts = [text(title, size_px=TITLE_PX), text(subtitle, colour=GREY)]
    for block in blocks:
        parts += [rule(width), block]
    body = down(parts)
    page = Image.new("RGB", (body.width + 2 * _PAPER_PX, body.height + 2 * _PAPER_PX), "white")
    page.paste(body, (_PAPER_PX, _PAPER_PX))
    return page
