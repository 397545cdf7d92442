"""From a foreign model to one of ours: side, frame, surface, features and inadequacy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

from osteoform._distance import distances_to_surface
from osteoform._errors import InputError
from osteoform._placement import Placement, place_model, rigid_fit_to_surface
from osteoform._shape_model import ShapeModel
from osteoform._types import F64, I32, Mesh, Side
from osteoform.io.meshes import is_closed
from osteoform.modeling.build import assemble_model, build_model
from osteoform.modeling.carry import (
    Carrier,
    carrier_of_mesh,
    carrier_of_template,
    deform_template,
)
from osteoform.modeling.formats.points import PointModel, PointShapes
from osteoform.modeling.inadequacy import Progress
from osteoform.modeling.kernel_modes import KernelOptions, kernel_modes
from osteoform.modeling.procrustes import apply_rigid, rigid_transform
from osteoform.modeling.surface import signed_volume

_MIRROR = np.array([-1.0, 1.0, 1.0])
# Adults' bones of one kind differ by less; metres, inches and other bones by more.
_SIZE_RATIOS = (0.6, 1.7)
_MARK_MM = 0.5
_OTHER_SIDE = 0.7
# After a few modes, means of published bones lie 0.3 to 1.2 mm off a model of the same bone, bones
# of another kind 2.4 to 5.9 mm.
_OTHER_BONE_MM = 2.0
_NUM_POINTS = 400
_NUM_FEW = 100
_NUM_STARTS = 3
_NUM_MODES = 12


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """An imported model, and how it was brought into our frame.

    Attributes
    ----------
    placement_rms_mm
        Surface distance to the template after scale and a few modes: how alike the bones are.
    carried
        Whether the surface is the template's, carried by the file's points.
    """

    model: ShapeModel = field(repr=False)
    placement_rms_mm: float
    carried: bool


def adopt(
    source: PointModel | PointShapes,
    *,
    side: Side,
    template: ShapeModel,
    inadequacy_mm: float | None = None,
    leave_out: Sequence[int] = (),
    kernel: KernelOptions | None = None,
    origin: str = "",
    progress: Progress | None = None,
) -> Adopted:
    """Bring a foreign model into the frame of a template of the same bone.

    Left bones are mirrored; the template is aligned to the bone in any pose; where the file has
    points only, the template's surface is carried by them; features are found on the mean.

    Parameters
    ----------
    side
        Of the bones in the file.
    template
        A model of the same bone: its axes are taken over.
    inadequacy_mm
        Stated. None: what the file says, or else, where it has 3 people or more, measured by
        leaving each out.
    leave_out
        Indices of people not to use.
    kernel
        Smooth local modes to add; None: none.

    Raises
    ------
    InputError
        The bone is of another size, kind or side than said, its surface is open, a feature cannot
        be found, or the inadequacy is not known.
    """
    if side not in ("left", "right"):
        raise InputError(f"side must be 'left' or 'right', found {side!r}")
    if isinstance(source, PointShapes):
        kept = _without(source, leave_out)
        return _adopt_shapes(kept, side, template, inadequacy_mm, kernel, origin, progress)
    if leave_out:
        raise InputError("leave_out needs a file of people, found a file of modes")
    return _adopt_model(source, side, template, inadequacy_mm, kernel, origin)


def _adopt_model(
    source: PointModel,
    side: Side,
    template: ShapeModel,
    inadequacy_mm: float | None,
    kernel: KernelOptions | None,
    origin: str,
) -> Adopted:
    stated = source.inadequacy_mm
    if inadequacy_mm is not None:
        stated = np.full(len(source.mean), _checked_sd(inadequacy_mm))
    if stated is None:
        raise InputError(
            "needed what the model cannot express: the file states no noise; pass inadequacy_mm "
            "(--inadequacy-mm), about 0.5 to 1 for 20 to 60 people"
        )
    mirror = _MIRROR if side == "left" else np.ones(3)
    mean, modes = source.mean * mirror, source.modes * mirror
    faces = _outward(mean, source.faces, mirrored=side == "left")
    placement = _place(template, mean, faces, side)
    turn = placement.mesh_from_bone[:3, :3]
    mean, modes = _to_bone(placement, mean), modes @ turn
    if faces is None:
        carrier = carrier_of_template(mean, template)
        mean, modes, faces = carrier.apply(mean), carrier.apply(modes), carrier.faces
        stated = np.clip(carrier.weights @ stated, stated.min(), stated.max())
    num_learned = len(modes)
    if kernel is not None:
        modes = np.concatenate([modes, kernel_modes(mean, faces, kernel)])
    model = assemble_model(
        template.bone,
        mean,
        faces,
        modes,
        inadequacy_mm=stated,
        num_pca=num_learned,
        origin=origin,
    )
    return Adopted(model=model, placement_rms_mm=placement.rms_mm, carried=source.faces is None)


def _adopt_shapes(
    source: PointShapes,
    side: Side,
    template: ShapeModel,
    inadequacy_mm: float | None,
    kernel: KernelOptions | None,
    origin: str,
    progress: Progress | None,
) -> Adopted:
    shapes, faces = source.shapes, source.faces
    if source.surface is not None:
        carrier = _carrier_of_surface(source.shapes, source.surface)
        shapes, faces = carrier.apply(shapes), carrier.faces
    mirror = _MIRROR if side == "left" else np.ones(3)
    # Poses may be anything: all to the first, then their mean to the template.
    shapes = np.stack([apply_rigid(rigid_transform(s, shapes[0]), s) for s in shapes]) * mirror
    mean = shapes.mean(axis=0)
    faces = _outward(mean, faces, mirrored=side == "left")
    placement = _place(template, mean, faces, side)
    shapes = np.stack([_to_bone(placement, shape) for shape in shapes])
    carried = faces is None
    if faces is None:
        carrier = carrier_of_template(shapes.mean(axis=0), template)
        shapes, faces = carrier.apply(shapes), carrier.faces
    model = build_model(
        shapes,
        faces,
        template.bone,
        kernel=kernel,
        inadequacy_mm=None if inadequacy_mm is None else _checked_sd(inadequacy_mm),
        origin=origin,
        progress=progress,
    )
    return Adopted(model=model, placement_rms_mm=placement.rms_mm, carried=carried)


def _carrier_of_surface(shapes: F64, surface: Mesh) -> Carrier:
    """The mesh's carrier: by the points of the person, or of the mean, that lie on it."""
    mean = shapes.mean(axis=0)
    size = float(np.ptp(surface.vertices, axis=0).max())
    best, best_rms = shapes[0], np.inf
    for candidate in (*shapes, mean):
        rms = float(np.sqrt(np.mean(np.square(distances_to_surface(candidate, surface)))))
        if rms < best_rms:
            best, best_rms = candidate, rms
    if best_rms > 0.02 * size:
        raise InputError(
            "the mesh must be of one of the people or of their mean, in the same frame: "
            f"the nearest one's points lie {best_rms:.1f} mm off it (RMS)"
        )
    return carrier_of_mesh(best, surface)


