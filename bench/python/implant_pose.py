"""Pose of a known rigid shape in real radiographs: the femoral component of a knee implant.

    python bench/python/implant_pose.py DATA/xrays/knee-implant-biplane --json OUT

Every pair of images starts 5 degrees and 5 mm off the reference pose in a random direction. The
reference poses are themselves silhouette fits; `mask` fits the images' own segmentation masks in
the same way and so tells how far apart two such fits lie. `contour_px` is how well each pose's
outline follows the masks: what the reference was fitted to.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

import osteoform
from osteoform import _core
from osteoform._rotation import rotation
from osteoform.io.images import read_image
from osteoform.io.meshes import read_mesh
from results import write_json

VIEWS = ("cam1", "cam2")
START_DEG = 5.0
START_MM = 5.0

F64 = NDArray[np.float64]


def zero_mode_model_of(
    vertices: NDArray[np.float32], faces: NDArray[np.int32], *, bone: str
) -> osteoform.ShapeModel:
    """A rigid shape as a model without modes and without features."""
    none = np.zeros
    return osteoform.ShapeModel(
        bone=bone,
        mean=vertices,
        faces=faces,
        modes=none((0, len(vertices), 3)),
        inadequacy_mm=none(len(vertices)),
        point_names=(),
        point_mean=none((0, 3)),
        point_modes=none((0, 0, 3)),
        ellipsoid_names=(),
        ellipsoid_mean=none((0, 3)),
        ellipsoid_modes=none((0, 0, 3)),
        ellipsoid_shape=none((0, 3, 3)),
        ellipsoid_scale_modes=none((0, 0)),
        axes=(),
        num_pca=0,
    )


def cameras(folder: Path) -> list[osteoform.ConeView]:
    """Both views from the study's calibration file."""
    stored = json.loads((folder / "cameras.json").read_text())
    views = []
    for name in VIEWS:
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = stored[name]["R"], stored[name]["t"]
        views.append(osteoform.ConeView(K=np.array(stored[name]["K"]), view_from_world=pose))
    return views


def off(pose: F64, rng: np.random.Generator) -> F64:
    """The pose, START_DEG and START_MM away in a random direction."""
    turn, shift = rng.normal(size=(2, 3))
    start = pose.copy()
    start[:3, :3] = rotation(np.deg2rad(START_DEG) * turn / np.linalg.norm(turn)) @ pose[:3, :3]
    start[:3, 3] += START_MM * shift / np.linalg.norm(shift)
    return start


def gap(a: F64, b: F64) -> tuple[float, float]:
    """Distance of the origins [mm] and angle [deg] between two poses."""
    cosine = 0.5 * (np.trace(a[:3, :3] @ b[:3, :3].T) - 1.0)
    angle = np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return float(np.linalg.norm(a[:3, 3] - b[:3, 3])), float(angle)


def fit(
    images: Sequence[NDArray[np.float32]],
    geometries: Sequence[osteoform.ConeView],
    model: osteoform.ShapeModel,
    start: F64,
) -> F64:
    """The pose found from one pair of images; the calibration is taken as it is."""
    views = [
        osteoform.XrayView(name=name, pixels=pixels, geometry=geometry, polarity="dark_is_dense")
        for name, pixels, geometry in zip(VIEWS, images, geometries, strict=True)
    ]
    options = osteoform.FitOptions(rims=_core.Rims.OUTER, calibration_sd_mm=0.0)
    result = osteoform.reconstruct(
        views,
        side="right",
        bones=("femur",),
        models={"femur": model},
        starts={"femur": start},
        options=options,
    )
    return result.bones["femur"].world_from_bone


def contour(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of a mask that have a neighbour outside it."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask))


def contour_gap(
    model: osteoform.ShapeModel,
    pose: F64,
    masks: Sequence[NDArray[np.float32]],
    geometries: Sequence[osteoform.ConeView],
) -> float:
    """Mean distance [px] between the outlines of the posed implant and of its masks, both ways."""
    gaps = []
    for mask, geometry in zip(masks, geometries, strict=True):
        px = geometry.project(model.mean @ pose[:3, :3].T + pose[:3, 3])
        image = Image.new("1", (mask.shape[1], mask.shape[0]))
        draw = ImageDraw.Draw(image)
        for face in model.faces:
            draw.polygon([(float(u), float(v)) for u, v in px[face]], fill=1)
        ours, theirs = contour(np.asarray(image)), contour(mask > 127)
        gaps += [
            ndimage.distance_transform_edt(~theirs)[ours].mean(),
            ndimage.distance_transform_edt(~ours)[theirs].mean(),
        ]
    return float(np.mean(gaps))


def run(folder: Path) -> dict[str, Any]:
    """All pairs of the folder."""
    implant = read_mesh(folder / "femoral.stl")
    model = zero_mode_model_of(implant.vertices, implant.faces, bone="femur")
    geometries = cameras(folder)
    frames = json.loads((folder / "poses.json").read_text())["frames"]
    rows, contours = [], []
    for name in sorted(frames):
        reference = np.eye(4)
        reference[:3, :3] = frames[name]["femur"]["R"]
        reference[:3, 3] = frames[name]["femur"]["t"]
        start = off(reference, np.random.default_rng(int(name)))
        images = [read_image(folder / f"{view}_{name}.png") for view in VIEWS]
        masks = [read_image(folder / f"{view}_{name}_mask_femoral.png") for view in VIEWS]
        found = fit(images, geometries, model, start)
        of_masks = fit([(255.0 - m).astype(np.float32) for m in masks], geometries, model, start)
        rows.append([*gap(found, reference), *gap(of_masks, reference), *gap(found, of_masks)])
        poses = (reference, found, of_masks)
        contours.append([contour_gap(model, pose, masks, geometries) for pose in poses])
    table = np.array(rows)
    names = ("image_reference", "mask_reference", "image_mask")
    summary = {
        f"{name}_{unit}": {
            "median": float(np.median(table[:, 2 * k + i])),
            "p90": float(np.percentile(table[:, 2 * k + i], 90)),
        }
        for k, name in enumerate(names)
        for i, unit in enumerate(("mm", "deg"))
    }
    of_contour = np.array(contours)
    summary["contour_px"] = {
        name: float(value)
        for name, value in zip(
            ("reference", "image", "mask"), np.median(of_contour, axis=0), strict=True
        )
    }
    better = (of_contour[:, 1:] < of_contour[:, :1]).sum(axis=0)
    summary["closer_to_masks_than_reference"] = {"image": int(better[0]), "mask": int(better[1])}
    return {"pairs": len(rows), "start_deg": START_DEG, "start_mm": START_MM, "summary": summary}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    write_json(arguments.json, run(arguments.folder))


if __name__ == "__main__":
    main()
