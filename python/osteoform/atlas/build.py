"""Build the shape models that ship with the library, from their tables alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from osteoform._errors import InputError
from osteoform._shape_model import ShapeModel
from osteoform._types import F64, I32
from osteoform.atlas._femur import Femur
from osteoform.atlas._remesh import relax, remesh
from osteoform.atlas._skin import Skin
from osteoform.atlas._surface import iso_surface, to_surface
from osteoform.atlas._table import AtlasTable, load_table
from osteoform.modeling.build import assemble_model
from osteoform.modeling.kernel_modes import KernelOptions, kernel_modes
from osteoform.modeling.pca import principal_modes
from osteoform.modeling.procrustes import align_rigid

Progress = Callable[[int, int], None]
NUM_SAMPLES = 240
NUM_ANATOMICAL = 16
KERNEL = KernelOptions(sd_mm=1.0, length_mm=25.0, num_modes=60)
_SEED = 20240501
_LOW, _HIGH = np.array([-82.0, -52.0, -8.0]), np.array([66.0, 60.0, 12.0])


def build_atlas_bone(bone: str, out: str | Path, *, progress: Progress | None = None) -> ShapeModel:
    """Build a shipped model and save it.

    Raises
    ------
    InputError
        The atlas has no such bone.
    """
    if bone != "femur":
        raise InputError(f"the atlas has the femur only, got {bone!r}")
    model = build_femur_model(progress=progress)
    model.save(out)
    return model


def build_femur_model(*, progress: Progress | None = None) -> ShapeModel:
    """Build the default femur from `femur.toml`: no patient's data, the same on every run.

    Modes: the principal modes of femurs drawn from the table, then kernel modes.

    Parameters
    ----------
    progress
        Called with (femurs made, femurs in all).

    Returns
    -------
    ShapeModel
        Right femur, x medial, y posterior, z proximal (the mechanical axis of the mean) [mm],
        origin at the mean's centroid.
    """
    table = load_table("femur")
    template, faces = femur_template(table)
    shapes = sample_femurs(table, template, faces, NUM_SAMPLES, progress=progress)
    modes = anatomical_modes(template, shapes, NUM_ANATOMICAL)
    mean = template - template.mean(axis=0)
    local = kernel_modes(mean, faces, KERNEL)
    return assemble_model(
        "femur",
        mean,
        faces,
        np.concatenate([modes, local]),
        inadequacy_mm=region_inadequacy(table, template),
        num_pca=len(modes),
        origin="osteoform atlas build femur: parametric femur from osteoform/atlas/femur.toml",
    )


def femur_template(
    table: AtlasTable, *, voxel_mm: float = 2.5, edge_mm: float = 4.3, rounds: int = 5
) -> tuple[F64, I32]:
    """Vertices (N, 3) [mm] and faces (M, 3) of the mean femur, evenly meshed.

    Edges are `edge_mm` long at the ends and a fifth longer on the shaft.
    """
    mean = table.means
    femur = Femur(mean, mean, table.form)
    length = mean["length"]

    def size(points: F64) -> F64:
        end = np.minimum(points[:, 2], length - points[:, 2]) / length
        return np.asarray(edge_mm * (1 + 0.2 * np.clip((end - 0.15) / 0.1, 0, 1)))

    def project(points: F64) -> F64:
        return to_surface(points, femur.slope, steps=2)

    high = np.array([_HIGH[0], _HIGH[1], length + _HIGH[2]])
    vertices, faces = iso_surface(femur.field, _LOW, high, voxel_mm)
    vertices = relax(vertices, faces, project=project, steps=2)
    vertices, faces = remesh(vertices, faces, size=size, project=project, rounds=rounds)
    return to_surface(vertices, femur.slope, steps=4), faces


def sample_femurs(
    table: AtlasTable,
    template: F64,
    faces: I32,
    count: int,
    *,
    progress: Progress | None = None,
) -> F64:
    """Femurs (count, N, 3) [mm] drawn from the table, in correspondence with the template."""
    rng = np.random.default_rng(_SEED)
    mean = table.means
    skin = Skin.of(template, faces, Femur(mean, mean, table.form))
    shapes = np.empty((count, *template.shape))
    for i in range(0, count, 2):
        draw = np.clip(rng.standard_normal(1 + len(table.parameters)), -3.0, 3.0)
        for j, sign in enumerate((1.0, -1.0)[: count - i]):  # pairs keep the mean in the middle
            values = table.at(sign * draw[0], sign * draw[1:])
            shapes[i + j] = skin.carry(Femur(values, mean, table.form))
            if progress is not None:
                progress(i + j + 1, count)
    return shapes


def anatomical_modes(template: F64, shapes: F64, count: int) -> F64:
    """Leading principal modes (count, N, 3) [mm at b = 1] of sampled femurs."""
    aligned = align_rigid(np.concatenate([template[None], shapes]))[1:]
    _, modes = principal_modes(aligned, num_modes=count)
    return modes


def region_inadequacy(table: AtlasTable, template: F64) -> F64:
    """Inadequacy (N,) [mm] of each vertex, blended over 10 mm between the regions of the table."""
    mean = table.means
    femur = Femur(mean, mean, table.form)
    share = region_shares(femur, template)
    variance = sum(share[name] * table.inadequacy_mm[name] ** 2 for name in share)
    return np.asarray(np.sqrt(variance))


def region_shares(femur: Femur, points: F64) -> dict[str, F64]:
    """How much of each point (N, 3) of the mean femur belongs to each region; sums to 1."""
    from_head = np.linalg.norm(points - femur.head_center, axis=1)
    height = points[:, 2] / femur.values["length"]
    soft = 5.0 / femur.values["length"]
    head = _fade(from_head, femur.values["head_radius"] + 2.0, 1.0)
    near = _fade(from_head, femur.values["head_radius"] + 18.0, 5.0) * (1 - head)
    rest = 1 - head - near
    knee = _fade(height, 0.12, soft)
    flare = _fade(height, 0.25, soft) - knee
    shaft = _fade(height, 0.75, soft) - knee - flare
    hip = 1 - knee - flare - shaft
    return {
        "head": head,
        "neck": near,
        "trochanters": rest * hip,
        "shaft": rest * shaft,
        "metaphysis": rest * flare,
        "condyles": rest * knee,
    }


def _fade(value: F64, edge: float, softness: float) -> F64:
    """1 below the edge, 0 above it, smooth over twice the softness on each side."""
    t = np.clip((value - edge) / (2 * softness), -1.0, 1.0)
    return np.asarray(0.5 - 0.75 * t + 0.25 * t**3)
