"""X-ray geometries from the numbers on the machine. World axes are the patient's: LPS, mm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from osteoform._core import ConeView, InputError, SlotView
from osteoform._types import F64

_VIEW_ANGLES_DEG = {"ap": 0.0, "lateral": 90.0}


def c_arm(
    primary_angle_deg: float = 0.0,
    secondary_angle_deg: float = 0.0,
    *,
    source_detector_mm: float,
    source_object_mm: float,
    pixel_mm: float | tuple[float, float],
    size_px: tuple[int, int],
    isocenter: ArrayLike = (0.0, 0.0, 0.0),
) -> ConeView:
    """Place a C-arm by its DICOM positioner angles.

    At 0/0 the detector is in front of the patient and the source behind: the beam runs from
    posterior to anterior. Primary +90 (LAO) has the detector at the patient's left, secondary
    +90 (cranial) at the head: the beam's direction is (sin p cos s, -cos p cos s, sin s) in LPS.
    The AP view (source in front) is primary 180.

    A view looks along the beam, as from the source, with the head up: at 0/0 columns run to the
    patient's right. DICOM stores what an observer at the detector sees, with the patient's left
    at the right of the image; reverse the columns of such an image before using it here.

    Parameters
    ----------
    primary_angle_deg, secondary_angle_deg
        DICOM (0018,1510) and (0018,1511).
    source_detector_mm, source_object_mm
        Distances from the source to the detector and to the isocenter.
    pixel_mm
        Pixel pitch on the detector, one number or (column, row).
    size_px
        (width, height); the principal point is the middle of the image.
    isocenter
        (3,) world point that the central ray meets [mm].
    """
    primary, secondary = np.deg2rad([primary_angle_deg, secondary_angle_deg])
    sin_p, cos_p, sin_s, cos_s = (
        np.sin(primary),
        np.cos(primary),
        np.sin(secondary),
        np.cos(secondary),
    )
    beam = np.array([sin_p * cos_s, -cos_p * cos_s, sin_s])
    down = np.array([sin_p * sin_s, -cos_p * sin_s, -cos_s])
    rotation = np.stack([np.cross(down, beam), down, beam])
    pitch = np.broadcast_to(np.asarray(pixel_mm, dtype=np.float64), (2,))
    _check_distances(source_detector_mm, source_object_mm, pitch)
    camera = np.diag([*(source_detector_mm / pitch), 1.0])
    camera[:2, 2] = _middle_px(size_px)
    return ConeView(K=camera, view_from_world=_view_pose(rotation, isocenter, source_object_mm))


def slot_scanner(
    angle_deg: float = 0.0,
    *,
    source_detector_mm: float,
    source_object_mm: float,
    pixel_mm: float | tuple[float, float],
    size_px: tuple[int, int],
    isocenter: ArrayLike = (0.0, 0.0, 0.0),
) -> SlotView:
    """Place a slot scanner whose source travels along the patient's axis.

    At 0 the source is in front of the patient (AP), at +90 at the patient's left; the angle turns
    about the axis to the head. Rows run from the head to the feet, columns at 0 to the patient's
    left. `pixel_mm` is the column pitch on the detector and the scan distance between rows.
    """
    rotation = _upright_rotation(angle_deg)
    pitch = np.broadcast_to(np.asarray(pixel_mm, dtype=np.float64), (2,))
    _check_distances(source_detector_mm, source_object_mm, pitch)
    middle = _middle_px(size_px)
    return SlotView(
        focal_px=float(source_detector_mm / pitch[0]),
        principal_u_px=float(middle[0]),
        row_pitch_mm=float(pitch[1]),
        first_row_mm=float(-middle[1] * pitch[1]),
        view_from_world=_view_pose(rotation, isocenter, source_object_mm),
    )


def standard_views(
    kind: Literal["cone", "slot"] = "cone",
    names: Sequence[str] = ("ap", "lateral"),
    *,
    center: ArrayLike = (0.0, 0.0, 0.0),
    source_detector_mm: float = 1250.0,
    source_object_mm: float = 950.0,
    pixel_mm: float = 0.5,
    size_px: tuple[int, int] = (512, 1280),
) -> dict[str, ConeView | SlotView]:
    """Build the usual pair of upright views: AP and, 90 degrees from it, lateral.

    The AP source is in front of the patient, the lateral source at the patient's left; `center`
    (3,) is in the middle of both images. Images show the head up.
    """
    if kind not in ("cone", "slot"):
        raise InputError(f"kind must be 'cone' or 'slot', found {kind!r}")
    views: dict[str, ConeView | SlotView] = {}
    for name in names:
        if name not in _VIEW_ANGLES_DEG:
            raise InputError(f"names must be among {list(_VIEW_ANGLES_DEG)}, found {name!r}")
        angle_deg = _VIEW_ANGLES_DEG[name]
        if kind == "cone":
            views[name] = c_arm(
                180.0 + angle_deg,
                source_detector_mm=source_detector_mm,
                source_object_mm=source_object_mm,
                pixel_mm=pixel_mm,
                size_px=size_px,
                isocenter=center,
            )
        else:
            views[name] = slot_scanner(
                angle_deg,
                source_detector_mm=source_detector_mm,
                source_object_mm=source_object_mm,
                # Rows of a slot image are not magnified: the same pixel shape at the bone.
                pixel_mm=(pixel_mm, pixel_mm * source_object_mm / source_detector_mm),
                size_px=size_px,
                isocenter=center,
            )
    return views


def _upright_rotation(angle_deg: float) -> F64:
    """View axes (rows: right, down, beam) of a source that circles the patient, head up."""
    angle = np.deg2rad(angle_deg)
    right = np.array([np.cos(angle), np.sin(angle), 0.0])
    beam = np.array([-np.sin(angle), np.cos(angle), 0.0])
    return np.stack([right, [0.0, 0.0, -1.0], beam])


def _view_pose(rotation: F64, isocenter: ArrayLike, source_object_mm: float) -> F64:
    """view_from_world (4, 4) that puts the isocenter on the central ray."""
    center = np.asarray(isocenter, dtype=np.float64)
    if center.shape != (3,):
        raise InputError(f"isocenter must have shape (3,), found {center.shape}")
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = np.array([0.0, 0.0, source_object_mm]) - rotation @ center
    return pose


def _check_distances(source_detector_mm: float, source_object_mm: float, pitch: F64) -> None:
    if not 0.0 < source_object_mm <= source_detector_mm:
        raise InputError(
            "source_object_mm must be positive and at most source_detector_mm, "
            f"found {source_object_mm} and {source_detector_mm}"
        )
    if not np.all(pitch > 0.0):
        raise InputError(f"pixel_mm must be positive, found {pitch.tolist()}")


def _middle_px(size_px: tuple[int, int]) -> F64:
    width, height = size_px
    if width < 1 or height < 1:
        raise InputError(f"size_px must be positive, found {size_px}")
    return np.array([(width - 1) / 2.0, (height - 1) / 2.0])
