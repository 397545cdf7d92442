"""How to fit: the package's settings with the same names, and its fixed numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Options:
    """Lengths at the bone [mm]."""

    iterations: int = 24
    search_start_mm: float = 9.0
    search_end_mm: float = 2.2
    smoothing_mm: float = 0.35
    coarse_smoothing_mm: float = 0.9
    image_blur_mm: float = 0.25
    boundary_sigma_mm: float = 1.0
    boundary_correlation_mm: float = 6.0
    points_per_view: int = 192
    feature_sigma_mm: float = 1.0
    slack_cost: float = 9.0
    shape_prior: float = 1.0
    max_b: float = 4.0
    calibration_sd_mm: float = 0.5
    calibration_sd_deg: float = 0.2
    depth_sd_mm: float = 20.0
    step_tolerance_mm: float = 0.1


FEATURE_STEPS = 5
FINAL_SEARCHES = 5
LOSS_OVER_WINDOW = 0.7
ALL_POINTS = 1 << 20

PIXEL_AT_BONE_MM = 0.3
MARGIN_MM = 12.0
VERTEX_STEP = 4
COARSE_ABOVE_MM = 4.0

STEP_PX = 0.5
ROOT_EDGE_BIAS = 0.765
CAP_OVER_MEDIAN = 2.0
TRUST_AT_MEDIAN = 0.3
LEAST_INDEPENDENT = 60.0
EDGE_OVER_NOISE = 3.0
REPORT_WINDOW_MM = 5.0
