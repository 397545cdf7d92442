"""From a mesh file of any origin to one closed surface in mm; what had to be done is said."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from osteoform._core import ClosestPointTree
from osteoform._errors import InputError
from osteoform._types import Mesh
from osteoform.io.meshes import is_closed, read_mesh_file
from osteoform.modeling._scipy import components, two_colours
from osteoform.modeling.surface import F64, face_normals, signed_volume

I64 = NDArray[np.int64]

MIN_VERTICES = 100
# Area of all closed holes, and of all bodies left out, as shares of the bone's surface: a femur
# may have a hole of some 15 mm across, but no missing end, and specks, but no second bone.
MAX_HOLES = 0.005
MAX_SPECKS = 0.05
# Length of a bone as a multiple of the template's: no adult bone lies outside.
SHORTEST, LONGEST = 0.55, 1.8
_WELD = 1e-6  # of the extent
_UNITS = (("mm", 1.0), ("cm", 10.0), ("m", 1000.0))


@dataclass(frozen=True, kw_only=True)
class RepairedBone:
    """One closed surface [mm], wound outward, and in words what was repaired."""

    name: str
    mesh: Mesh = field(repr=False)
    repairs: tuple[str, ...]


def read_bone(path: str | Path, *, length_mm: float) -> RepairedBone:
    """Read a mesh file and repair it; `length_mm` as for `repair_bone`.

    Raises
    ------
    InputError
        The file cannot be read, or the mesh cannot be repaired without guessing.
    """
    file = read_mesh_file(path)
    try:
        return repair_bone(
            file.mesh, length_mm=length_mm, name=Path(path).stem, repairs=file.repairs
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def repair_bone(
    mesh: Mesh, *, length_mm: float, name: str = "", repairs: tuple[str, ...] = ()
) -> RepairedBone:
    """Make one closed surface in mm of a mesh, and say what was done to it.

    Repaired are: vertices that lie on each other, small extra bodies and surfaces inside the bone,
    small holes, triangles wound against their neighbours, a surface wound inward, and cm or m.

    Parameters
    ----------
    length_mm
        Length of an ordinary bone of this kind: the unit and missing ends are told by it.
    repairs
        What was repaired before, kept in front.

    Raises
    ------
    InputError
        Coordinates that are not finite, too few vertices, two bodies, a hole too large to close,
        an edge of more than two triangles, or a length that no unit explains.
    """
    vertices, faces = mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64)
    if not np.isfinite(vertices).all():
        raise InputError("needed finite coordinates, found NaN or infinity")
    done = list(repairs)
    vertices, faces = _weld(vertices, faces, done)
    vertices, faces = _keep_one_body(vertices, faces, done)
    if len(vertices) < MIN_VERTICES:
        raise InputError(f"needed {MIN_VERTICES} vertices or more, found {len(vertices)}")
    faces = _wind_alike(faces, done)
    vertices, faces = _close_holes(vertices, faces, done)
    if signed_volume(vertices, faces.astype(np.int32)) < 0.0:
        faces = faces[:, ::-1]
        done.append("the surface was wound inward: turned outward")
    vertices = _to_mm(vertices, length_mm, done)
    repaired = Mesh(
        vertices=np.ascontiguousarray(vertices, np.float32),
        faces=np.ascontiguousarray(faces, np.int32),
    )
    return RepairedBone(name=name, mesh=repaired, repairs=tuple(done))


def length_of(vertices: F64) -> float:
    """Extent along the longest principal axis, whatever the axes of the file."""
    centered = vertices - vertices.mean(axis=0)
    return float(np.ptp(centered @ np.linalg.eigh(centered.T @ centered)[1][:, -1]))


def _weld(vertices: F64, faces: I64, done: list[str]) -> tuple[F64, I64]:
    size = max(float(np.ptp(vertices, axis=0).max()), 1e-12)
    _, first, renumbered = np.unique(
        np.round((vertices - vertices.min(axis=0)) / (_WELD * size)).astype(np.int64),
        axis=0,
        return_index=True,
        return_inverse=True,
    )
    if len(first) < len(vertices):
        done.append(f"{len(vertices) - len(first)} vertices that lay on others joined with them")
        vertices, faces = vertices[first], renumbered.reshape(-1)[faces]
    distinct = (np.diff(np.sort(faces, axis=1), axis=1) > 0).all(axis=1)
    _, single = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    keep = np.zeros(len(faces), dtype=np.bool_)
    keep[single] = True
    keep &= distinct
    if not keep.all():
        done.append(f"{int(np.sum(~keep))} triangles without area or given twice removed")
        faces = faces[keep]
    return _compact(vertices, faces)


def _compact(vertices: F64, faces: I64) -> tuple[F64, I64]:
    used = np.unique(faces)
    return vertices[used], np.searchsorted(used, faces)


def _keep_one_body(vertices: F64, faces: I64, done: list[str]) -> tuple[F64, I64]:
    edges = np.concatenate([faces[:, :2], faces[:, 1:]])
    count, label = components(edges, len(vertices))
    if count == 1:
        return vertices, faces
    body = label[faces[:, 0]]
    areas = np.linalg.norm(face_normals(vertices, faces.astype(np.int32)), axis=1) / 2.0
    area = np.bincount(body, weights=areas, minlength=count)
    main = int(np.argmax(area))
    inner = _bodies_inside(vertices, faces, body, main)
    outer = [i for i in range(count) if i != main and i not in inner]
    share = float(area[outer].sum() / area.sum())
    if share > MAX_SPECKS:
        raise InputError(
            f"needed one bone, found {1 + len(outer)} separate bodies; those beside the largest "
            f"have {100 * share:.0f} % of the surface: keep one bone per file"
        )
    if outer:
        done.append(f"{len(outer)} small separate bodies removed, {100 * share:.1f} % of the area")
    if inner:
        done.append(f"{len(inner)} surfaces inside the bone removed")
    return _compact(vertices, faces[body == main])


def _bodies_inside(vertices: F64, faces: I64, body: I64, main: int) -> set[int]:
    """Bodies all of whose vertices lie behind the nearest triangle of the main one."""
    outside = faces[body == main]
    normals = face_normals(vertices, outside.astype(np.int32))
    a, b, c = (vertices[outside[:, k]] - vertices.mean(axis=0) for k in range(3))
    inward = float(np.einsum("ij,ij->", a, np.cross(b, c))) < 0.0
    tree = ClosestPointTree(
        vertices=np.asarray(vertices, np.float32), faces=np.asarray(outside, np.int32)
    )
    found = set()
    for other in set(body.tolist()) - {main}:
        points = vertices[np.unique(faces[body == other])]
        nearest, _, face = tree.find(points)
        ahead = np.einsum("ij,ij->i", points - nearest, normals[face])
        if ((ahead > 0.0) == inward).all():
            found.add(int(other))
    return found


def _wind_alike(faces: I64, done: list[str]) -> I64:
    """Turn the triangles that run an edge in the same direction as their neighbour."""
    start, end = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    size = int(faces.max()) + 1
    low, high = np.minimum(start, end), np.maximum(start, end)
    key, count = np.unique(low * size + high, return_counts=True)
    if (count > 2).any():
        raise InputError(
            f"needed edges of two triangles, found {int(np.sum(count > 2))} edges of more; "
            "repair the mesh in a mesh editor"
        )
    directed = start * size + end
    if len(np.unique(directed)) == len(directed):
        return faces
    order = np.argsort(low * size + high, kind="stable")
    key = (low * size + high)[order]
    twice = np.flatnonzero(key[1:] == key[:-1])
    one, two = order[twice], order[twice + 1]
    alike = start[one] == start[two]
    turned = two_colours(one // 3, two // 3, alike, len(faces))
    if turned is None:
        raise InputError("needed a surface with two sides, found one that cannot be wound alike")
    if 2 * int(turned.sum()) > len(faces):
        turned = ~turned
    done.append(f"{int(turned.sum())} triangles wound against their neighbours turned")
    return np.where(turned[:, None], faces[:, ::-1], faces)


def _close_holes(vertices: F64, faces: I64, done: list[str]) -> tuple[F64, I64]:
    if is_closed(faces):
        return vertices, faces
    loops = _boundary_loops(faces)
    points, lids = [vertices], [faces]
    for loop in loops:
        tip = sum(len(p) for p in points)
        points.append(vertices[loop].mean(axis=0, keepdims=True))
        # Boundary edges run forward in the surface, hence backward in the lid.
        lids.append(np.stack([np.roll(loop, -1), loop, np.full(len(loop), tip)], axis=1))
    closed, all_faces = np.concatenate(points), np.concatenate(lids)
    areas = np.linalg.norm(face_normals(closed, all_faces.astype(np.int32)), axis=1)
    share = float(areas[len(faces) :].sum() / areas.sum())
    if share > MAX_HOLES or not is_closed(all_faces):
        raise InputError(
            f"needed a closed surface, found {len(loops)} holes of {100 * share:.1f} % of its "
            f"area (up to {100 * MAX_HOLES:.1f} % are closed); give whole bones"
        )
    done.append(f"{len(loops)} holes closed, {100 * share:.2f} % of the area")
    return closed, all_faces


def _boundary_loops(faces: I64) -> list[I64]:
    """Loops of edges of one triangle, in the direction in which the triangle runs them."""
    start, end = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    size = int(faces.max()) + 1
    open_ = ~np.isin(end * size + start, start * size + end)
    following: dict[int, int] = {}
    for a, b in zip(start[open_].tolist(), end[open_].tolist(), strict=True):
        if a in following:
            raise InputError("needed simple holes, found two that touch in one vertex")
        following[a] = b
    loops = []
    while following:
        first, current = next(iter(following.items()))
        loop = [first]
        del following[first]
        while current != first:
            loop.append(current)
            if current not in following:
                raise InputError("needed simple holes, found an open chain of edges")
            current = following.pop(current)
        loops.append(np.array(loop, dtype=np.int64))
    return loops


def _to_mm(vertices: F64, length_mm: float, done: list[str]) -> F64:
    length = length_of(vertices)
    for unit, factor in _UNITS:
        if SHORTEST * length_mm <= factor * length <= LONGEST * length_mm:
            if factor != 1.0:
                done.append(f"{length:.3g} long, taken as {unit}: multiplied by {factor:.0f}")
            return vertices * factor
    raise InputError(
        f"needed a whole bone of some {length_mm:.0f} mm, found one of {length:.3g}, which is "
        "none in mm, cm or m: is it this bone, and whole?"
    )
