// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "osteoform/silhouette/silhouette.hpp"

namespace osteoform {

/// Which pixels of a coarse grid the projected mesh covers.
struct Coverage {
  double cell_px = 1.0;  ///< source pixels per cell
  double left_px = 0.0;
  double top_px = 0.0;
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> covered;
  std::vector<float> projected;  ///< 2 per vertex, in cells

  bool at(double u_px, double v_px) const {
    const int u = static_cast<int>((u_px - left_px) / cell_px + 0.5);
    const int v = static_cast<int>((v_px - top_px) / cell_px + 0.5);
    return u >= 0 && v >= 0 && u < width && v < height &&
           covered[static_cast<std::size_t>(v) * width + u] != 0;
  }
};

/// Fills the projected triangles. Vertices must lie in front of the source.
/// @param view  geometry whose world is the frame of `vertices`
void cover(const View& view,
           const Points& vertices,
           const Faces& faces,
           double cell_px,
           Coverage& coverage);

/// Keeps the points beyond which, along the outward normal, nothing of the mesh is projected: the
/// rims of the shadow. An opaque body (metal) shows no others.
void keep_outer_rims(const Coverage& coverage, std::vector<SilhouettePoint>& points);

}  // namespace osteoform
