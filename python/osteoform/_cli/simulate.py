"""`osteoform demo` and `osteoform simulate`."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from osteoform._cli.console import number, print_table, progress, split_names, write_json
from osteoform._cli.options import (
    DetectorOption,
    GeometryName,
    GeometryOption,
    JsonOption,
    ModelOption,
    OutOption,
    SeedOption,
    SideName,
    SideOption,
    ViewsOption,
    choose_models,
    open_detector,
)
from osteoform._cli.reconstruct import print_bones
from osteoform._errors import InputError
from osteoform._output import check_folder, staged_folder
from osteoform._types import BONES

if TYPE_CHECKING:
    from osteoform._types import XrayView

_ERRORS = ("mean", "rms", "p95", "max")


def demo(
    out: OutOption,
    side: SideOption = SideName.LEFT,
    geometry: GeometryOption = GeometryName.CONE,
    bones: Annotated[
        str,
        typer.Option("--bones", metavar="NAMES", help="All bones of the leg, or a single one."),
    ] = ",".join(BONES),
    model: ModelOption = None,
    detector: DetectorOption = None,
    seed: SeedOption = 0,
    json: JsonOption = None,
) -> None:
    """Simulate two X-rays of a leg, reconstruct its bones from them, and show the true errors.

    The bones are drawn so that their models cannot express them exactly. Nothing but the images
    and their geometry reaches the reconstruction. Writes reconstruction.json, BONE.ply (mm),
    overlay_VIEW.png and surface_error.png.
    """
    check_folder(out)
    with progress("loading"):
        from osteoform.demo import demonstrate, write_demonstration

        models = choose_models(model, split_names(bones), BONES)
        network = open_detector(detector)
    with progress("simulating and reconstructing"):
        shown = demonstrate(
            models, side=side.value, geometry=geometry.value, seed=seed, detector=network
        )
    with progress("drawing"), staged_folder(out) as folder:
        values = write_demonstration(folder, shown)
    write_json(values, json)
    print_bones(values, title=f"demonstration: {side.value} leg, {geometry.value}", json=json)
    print_table(
        "true error [mm]: distance from the true surface, not realigned",
        ["", "mean", "RMS", "p95", "max", "what the model cannot express, RMS"],
        [
            [bone, *(number(error[f"{k}_mm"]) for k in (*_ERRORS, "outside_model_rms"))]
            for bone, error in values["true_error"].items()
        ],
        json_target=json,
    )


def simulate(
    meshes: Annotated[
        list[Path],
        typer.Argument(
            metavar="MESH...",
            help="Closed bones of one leg in one frame, axes LPS [mm]: PLY, STL, VTK, OBJ.",
        ),
    ],
    side: SideOption,
    out: OutOption,
    bones: Annotated[
        str,
        typer.Option("--bones", metavar="NAMES", help="What the study shall say the meshes are."),
    ] = "femur",
    geometry: GeometryOption = GeometryName.CONE,
    views: ViewsOption = "ap,lateral",
    source_detector_mm: Annotated[
        float, typer.Option(help="Distance from source to detector [mm].")
    ] = 1250.0,
    source_object_mm: Annotated[
        float, typer.Option(help="Distance from source to the middle of the meshes [mm].")
    ] = 950.0,
    pixel_mm: Annotated[float, typer.Option(help="Pixel pitch on the detector [mm].")] = 0.5,
    width: Annotated[int, typer.Option(min=16, max=16384, help="Columns [px].")] = 512,
    height: Annotated[int, typer.Option(min=16, max=16384, help="Rows [px].")] = 1280,
    dose: Annotated[
        float, typer.Option(help="Photons per pixel in the open beam; sets the noise.")
    ] = 5000.0,
    seed: SeedOption = 0,
) -> None:
    """Simulate X-rays of bones and write them as a study that `reconstruct` reads.

    Writes study.json and VIEW.png (16 bit, dark is dense), beam and head upright.
    """
    check_folder(out)
    names = split_names(views) or ()
    import numpy as np

    from osteoform._types import XrayView
    from osteoform.geometry import standard_views
    from osteoform.io.meshes import read_mesh
    from osteoform.simulate import Physics, simulate_view

    study_bones = split_names(bones) or ()
    if not study_bones or any(bone not in BONES for bone in study_bones):
        raise InputError(f"--bones must be out of {', '.join(BONES)}, found {bones!r}")
    parts = [read_mesh(path) for path in meshes]
    points = np.concatenate([part.vertices for part in parts]).astype(np.float64)
    geometries = standard_views(
        geometry.value,
        names,
        center=0.5 * (points.min(axis=0) + points.max(axis=0)),
        source_detector_mm=source_detector_mm,
        source_object_mm=source_object_mm,
        pixel_mm=pixel_mm,
        size_px=(width, height),
    )
    taken = []
    with progress("simulating", len(geometries)) as step:
        for index, (name, view) in enumerate(geometries.items()):
            pixels = simulate_view(
                parts,
                view,
                size_px=(width, height),
                physics=Physics(dose=dose),
                seed=seed + index,
            )
            taken.append(XrayView(name=name, pixels=pixels, geometry=view))
            step()
    with staged_folder(out) as folder:
        _write_study(folder, taken, side.value, study_bones)


def _write_study(folder: Path, views: list[XrayView], side: str, bones: tuple[str, ...]) -> None:
    import numpy as np
    from PIL import Image

    from osteoform._report import geometry_values

    entries = []
    for view in views:
        grey = np.round(np.clip(view.pixels, 0.0, 1.0) * 65535.0).astype(np.uint16)
        Image.fromarray(grey).save(folder / f"{view.name}.png")
        entries.append(
            {
                "name": view.name,
                "image": f"{view.name}.png",
                "polarity": "dark_is_dense",
                "geometry": geometry_values(view.geometry),
            }
        )
    study = {"study": 1, "side": side, "bones": list(bones), "views": entries}
    text = json_module.dumps(study, indent=1) + "\n"
    (folder / "study.json").write_text(text, encoding="utf-8")
