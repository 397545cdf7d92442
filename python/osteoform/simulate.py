"""X-rays of meshes: bones with a cortex, soft tissue, metal, and the physics of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from osteoform import _core
from osteoform._bodies import ellipsoid, soft_tissue_around, tube
from osteoform._core import ConeView, InputError, SlotView
from osteoform._types import F32, F64, Mesh

_NUM_SECTIONS = 24
_SHAFT_ELONGATION = 2.5  # bones less elongated than this (the patella) have no shaft
_SHAFT_START, _SHAFT_FULL = 0.1, 0.3  # cortex thickens from here to there, in parts of the length
_MAX_DEPTH = 0.45  # of the local radius: the medullary canal never closes


@dataclass(frozen=True, kw_only=True)
class Physics:
    """What the beam meets and how the image forms.

    Attenuations [1/mm] are NIST XCOM mass coefficients at 60 keV times tabulated densities:
    cortical bone 0.315 cm2/g x 1.92 g/cm3, cancellous bone (with marrow) about 0.23 x 1.18, soft
    tissue 0.205 x 1.0, titanium 0.766 x 4.5.

    Attributes
    ----------
    cortical_shaft_mm, cortical_end_mm
        Thickness of the cortex at mid-shaft and at the ends.
    dose
        Photons per pixel in the open beam; infinity: no noise.
    blur_px
        Sigma of the detector's point spread.
    scatter, scatter_px
        Share of the signal that arrives spread out, and the sigma of its spread.
    hardening
        Relative half-spread of attenuation over two equally strong spectral lines.
    """

    mu_cortical: float = 0.0605
    mu_cancellous: float = 0.0271
    mu_soft: float = 0.0205
    mu_metal: float = 0.345
    cortical_shaft_mm: float = 5.0
    cortical_end_mm: float = 1.0
    dose: float = 5000.0
    blur_px: float = 0.7
    scatter: float = 0.2
    scatter_px: float = 40.0
    hardening: float = 0.0


def simulate_view(
    meshes: Sequence[Mesh],
    geometry: ConeView | SlotView,
    *,
    size_px: tuple[int, int],
    physics: Physics | None = None,
    seed: int = 0,
    soft: Sequence[Mesh] | None = None,
    metal: Sequence[Mesh] = (),
    num_threads: int = 1,
) -> F32:
    """Simulate a radiograph of bones.

    Parameters
    ----------
    meshes
        Closed bones, outward, in the world [mm]. They displace soft tissue.
    geometry
        The view.
    size_px
        (width, height).
    physics
        None: the defaults.
    seed
        Of the photon noise; the image does not depend on `num_threads`.
    soft
        Soft-tissue bodies, which should not overlap; None: `soft_tissue_around(meshes)`.
    metal
        Pins, wires, implants.

    Returns
    -------
    (height, width) float32 in [0, 1]: transmitted share of the open beam, dark is dense.

    Raises
    ------
    InputError
        A mesh is not closed or not finite, or a setting is out of range.
    """
    physics = physics or Physics()
    width, height = size_px
    if soft is None:
        soft = soft_tissue_around(meshes) if meshes else ()
    bodies = [
        *(_bone(mesh, physics) for mesh in meshes),
        *(_solid(mesh, physics.mu_soft, "soft") for mesh in soft),
        *(_solid(mesh, physics.mu_metal, "metal") for mesh in metal),
    ]
    exposure = _core.ExposureOptions(
        dose=physics.dose,
        blur_px=physics.blur_px,
        scatter_fraction=physics.scatter,
        scatter_px=physics.scatter_px,
        hardening=physics.hardening,
        seed=seed,
    )
    return _core.simulate_radiograph(
        bodies=bodies,
        view=geometry,
        width=width,
        height=height,
        exposure=exposure,
        num_threads=num_threads,
    )


def medullary_surface(mesh: Mesh, *, shaft_mm: float, end_mm: float) -> F32:
    """Inner surface of the cortex: vertices (N, 3) [mm], same faces.

    Vertices move inward along their normals by `end_mm` at the ends of the bone and `shaft_mm` in
    its shaft, at most 0.45 of the local radius. Bones without a shaft get `end_mm` throughout.
    """
    points = np.asarray(mesh.vertices, dtype=np.float64)
    centered = points - points.mean(axis=0)
    variances, axes = np.linalg.eigh(centered.T @ centered)
    position = centered @ axes[:, -1]
    fraction = (position - position.min()) / np.ptp(position)
    radius = _local_radius(centered @ axes[:, :-1], fraction)
    depth = np.full(len(points), float(end_mm))
    if variances[-1] > _SHAFT_ELONGATION**2 * variances[-2]:
        ramp = (np.minimum(fraction, 1.0 - fraction) - _SHAFT_START) / (_SHAFT_FULL - _SHAFT_START)
        ramp = np.clip(ramp, 0.0, 1.0)
        depth += (shaft_mm - end_mm) * ramp * ramp * (3.0 - 2.0 * ramp)
    depth = np.minimum(depth, _MAX_DEPTH * radius)
    return _core.inner_surface(mesh.vertices, mesh.faces, depth.astype(np.float32))


def inverted(image: F32) -> F32:
    """Swap polarity: bright is dense."""
    return np.float32(1.0) - image


def log_response(image: F32, *, floor: float = 1e-3) -> F32:
    """Grey values as on film: logarithm of the transmission, 0 at `floor`, 1 in the open beam."""
    if not 0.0 < floor < 1.0:
        raise InputError(f"floor must be between 0 and 1, found {floor}")
    return np.asarray(1.0 - np.log(np.maximum(image, floor)) / np.log(floor), dtype=np.float32)


def collimated_circle(
    image: F32, *, center_px: tuple[float, float], radius_px: float, border: float = 0.0
) -> F32:
    """Replace what lies outside a circle, center (u, v), by a grey value."""
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    outside = (columns - center_px[0]) ** 2 + (rows - center_px[1]) ** 2 > radius_px**2
    return np.where(outside, np.float32(border), image)


def collimated_box(
    image: F32, *, box_px: tuple[float, float, float, float], border: float = 0.0
) -> F32:
    """Replace what lies outside a box (u0, v0, u1, v1) by a grey value."""
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    u0, v0, u1, v1 = box_px
    outside = (columns < u0) | (columns > u1) | (rows < v0) | (rows > v1)
    return np.where(outside, np.float32(border), image)


def _local_radius(across: F64, fraction: F64) -> F64:
    """Mean distance from the middle of the section at each vertex, across (N, 2)."""
    section = np.minimum((fraction * _NUM_SECTIONS).astype(np.int64), _NUM_SECTIONS - 1)
    count = np.maximum(np.bincount(section, minlength=_NUM_SECTIONS), 1)
    middle = np.stack(
        [np.bincount(section, across[:, k], _NUM_SECTIONS) / count for k in range(2)], axis=1
    )
    distance = np.linalg.norm(across - middle[section], axis=1)
    mean = np.bincount(section, distance, _NUM_SECTIONS) / count
    centers = (np.arange(_NUM_SECTIONS) + 0.5) / _NUM_SECTIONS
    return np.asarray(np.interp(fraction, centers, mean), dtype=np.float64)


def _bone(mesh: Mesh, physics: Physics) -> _core.Body:
    inner = medullary_surface(
        mesh, shaft_mm=physics.cortical_shaft_mm, end_mm=physics.cortical_end_mm
    )
    return _core.Body(
        vertices=mesh.vertices,
        faces=mesh.faces,
        mu_per_mm=physics.mu_cortical,
        inner_vertices=inner,
        inner_mu_per_mm=physics.mu_cancellous,
    )


def _solid(mesh: Mesh, mu_per_mm: float, tissue: str) -> _core.Body:
    return _core.Body(vertices=mesh.vertices, faces=mesh.faces, mu_per_mm=mu_per_mm, tissue=tissue)


__all__ = [
    "Physics",
    "collimated_box",
    "collimated_circle",
    "ellipsoid",
    "inverted",
    "log_response",
    "medullary_surface",
    "simulate_view",
    "soft_tissue_around",
    "tube",
]
