"""Even triangles on a closed surface: collapse short edges, split long ones, flip, relax.

After M. Botsch, L. Kobbelt, A Remeshing Approach to Multiresolution Modeling, 2004; every step
keeps the surface closed and manifold.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from osteoform._types import F64, I32

Size = Callable[[F64], F64]
Project = Callable[[F64], F64]


class EditableMesh:
    """A closed triangle mesh whose edges can be collapsed, split and flipped."""

    def __init__(self, vertices: F64, faces: I32) -> None:
        self.points = [np.array(p) for p in vertices]
        self.faces: list[tuple[int, int, int] | None] = [
            (int(a), int(b), int(c)) for a, b, c in faces
        ]
        self.around: list[set[int]] = [set() for _ in vertices]
        for i, face in enumerate(faces):
            for v in face:
                self.around[int(v)].add(i)

    def arrays(self) -> tuple[F64, I32]:
        """Compact vertices (N, 3) and faces (M, 3)."""
        faces = np.array([f for f in self.faces if f is not None], dtype=np.int64)
        used, renumbered = np.unique(faces, return_inverse=True)
        points = np.array([self.points[i] for i in used])
        return points, renumbered.reshape(faces.shape).astype(np.int32)

    def edges(self) -> list[tuple[int, int]]:
        """Each edge once, lower index first."""
        found = set()
        for face in self.faces:
            if face is not None:
                for a, b in zip(face, face[1:] + face[:1], strict=True):
                    found.add((min(a, b), max(a, b)))
        return sorted(found)

    def length(self, a: int, b: int) -> float:
        """Length of an edge [mm]."""
        d = self.points[a] - self.points[b]
        return float(np.sqrt(d @ d))

    def neighbours(self, v: int) -> set[int]:
        """Vertices joined to a vertex."""
        return {w for f in self.around[v] for w in self._face(f)} - {v}

    def collapse(self, a: int, b: int, longest: float) -> bool:
        """Merge b into a at their middle, unless the surface would suffer."""
        near_a, near_b = self.neighbours(a), self.neighbours(b)
        if b not in near_a or len(near_a & near_b) != 2 or len(near_a | near_b) > 11:
            return False
        if any(len(self.around[w]) <= 3 for w in near_a & near_b):
            return False
        middle = (self.points[a] + self.points[b]) / 2
        for w in (near_a | near_b) - {a, b}:
            d = self.points[w] - middle
            if d @ d > longest * longest:
                return False
        shared = self.around[a] & self.around[b]
        kept = (self.around[a] | self.around[b]) - shared
        if any(self._folds(f, (a, b), middle) for f in kept):
            return False
        self.points[a] = middle
        for f in shared:
            self._drop(f)
        for f in list(self.around[b]):
            face = self._face(f)
            self._drop(f)
            self._set(f, tuple(a if v == b else v for v in face))
        return True

    def split(self, a: int, b: int) -> None:
        """Put a vertex in the middle of an edge."""
        new = len(self.points)
        self.points.append((self.points[a] + self.points[b]) / 2)
        self.around.append(set())
        for f in list(self.around[a] & self.around[b]):
            face = self._face(f)
            self._drop(f)
            self._set(f, tuple(new if v == b else v for v in face))
            self.faces.append(None)
            self._set(len(self.faces) - 1, tuple(new if v == a else v for v in face))

    def flip(self, a: int, b: int) -> bool:
        """Turn an edge inside its two triangles where that opens their smallest angle."""
        pair = list(self.around[a] & self.around[b])
        if len(pair) != 2:
            return False
        first, second = (self._face(f) for f in pair)
        if first[(first.index(a) + 1) % 3] != b:
            first, second, pair = second, first, pair[::-1]
        c = next(v for v in first if v not in (a, b))
        d = next(v for v in second if v not in (a, b))
        if d in self.neighbours(c) or min(len(self.around[a]), len(self.around[b])) <= 3:
            return False
        now = min(self._quality(a, b, c), self._quality(b, a, d))
        then = min(self._quality(a, d, c), self._quality(d, b, c))
        n0 = self._normal(a, b, c) + self._normal(b, a, d)
        upright = min(self._normal(a, d, c) @ n0, self._normal(d, b, c) @ n0)
        if then <= now + 1e-9 or upright <= 0.0:
            return False
        for f in pair:
            self._drop(f)
        self._set(pair[0], (a, d, c))
        self._set(pair[1], (d, b, c))
        return True

    def _face(self, f: int) -> tuple[int, int, int]:
        face = self.faces[f]
        assert face is not None
        return face

    def _drop(self, f: int) -> None:
        for v in self._face(f):
            self.around[v].discard(f)
        self.faces[f] = None

    def _set(self, f: int, face: tuple[int, ...]) -> None:
        self.faces[f] = (face[0], face[1], face[2])
        for v in face:
            self.around[v].add(f)

    def _normal(self, a: int, b: int, c: int) -> F64:
        p, q, r = self.points[a], self.points[b], self.points[c]
        u, v = q - p, r - p
        return np.array(
            [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
        )

    def _quality(self, a: int, b: int, c: int) -> float:
        p, q, r = self.points[a], self.points[b], self.points[c]
        n = self._normal(a, b, c)
        squares = (q - p) @ (q - p) + (r - q) @ (r - q) + (p - r) @ (p - r)
        return float(np.sqrt(n @ n) * 2 * np.sqrt(3.0) / max(squares, 1e-12))

    def _folds(self, f: int, moved: tuple[int, int], to: F64) -> bool:
        face = self._face(f)
        before = self._normal(*face)
        corners = [to if v in moved else self.points[v] for v in face]
        u, v = corners[1] - corners[0], corners[2] - corners[0]
        after = np.array(
            [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
        )
        sizes = np.sqrt((before @ before) * (after @ after))
        return bool(before @ after < 0.5 * sizes or sizes < 1e-9)


def remesh(
    vertices: F64, faces: I32, *, size: Size, project: Project, rounds: int = 6
) -> tuple[F64, I32]:
    """Remesh a closed surface to edges of about `size(points)` [mm].

    Parameters
    ----------
    vertices, faces
        (N, 3) [mm] and (M, 3), closed and manifold.
    size
        Wanted edge length (P,) at points (P, 3).
    project
        Moves points (P, 3) onto the surface.
    """
    for _ in range(rounds):
        mesh = EditableMesh(vertices, faces)
        _refine(mesh, size)
        for _ in range(2):
            for a, b in mesh.edges():
                mesh.flip(a, b)
        vertices, faces = mesh.arrays()
        vertices = relax(vertices, faces, project=project, steps=5)
    return vertices, faces


def _refine(mesh: EditableMesh, size: Size) -> None:
    wanted = size(np.array(mesh.points))
    edges = mesh.edges()
    for a, b in sorted(edges, key=lambda e: mesh.length(*e)):
        target = float(min(wanted[a], wanted[b]))
        if mesh.around[a] and mesh.around[b] and mesh.length(a, b) < 0.8 * target:
            mesh.collapse(a, b, 4 / 3 * target)
    for a, b in mesh.edges():
        if mesh.length(a, b) > 4 / 3 * float(max(wanted[a], wanted[b])):
            mesh.split(a, b)


def relax(vertices: F64, faces: I32, *, project: Project, steps: int, share: float = 0.6) -> F64:
    """Slide vertices towards the middle of their neighbours, along the surface."""
    for _ in range(steps):
        vertices = project(vertices + share * _tangential(vertices, faces))
    return vertices


def _tangential(vertices: F64, faces: I32) -> F64:
    ring = np.zeros_like(vertices)
    count = np.zeros(len(vertices))
    normals = np.zeros_like(vertices)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    for k in range(3):
        np.add.at(ring, faces[:, k], vertices[faces[:, (k + 1) % 3]])
        np.add.at(count, faces[:, k], 1.0)
        np.add.at(normals, faces[:, k], normal)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    pull = ring / count[:, None] - vertices
    return np.asarray(pull - np.einsum("ij,ij->i", pull, normals)[:, None] * normals)