def _outward(mean: F64, faces: I32 | None, *, mirrored: bool) -> I32 | None:
    """Faces of a closed surface, wound outward."""
    if faces is None:
        return None
    if not is_closed(faces):
        raise InputError("needed a closed surface wound one way, found open or odd edges")
    faces = faces[:, ::-1] if mirrored else faces
    return np.ascontiguousarray(faces if signed_volume(mean, faces) > 0.0 else faces[:, ::-1])


def _place(template: ShapeModel, mean: F64, faces: I32 | None, side: Side) -> Placement:
    """Where the template lies in the frame of a right-sided bone; says when it does not fit."""
    length, expected = _length(mean), _length(template.mean.astype(np.float64))
    if not _SIZE_RATIOS[0] * expected < length < _SIZE_RATIOS[1] * expected:
        raise InputError(
            f"needed a {template.bone} in mm, about {expected:.0f} long, found one {length:.3g} "
            "long: another unit, or another bone?"
        )
    mesh = _points_as_mesh(mean) if faces is None else _mesh(mean, faces)
    frame = place_model(template, mesh, side="right").mesh_from_bone
    return Placement(mesh_from_bone=frame, rms_mm=_check_likeness(template, frame, mean, side))


def _check_likeness(template: ShapeModel, frame: F64, mean: F64, side: Side) -> float:
    """How far points are from the template after a few modes [mm RMS]; an error if they lie far
    off, or much nearer when mirrored. Bones that look alike on both sides pass.
    """
    leading = template.truncated(min(template.num_pca, _NUM_MODES))
    points = (mean - frame[:3, 3]) @ frame[:3, :3]
    points = points[:: max(1, len(points) // _NUM_POINTS)]
    _, rms_mm = deform_template(leading, points)
    starts = _mirrored_starts(template, points * _MIRROR)
    other_mm = min(deform_template(leading, start)[1] for start in starts)
    if other_mm < _OTHER_SIDE * rms_mm:
        raise InputError(
            f"needed a {side} {template.bone}, found the other side: {rms_mm:.1f} mm RMS from "
            f"the template, and mirrored {other_mm:.1f}"
        )
    if rms_mm > _OTHER_BONE_MM:
        raise InputError(
            f"needed a whole {template.bone}, found a bone {rms_mm:.1f} mm RMS from the template "
            f"at best, more than {_OTHER_BONE_MM}: another bone, or a part of one?"
        )
    return rms_mm


def _mirrored_starts(template: ShapeModel, points: F64) -> list[F64]:
    """Mirrored points (P, 3), turned to where they lie nearest to the template's mean.

    A bone of the other side may have been placed upside down and at any angle about its length.
    """
    mean = _mesh(template.mean.astype(np.float64), template.faces)
    few = points[:: max(1, len(points) // _NUM_FEW)]
    found: list[tuple[float, F64]] = []
    for spin, flip in product(np.arange(8) * np.pi / 4.0, (1.0, -1.0)):
        c, s = np.cos(spin), np.sin(spin)
        turn = np.array([[c, -s * flip, 0.0], [s, c * flip, 0.0], [0.0, 0.0, flip]])
        motion = rigid_fit_to_surface(few @ turn.T, mean, steps=10)
        distance_mm = distances_to_surface(motion.apply(few @ turn.T), mean)
        found.append((float(np.mean(np.square(distance_mm))), motion.apply(points @ turn.T)))
    found.sort(key=lambda entry: entry[0])
    return [moved for _, moved in found[:_NUM_STARTS]]


def _points_as_mesh(points: F64) -> Mesh:
    """A small triangle at each point: what a surface is to those who ask for one."""
    corners = _MARK_MM * np.array([[1.0, 0.0, -1.0], [-1.0, 1.0, 0.0], [0.0, -1.0, 1.0]])
    vertices = (points[:, None] + corners).reshape(-1, 3)
    return _mesh(vertices, np.arange(len(vertices), dtype=np.int32).reshape(-1, 3))


def _mesh(vertices: F64, faces: I32) -> Mesh:
    return Mesh(
        vertices=np.ascontiguousarray(vertices, dtype=np.float32),
        faces=np.ascontiguousarray(faces, dtype=np.int32),
    )


def _to_bone(placement: Placement, points: F64) -> F64:
    return (points - placement.mesh_from_bone[:3, 3]) @ placement.mesh_from_bone[:3, :3]


def _length(points: F64) -> float:
    """Extent along the first principal axis."""
    centered = points - points.mean(axis=0)
    axis = np.linalg.eigh(centered.T @ centered)[1][:, -1]
    return float(np.ptp(centered @ axis))


def _checked_sd(value: float) -> float:
    if not (np.isfinite(value) and value >= 0.0):
        raise InputError(f"inadequacy_mm must be 0 or positive, got {value}")
    return value


def _without(source: PointShapes, leave_out: Sequence[int]) -> PointShapes:
    count = len(source.shapes)
    wrong = [i for i in leave_out if not 0 <= i < count]
    if wrong:
        raise InputError(f"leave_out must hold indices 0..{count - 1}, got {wrong}")
    if len(set(leave_out)) == count:
        raise InputError("leave_out leaves nobody to build from")
    return replace(source, shapes=np.delete(source.shapes, sorted(set(leave_out)), axis=0))
