// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "osteoform/fit/scales.hpp"
#include "osteoform/fit/terms/boundary_term.hpp"

namespace osteoform {

inline constexpr double kReportWindow_mm = 5.0;

/// Searches the boundary from every silhouette point and fills `boundary`.
/// @param cap  [in/out] gradient above which an edge scores no higher; follows the median edge
void search_view(const ViewScales& scales,
                 const std::vector<SilhouettePoint>& silhouette,
                 double half_width_mm,
                 const FitOptions& options,
                 ThreadPool& pool,
                 std::vector<BoundaryPoint>& edges,
                 float& cap,
                 ViewBoundary& boundary);

/// How far along the normal the steepest fall lies inside the true rim, in pixels: the attenuation
/// of a convex rim grows like the root of the depth, and a Gaussian of sigma moves its steepest
/// point inward by 0.765 sigma.
double edge_bias_px(double sigma_px, const FitOptions& options, double px_per_mm);

/// Edges that stand out of the gradient noise by this many standard deviations are edges.
inline constexpr float kEdgeOverNoise = 3.0F;

/// All silhouette points in the patch and the edge within kReportWindow_mm of each.
/// @param offsets_mm  [out] one per point; NaN where there is no edge
void report_view(const ViewScales& scales,
                 const std::vector<SilhouettePoint>& silhouette,
                 const FitOptions& options,
                 std::vector<float>& offsets_mm,
                 std::vector<float>& found_px,
                 int& num_inside);

}  // namespace osteoform
