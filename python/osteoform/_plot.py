"""Plots of a model's quality as a picture, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from osteoform._types import F64

if TYPE_CHECKING:
    from osteoform.modeling.from_meshes import BuiltModel

_PANEL = (520, 340)
_MARGIN = (64, 40, 20, 52)  # left, top, right, bottom
_INK, _GRID, _LINE = (40, 40, 40), (225, 225, 225), (178, 34, 34)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One curve, or one bar per value where `bars`; x counts from `first` or is in `labels`."""

    title: str
    x_label: str
    values: F64 = field(repr=False)
    first: int = 0
    labels: Sequence[str] = ()
    bars: bool = False


def draw_quality(built: BuiltModel, path: Path) -> None:
    """Draw compactness, generalization, specificity and registration residuals to a PNG."""
    quality = built.quality
    panels = [
        Panel(
            title="compactness [% of the variance]",
            x_label="learned modes",
            values=100.0 * quality.compactness,
            first=1,
        ),
        Panel(
            title="specificity [mm], random shape to the nearest bone",
            x_label="learned modes",
            values=quality.specificity_mm,
        ),
        Panel(
            title="registration residual, RMS [mm]",
            x_label="bone",
            values=np.array([found.rms_mm for found in built.registrations]),
            first=1,
            bars=True,
        ),
    ]
    if quality.generalization_mm is not None:
        title = "generalization [mm], bones left out"
        values = quality.generalization_mm
        panels.insert(1, Panel(title=title, x_label="learned modes", values=values))
    draw_panels(panels).save(path, format="PNG")


def draw_panels(panels: Sequence[Panel]) -> Image.Image:
    """Panels two by two on one sheet; every y axis begins at 0."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    sheet = Image.new("RGB", (columns * _PANEL[0], rows * _PANEL[1]), (255, 255, 255))
    for i, panel in enumerate(panels):
        corner = ((i % columns) * _PANEL[0], (i // columns) * _PANEL[1])
        sheet.paste(_draw(panel), corner)
    return sheet


def _draw(panel: Panel) -> Image.Image:
    image = Image.new("RGB", _PANEL, (255, 255, 255))
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(14)
    left, top, right, bottom = _MARGIN
    width, height = _PANEL[0] - left - right, _PANEL[1] - top - bottom
    ticks = _ticks(float(np.max(panel.values, initial=0.0)))
    pen.text((left, top - 10), panel.title, fill=_INK, font=font, anchor="lb")
    for tick in ticks:
        y = top + height * (1.0 - tick / ticks[-1])
        pen.line((left, y, left + width, y), fill=_GRID)
        pen.text((left - 8, y), f"{tick:g}", fill=_INK, font=font, anchor="rm")
    count = len(panel.values)
    x = left + width * (np.arange(count) + 0.5) / max(count, 1)
    y = top + height * (1.0 - panel.values / ticks[-1])
    _marks(pen, panel, x, y, base=top + height, slot=width / max(count, 1))
    step = max(1, -(-count // 10))
    for i in range(0, count, step):
        label = panel.labels[i] if panel.labels else str(panel.first + i)
        pen.text((x[i], top + height + 6), label, fill=_INK, font=font, anchor="mt")
    middle = (left + width / 2, _PANEL[1] - 10)
    pen.text(middle, panel.x_label, fill=_INK, font=font, anchor="mb")
    pen.line((left, top + height, left + width, top + height), fill=_INK)
    return image


def _marks(pen: Any, panel: Panel, x: F64, y: F64, *, base: float, slot: float) -> None:
    if panel.bars:
        half = 0.35 * min(slot, 60.0)
        for a, b in zip(x, y, strict=True):
            pen.rectangle((a - half, b, a + half, base), fill=_LINE)
        return
    points = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
    if len(points) > 1:
        pen.line(points, fill=_LINE, width=2)
    for a, b in points:
        pen.ellipse((a - 3, b - 3, a + 3, b + 3), fill=_LINE)


def _ticks(highest: float) -> F64:
    """About five round values from 0 to beyond the highest."""
    highest = highest or 1.0
    rough = highest / 4.0
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next(s for s in (1.0, 2.0, 2.5, 5.0, 10.0) if s * power >= rough)
    return np.asarray(np.arange(0.0, highest + step, step))
