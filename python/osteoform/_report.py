"""The files a reconstruction leaves behind."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from osteoform._core import ConeView, SlotView
from osteoform._draw import OverlayBone, draw_overlay, save_png
from osteoform._result import BoneReconstruction, Reconstruction
from osteoform._shape_model import ShapeModel
from osteoform._types import F32, F64, XrayView
from osteoform.io.meshes import write_ply

RESULT_NAME = "reconstruction.json"


def reconstruction_values(
    reconstruction: Reconstruction, models: Mapping[str, ShapeModel]
) -> dict[str, Any]:
    """A reconstruction as plain values for JSON; null stands for numbers that do not exist."""
    return {
        "bones": {
            name: _bone_values(bone, models[name]) for name, bone in reconstruction.bones.items()
        },
        "timings_ms": dict(reconstruction.timings_ms),
    }


def _bone_values(bone: BoneReconstruction, model: ShapeModel) -> dict[str, Any]:
    sd_mm = bone.vertex_sd_mm
    return {
        "mesh": mesh_name(bone.bone),
        "status": bone.status.name,
        "confidence": bone.confidence,
        "boundary_rms_mm": bone.boundary_rms_mm if math.isfinite(bone.boundary_rms_mm) else None,
        "boundary_found": bone.boundary_found,
        "pose": {"world_from_bone": bone.world_from_bone.tolist()},
        "side": bone.side,
        "b": bone.b.tolist(),
        "mean_vertex_sd_mm": float(np.mean(sd_mm)) if len(sd_mm) else None,
        "match_quality": bone.match_quality,
        "num_features_matched": bone.num_matched,
        "iterations": bone.iterations,
        "calibration_corrections": [_correction_values(row) for row in bone.corrections],
        "features": _feature_values(bone, model),
    }


def _correction_values(row: np.ndarray) -> dict[str, list[float]]:
    return {
        "rotation_deg": np.rad2deg(row[:3]).tolist(),
        "translation_mm": row[3:].tolist(),
    }


def _feature_values(bone: BoneReconstruction, model: ShapeModel) -> dict[str, list[float]]:
    """Where the bone's feature points lie in the world [mm]."""
    mirror = np.array([1.0 if bone.side == "right" else -1.0, 1.0, 1.0])
    in_bone = model.point_mean + np.tensordot(bone.b, model.point_modes, axes=1)
    pose = bone.world_from_bone
    in_world = (in_bone * mirror) @ pose[:3, :3].T + pose[:3, 3]
    return {name: point.tolist() for name, point in zip(model.point_names, in_world, strict=True)}


def mesh_name(bone: str) -> str:
    """File name of a bone's mesh."""
    return f"{bone}.ply"


def overlay_name(view: str) -> str:
    """File name of a view's picture; what file systems may not like becomes '_'."""
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in view)
    return f"overlay_{safe}.png"


def write_reconstruction(
    folder: Path,
    reconstruction: Reconstruction,
    views: Sequence[XrayView],
    models: Mapping[str, ShapeModel],
) -> dict[str, Any]:
    """Write meshes, overlays and, last, the numbers; return the numbers."""
    for name, bone in reconstruction.bones.items():
        write_ply(folder / mesh_name(name), bone.mesh, comment=f"osteoform {name} {bone.side}, mm")
    for index, view in enumerate(views):
        parts = [
            overlay_bone(bone, models[name], index) for name, bone in reconstruction.bones.items()
        ]
        save_png(draw_overlay(view, parts), folder / overlay_name(view.name))
    values = reconstruction_values(reconstruction, models)
    text = json.dumps(values, indent=2, allow_nan=False) + "\n"
    (folder / RESULT_NAME).write_text(text, encoding="utf-8")
    return values


def overlay_bone(bone: BoneReconstruction, model: ShapeModel, view_index: int) -> OverlayBone:
    """What to draw of a reconstructed bone in one view."""
    return OverlayBone(
        detection=bone.detections[view_index],
        point_names=model.point_names,
        ellipsoid_names=model.ellipsoid_names,
        silhouette_px=_pixels(bone.silhouette_px, view_index),
        boundary_px=_pixels(bone.boundary_px, view_index),
    )


def _pixels(of_views: Sequence[F32], view_index: int) -> F64:
    """Points (n, 2) of one view; a bone that was not found has none."""
    if view_index >= len(of_views):
        return np.zeros((0, 2))
    return np.asarray(of_views[view_index], np.float64)


def geometry_values(geometry: ConeView | SlotView) -> dict[str, Any]:
    """A view's geometry as the study file has it."""
    view_from_world = geometry.view_from_world.tolist()
    if isinstance(geometry, ConeView):
        (fx, fy), (cx, cy) = geometry.focal_px, geometry.principal_px
        camera = [[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]
        return {"type": "cone", "K": camera, "view_from_world": view_from_world}
    return {
        "type": "slot",
        "focal_px": geometry.focal_px,
        "principal_u_px": geometry.principal_u_px,
        "row_pitch_mm": geometry.row_pitch_mm,
        "first_row_mm": geometry.first_row_mm,
        "view_from_world": view_from_world,
    }
