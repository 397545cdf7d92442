"""Sheets of pictures: the mean bone of the atlas, alone or beside another, and shape models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from osteoform import _sheets as sheets
from osteoform._render import Camera, colours, vertex_normals
from osteoform._shade import IVORY
from osteoform._shape_model import ShapeModel
from osteoform._sheets import ENDS, SIDES, Extent, Painted, Picture
from osteoform._types import F64, Mesh
from osteoform.atlas.gap import MeanGap

Tick = Callable[[], None]
_RAMP = np.linspace(0.0, 1.0, 130)
_NICE_MM = np.array([0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0])
# A signed value -1 to 1 -> colour: blue where it falls short, bone where nothing is to be told.
_SIGNED_STOPS = np.array(
    [[0.09, 0.22, 0.52], [0.42, 0.62, 0.80], IVORY, [0.91, 0.50, 0.35], [0.62, 0.06, 0.12]]
)
_MAX_END_ZOOM = 2.0


def atlas_sheet(bone: str, mesh: Mesh, *, origin: str, progress: Tick | None = None) -> Picture:
    """Draw a right bone from its four sides and both ends."""
    draw = _Painter(progress)
    extent = Extent.of([mesh])
    pixel_mm = _scale(extent, SIDES, height_px=1000, width_px=1300)
    painted = Painted(mesh=mesh, colours=np.array(IVORY))
    zoom = _end_zoom(extent)
    ends = [draw.captioned(painted, view, extent, pixel_mm / zoom) for view in ENDS]
    column = sheets.down([*ends, _scale_bars(pixel_mm, zoom)], gap_px=36, align="middle")
    sides = sheets.across(
        [draw.captioned(painted, view, extent, pixel_mm) for view in SIDES], gap_px=30
    )
    block = sheets.across([sides, column], gap_px=70, align="middle")
    size = " x ".join(f"{x:.1f}" for x in np.ptp(mesh.vertices, axis=0))
    subtitle = f"{origin}. Medial-lateral x anterior-posterior x length: {size} mm"
    return sheets.sheet(f"Right {bone}", subtitle, [block])


def gap_sheet(gap: MeanGap, *, name: str, origin: str, progress: Tick | None = None) -> Picture:
    """Draw the mean bone of the atlas beside another one from all sides, and the gap in colour.

    Parameters
    ----------
    name, origin
        Of the other bone: a word above its pictures, and what it is.
    """
    draw = _Painter(progress)
    extent = Extent.of([gap.atlas, gap.other])
    limit = nice_limit(np.abs(gap.signed_mm))
    plain = np.array(IVORY)
    trio = {
        "atlas": Painted(mesh=gap.atlas, colours=plain),
        name: Painted(mesh=gap.other, colours=plain),
        "gap": Painted(mesh=gap.atlas, colours=signed_colours(gap.signed_mm / limit)),
    }
    pixel_mm = _scale(extent, SIDES * 3, height_px=880, width_px=2100)
    zoom = max(1.0, 0.8 * _end_zoom(extent))

    def group(view: Camera, scale: float) -> Picture:
        panels = [
            sheets.captioned(draw.portrait(painted, view, extent, scale), word)
            for word, painted in trio.items()
        ]
        return sheets.captioned(sheets.across(panels, gap_px=8), view.name, heading=True)

    sides = sheets.across([group(view, pixel_mm) for view in SIDES], gap_px=44)
    ends = sheets.across([group(view, pixel_mm / zoom) for view in ENDS], gap_px=44)
    rows = [
        [r.region, f"{r.mean_mm:.2f}", f"{r.p95_mm:.2f}", f"{r.bias_mm:+.2f}"] for r in gap.regions
    ]
    numbers = sheets.table(["gap [mm]", "mean", "95 %", "bias"], rows)
    notes = sheets.down([numbers, _scale_bars(pixel_mm, zoom)], gap_px=24)
    labels = [f"{limit * k / 2:+.3g}" if k else "0" for k in range(-2, 3)]
    bar = sheets.colour_bar(signed_colours(2.0 * _RAMP - 1.0), labels, "atlas stands out [mm]")
    legend = sheets.across([bar, notes], gap_px=40)
    lower = sheets.across([ends, legend], gap_px=60, align="middle")
    subtitle = f"The atlas beside the {origin}, laid on each other"
    return sheets.sheet(f"Right {gap.bone}", subtitle, [sides, lower])


def model_sheet(model: ShapeModel, *, num_modes: int = 4, progress: Tick | None = None) -> Picture:
    """Draw a shape model: its mean from all sides, its inadequacy, and its first modes at 2 sd."""
    draw = _Painter(progress)
    mean = Mesh(vertices=model.mean, faces=model.faces)
    blocks = [_mean_block(draw, mean, model.inadequacy_mm.astype(np.float64))]
    if shown := min(num_modes, model.num_modes):
        blocks.append(_modes_block(draw, model, mean, shown))
    subtitle = (
        f"{model.num_vertices} vertices; {model.num_modes} modes, of which {model.num_pca} "
        f"learned or anatomical. {model.origin}"
    )
    return sheets.sheet(f"Right {model.bone}", _shortened(subtitle, 150), blocks)


def _mean_block(draw: _Painter, mean: Mesh, inadequacy_mm: F64) -> Picture:
    extent = Extent.of([mean])
    pixel_mm = _scale(extent, SIDES * 2, height_px=820, width_px=1500)
    limit = nice_limit(1.4 * inadequacy_mm)  # the darkest colours hide the form
    zoom = max(1.0, 0.7 * _end_zoom(extent))

    def four(painted: Painted, title: str) -> Picture:
        panels = [draw.captioned(painted, view, extent, pixel_mm) for view in SIDES]
        return sheets.captioned(sheets.across(panels, gap_px=10), title, heading=True)

    plain = Painted(mesh=mean, colours=np.array(IVORY))
    unknown = Painted(mesh=mean, colours=colours(inadequacy_mm / limit))
    ends = [draw.captioned(plain, view, extent, pixel_mm / zoom) for view in ENDS]
    column = sheets.down([*ends, _scale_bars(pixel_mm, zoom)], gap_px=30, align="middle")
    labels = [f"{limit * k / 4:.3g}" for k in range(5)]
    bar = sheets.colour_bar(colours(_RAMP), labels, "sd [mm]")
    parts = [four(plain, "mean"), column, four(unknown, "what it cannot express"), bar]
    return sheets.across(parts, gap_px=48, align="middle")


def _modes_block(draw: _Painter, model: ShapeModel, mean: Mesh, count: int) -> Picture:
    views = (SIDES[0], SIDES[3])
    steps = {
        (k, sign): Mesh(
            vertices=model.mean + np.float32(2.0 * sign) * model.modes[k], faces=model.faces
        )
        for k in range(count)
        for sign in (-1, 1)
    }
    outward = {key: _outward_mm(mean, mesh) for key, mesh in steps.items()}
    extent = Extent.of(list(steps.values()))
    pixel_mm = _scale(extent, views * 8, height_px=520, width_px=1900)
    share = np.square(model.modes.astype(np.float64)).sum(axis=(1, 2))
    share /= share.sum()

    def one(k: int) -> Picture:
        limit = nice_limit(np.abs([outward[k, -1], outward[k, 1]]))
        panels = []
        for view in views:
            for sign in (-1, 1):
                paint = signed_colours(outward[k, sign] / limit)
                painted = Painted(mesh=steps[k, sign], colours=paint)
                panel = draw.portrait(painted, view, extent, pixel_mm)
                panels.append(sheets.captioned(panel, f"{2 * sign:+d} sd"))
        kind = "" if k < model.num_pca else " (local)"
        title = f"mode {k + 1}{kind}: {100.0 * share[k]:.2g} % of the variance"
        note = f"full colour: {limit:g} mm"
        body = sheets.captioned(sheets.across(panels, gap_px=6), note)
        return sheets.captioned(body, title, heading=True)

    groups = [one(k) for k in range(count)]
    rows = [sheets.across(groups[i : i + 4], gap_px=40) for i in range(0, count, 4)]
    ramp = signed_colours(2.0 * _RAMP - 1.0)
    bar = sheets.colour_bar(ramp, ["inward", "still", "outward"], "surface moves")
    return sheets.across([sheets.down(rows, gap_px=30), bar], gap_px=40, align="middle")


def _outward_mm(mean: Mesh, moved: Mesh) -> F64:
    """How far each vertex (N,) moves along the normal of the mean."""
    step = moved.vertices.astype(np.float64) - mean.vertices
    return np.asarray(np.einsum("nc,nc->n", step, vertex_normals(mean)))


class _Painter:
    """Draws panels, and says when each is done."""

    def __init__(self, progress: Tick | None) -> None:
        self._progress = progress

    def portrait(
        self, painted: Painted, camera: Camera, extent: Extent, pixel_mm: float
    ) -> Picture:
        picture = sheets.portrait(painted, camera, extent, pixel_mm)
        if self._progress is not None:
            self._progress()
        return picture

    def captioned(
        self, painted: Painted, camera: Camera, extent: Extent, pixel_mm: float
    ) -> Picture:
        return sheets.captioned(self.portrait(painted, camera, extent, pixel_mm), camera.name)


def signed_colours(values: NDArray[np.floating]) -> F64:
    """Colours (..., 3) of values in -1 to 1; values beyond are clipped."""
    at = (np.clip(values, -1.0, 1.0) + 1.0) * 0.5 * (len(_SIGNED_STOPS) - 1)
    stops = np.arange(len(_SIGNED_STOPS))
    return np.stack([np.interp(at, stops, channel) for channel in _SIGNED_STOPS.T], axis=-1)


def nice_limit(values_mm: F64) -> float:
    """A round number [mm] that 99 % of the values do not pass: the end of a colour scale."""
    wanted = float(np.percentile(values_mm, 99.0))
    return float(_NICE_MM[min(int(np.searchsorted(_NICE_MM, wanted)), len(_NICE_MM) - 1)])


def _scale(extent: Extent, views: Sequence[Camera], *, height_px: int, width_px: int) -> float:
    """Pixel size [mm] at which views beside each other fit into a room."""
    sizes = [extent.seen_mm(view) for view in views]
    return max(max(h for _, h in sizes) / height_px, sum(w for w, _ in sizes) / width_px)


def _end_zoom(extent: Extent) -> float:
    """How much larger the ends of a long bone are drawn than the whole."""
    across = float(extent.size_mm[:2].max())
    return float(np.clip(0.5 * extent.size_mm[2] / across, 1.0, _MAX_END_ZOOM))


def _scale_bars(pixel_mm: float, zoom: float) -> Picture:
    length_mm = 50.0 if pixel_mm > 0.2 else 10.0
    bars = [sheets.scale_bar(pixel_mm, length_mm=length_mm)]
    if zoom != 1.0:
        ends = sheets.scale_bar(pixel_mm / zoom, length_mm=length_mm)
        bars.append(sheets.across([ends, sheets.text("at the ends", colour=sheets.GREY)], gap_px=6))
    return sheets.down(bars, gap_px=6)


def _shortened(words: str, length: int) -> str:
    return words if len(words) <= length else words[: length - 3].rstrip() + "..."


def save_sheet(picture: Picture, path: Path, *, width_px: int | None = None) -> None:
    """Write a sheet as PNG; with `width_px` no wider than that and in 256 colours, to be small."""
    if width_px is not None:
        if width_px < picture.width:
            height = round(picture.height * width_px / picture.width)
            picture = picture.resize((width_px, height), Image.Resampling.LANCZOS)
        picture = _in_few_colours(picture)
    picture.save(path, format="PNG", optimize=True)


def _in_few_colours(picture: Picture) -> Picture:
    """White paper; half of the colours for what is frequent, bone; half for what there is at all,
    the scales.
    """
    frequent = picture.quantize(128, method=Image.Quantize.MEDIANCUT).getpalette() or []
    present = picture.quantize(128, method=Image.Quantize.MAXCOVERAGE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([255, 255, 255, *frequent[: 3 * 127], *present[: 3 * 128]])
    few = picture.quantize(palette=palette, dither=Image.Dither.NONE)
    paper = (np.asarray(picture) == 255).all(axis=2)  # Pillow takes what is near enough
    few.paste(0, mask=Image.fromarray(paper))
    return few
