// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "osteoform/fit/scales.hpp"
#include "osteoform/fit/terms/boundary_term.hpp"

namespace osteoform {

inline constexpr double kReportWindow_mm = 5.0;

/// What one search of this half width looks for in an image.
/// @param cap  gradient above which an edge scores no higher (0: none)
SearchKernel search_kernel(const Scale& scale, double half_width_mm, float cap);

/// Searches the boundary from silhouette points [first, last).
/// @param edges  as many as silhouette points; strength 0 where there is no edge
void search_points(const Scale& scale,
                   const std::vector<SilhouettePoint>& silhouette,
                   int first,
                   int last,
                   const SearchKernel& kernel,
                   std::vector<BoundaryPoint>& edges);

/// Makes observations of all edges of a view.
/// @param cap  [out] the next search's, after the median edge
void observe(const ViewScales& scales,
             const std::vector<SilhouettePoint>& silhouette,
             const std::vector<BoundaryPoint>& edges,
             double half_width_mm,
             const FitOptions& options,
             float& cap,
             ViewBoundary& boundary);

/// How far along the normal the steepest fall lies inside the true rim, in pixels: the attenuation
/// of a convex rim grows like the root of the depth, and a Gaussian of sigma moves its steepest
/// point inward by 0.765 sigma.
double edge_bias_px(const Scale& scale, const FitOptions& options);

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
