// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "osteoform/geometry/triangle_mesh.hpp"
#include "osteoform/xray/view.hpp"

namespace osteoform {

/// Point of the silhouette: on edge (i, j) at x = (1 - alpha) x_i + alpha x_j.
struct SilhouettePoint {
  std::int32_t i = 0;
  std::int32_t j = 0;
  float alpha = 0.0F;
  float px[2] = {0.0F, 0.0F};      ///< in the image
  float normal[2] = {0.0F, 0.0F};  ///< outward unit normal of the rim in the image
  float rim_mm = 0.0F;             ///< length of rim that it stands for, about
};

/// Buffers of extract_silhouette, kept between calls.
struct SilhouetteWorkspace {
  std::vector<float> facing;           ///< n . ray per vertex
  std::vector<std::uint8_t> away;      ///< 1 where that is negative
  std::vector<std::int32_t> edge_ids;  ///< edges whose ends differ
};

/// Smooth silhouette generator: every edge whose ends face the source differently holds one point,
/// where the interpolated n . ray vanishes (Hertzmann and Zorin 2000). Outer and inner rims.
/// The image normal is that of the projected tangent plane, (J J^T)^-1 J n, J = d(u, v)/dx.
/// @param view        geometry whose world is the frame of `vertices`
/// @param max_points  an even selection is taken when there are more
/// @param points      [out] replaced
void extract_silhouette(const View& view,
                        const Points& vertices,
                        const Points& normals,
                        const Edges& edges,
                        int max_points,
                        SilhouetteWorkspace& workspace,
                        std::vector<SilhouettePoint>& points);

/// An even selection of at most max_points, in order.
void thin_out(int max_points, std::vector<SilhouettePoint>& points);

}  // namespace osteoform
