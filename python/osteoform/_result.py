"""What a reconstruction returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from osteoform._confidence import Evidence, probability_right
from osteoform._core import FitStatus
from osteoform._types import F32, F64, Detection, Mesh, Side


@dataclass(frozen=True, kw_only=True)
class BoneReconstruction:
    """One reconstructed bone; `status` says whether to believe it.

    Attributes
    ----------
    status
        NOT_FOUND: the features gave no trustworthy start, and the mesh is where they point, no more.
    confidence
        0 to 1: probability that what the images show of the bone is within 5 mm and 5 degrees,
        calibrated on simulated X-rays (`docs/detector.md`); 0 if not found.
    evidence
        What tells the confidence.
    mesh
        Watertight, in the world [mm].
    world_from_bone
        (4, 4) pose of the bone frame (x medial for a right bone, LPS otherwise) [mm].
    b
        (K,) shape coefficients, N(0, 1) each.
    vertex_sd_mm
        (N,) standard deviation of every vertex along its normal; empty if not asked for.
    corrections
        (V - 1, 6) how far the further views were off: rotation vector [rad], translation [mm].
    boundary_rms_mm, boundary_found
        Root mean square distance at the bone from silhouette to boundary, over every silhouette
        point in the image that has an edge within 5 mm, and the share that has one.
    detections
        What was taken from the detector, one per view.
    rims
        One (n, 4) array per view: pixel (u, v) of every silhouette point, outer and inner, and the
        outward unit normal of the rim there.
    boundary_px
        One (n, 2) array per view: the boundary found from each of them (NaN: none).
    """

    bone: str
    side: Side
    status: FitStatus
    confidence: float
    evidence: Evidence
    mesh: Mesh
    world_from_bone: F64
    b: F64 = field(repr=False)
    vertex_sd_mm: F32 = field(repr=False)
    corrections: F64 = field(repr=False)
    boundary_rms_mm: float
    boundary_found: float
    match_quality: float
    num_matched: float
    iterations: int
    detections: tuple[Detection, ...] = field(repr=False)
    rims: tuple[F32, ...] = field(repr=False)
    boundary_px: tuple[F32, ...] = field(repr=False)

    @property
    def silhouette_px(self) -> tuple[F32, ...]:
        """Projected rims: one (n, 2) array per view."""
        return tuple(rims[:, :2] for rims in self.rims)

    def with_evidence(self, evidence: Evidence, *, trust: float = 1.0) -> BoneReconstruction:
        """The same with other evidence, told by what is as sure as `trust`."""
        if self.status is FitStatus.NOT_FOUND:
            return self
        confidence = trust * probability_right(self.bone, evidence)
        return replace(self, evidence=evidence, confidence=confidence)

    def rejected(self) -> BoneReconstruction:
        """The same, not believed."""
        return replace(
            self,
            status=FitStatus.NOT_FOUND,
            confidence=0.0,
            boundary_rms_mm=float("nan"),
            boundary_found=0.0,
        )


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """The bones of one study, of which leg they are, and the time each stage took [ms]."""

    side: Side
    bones: Mapping[str, BoneReconstruction]
    timings_ms: Mapping[str, float]

    @property
    def confidence(self) -> float:
        """Mean confidence of the bones, 0 to 1."""
        return sum(bone.confidence for bone in self.bones.values()) / max(1, len(self.bones))
