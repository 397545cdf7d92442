"""`osteoform model measure`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from osteoform._cli.console import number, print_table, progress, write_json
from osteoform._cli.options import BoneOption, JsonOption, SideOption


def measure(
    mesh: Annotated[
        Path, typer.Argument(metavar="MESH", help="A whole, closed bone in any axes [mm].")
    ],
    bone: BoneOption,
    side: SideOption,
    json: JsonOption = None,
) -> None:
    """Measure a bone's anatomical parameters and compare them with the atlas (extra: ssm).

    The mesh is brought to the atlas' axes first. "sd from mean" is in the table's standard
    deviations: most adults lie within 2.
    """
    with progress("measuring"):
        from osteoform.atlas.measure import measure_mesh
        from osteoform.io.meshes import read_mesh

        rows = measure_mesh(read_mesh(mesh), bone.value, side=side.value)
    write_json({"bone": bone.value, "parameters": {row.name: vars(row) for row in rows}}, json)
    print_table(
        f"{mesh.name}: {side.value} {bone.value}",
        ["parameter", "unit", "measured", "mean", "sd", "sd from mean"],
        [
            [r.name, r.unit, number(r.value), number(r.mean), number(r.sd), number(r.z, 1)]
            for r in rows
        ],
        json_target=json,
    )
