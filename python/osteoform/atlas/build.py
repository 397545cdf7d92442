"""The shipped models, from their tables alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from osteoform._errors import InputError
from osteoform._shape_model import ShapeModel
from osteoform._types import F64, I32
from osteoform.atlas._family import Carry, Family
from osteoform.atlas._femur_family import FemurFamily
from osteoform.atlas._fibula_family import FibulaFamily
from osteoform.atlas._patella_family import PatellaFamily
from osteoform.atlas._remesh import relax, remesh
from osteoform.atlas._surface import iso_surface, to_surface
from osteoform.atlas._table import AtlasTable
from osteoform.atlas._tibia_family import TibiaFamily
from osteoform.modeling.build import assemble_model
from osteoform.modeling.kernel_modes import kernel_modes
from osteoform.modeling.pca import principal_modes
from osteoform.modeling.procrustes import align_rigid

Progress = Callable[[int, int], None]
FAMILIES: dict[str, Callable[[], Family]] = {
    "femur": FemurFamily,
    "tibia": TibiaFamily,
    "fibula": FibulaFamily,
    "patella": PatellaFamily,
}
NUM_SAMPLES = 240
NUM_ANATOMICAL = 16
_SEED = 20240501


def build_atlas_bone(bone: str, out: str | Path, *, progress: Progress | None = None) -> ShapeModel:
    """Build a shipped model and save it.

    Raises
    ------
    InputError
        The atlas has no such bone.
    """
    model = build_atlas_model(bone, progress=progress)
    model.save(out)
    return model


def family_of(bone: str) -> Family:
    """The parametric family of a bone, or an InputError that names those there are."""
    if bone not in FAMILIES:
        raise InputError(f"the atlas has {', '.join(FAMILIES)}, got {bone!r}")
    return FAMILIES[bone]()


def build_atlas_model(bone: str, *, progress: Progress | None = None) -> ShapeModel:
    """Build the default model of a bone from its table: no patient's data, the same on every run.

    Modes: the principal modes of bones drawn from the table, then kernel modes.

    Parameters
    ----------
    progress
        Called with (bones made, bones in all).

    Returns
    -------
    ShapeModel
        Right bone, x medial, y posterior, z proximal [mm], origin at the mean's centroid.
    """
    family = family_of(bone)
    template, faces = build_template(family)
    carry = family.bind(template, faces)
    shapes = draw_shapes(family.table, carry, NUM_SAMPLES, progress=progress)
    modes = anatomical_modes(template, shapes, NUM_ANATOMICAL)
    mean = template - template.mean(axis=0)
    local = kernel_modes(mean, faces, family.kernel)
    return assemble_model(
        bone,
        mean,
        faces,
        np.concatenate([modes, local]),
        inadequacy_mm=region_inadequacy(family, template),
        num_pca=len(modes),
        origin=f"osteoform atlas build {bone}: parametric {bone} from osteoform/atlas/{bone}.toml",
    )


def build_template(
    family: Family,
    *,
    voxel_mm: float | None = None,
    edge_mm: float | None = None,
    rounds: int = 5,
) -> tuple[F64, I32]:
    """Vertices (N, 3) [mm] and faces (M, 3) of the mean bone, evenly meshed.

    Grid and shortest edges are the family's where not given; it says where edges may be longer.
    """
    voxel, shortest = voxel_mm or family.voxel_mm, edge_mm or family.edge_mm

    def size(points: F64) -> F64:
        return shortest * family.edge_ratio(points)

    def project(points: F64) -> F64:
        return to_surface(points, family.slope, steps=2)

    vertices, faces = iso_surface(family.field, *family.box, voxel)
    vertices = relax(vertices, faces, project=project, steps=2)
    vertices, faces = remesh(vertices, faces, size=size, project=project, rounds=rounds)
    return to_surface(vertices, family.slope, steps=4), faces


def draw_shapes(
    table: AtlasTable, carry: Carry, count: int, *, progress: Progress | None = None
) -> F64:
    """Bones (count, N, 3) [mm] drawn from the table, in correspondence with the template."""
    rng = np.random.default_rng(_SEED)
    shapes: list[F64] = []
    while len(shapes) < count:
        draw = np.clip(rng.standard_normal(1 + len(table.parameters)), -3.0, 3.0)
        for sign in (1.0, -1.0)[: count - len(shapes)]:  # pairs keep the mean in the middle
            shapes.append(carry(table.at(sign * draw[0], sign * draw[1:])))
            if progress is not None:
                progress(len(shapes), count)
    return np.stack(shapes)


def anatomical_modes(template: F64, shapes: F64, count: int) -> F64:
    """Leading principal modes (count, N, 3) [mm at b = 1] of drawn bones."""
    aligned = align_rigid(np.concatenate([template[None], shapes]))[1:]
    _, modes = principal_modes(aligned, num_modes=count)
    return modes


def region_inadequacy(family: Family, template: F64) -> F64:
    """Inadequacy (N,) [mm] of each vertex, blended between the regions of the table."""
    share = family.regions(template)
    variance = sum(share[name] * family.table.inadequacy_mm[name] ** 2 for name in share)
    return np.asarray(np.sqrt(variance))
