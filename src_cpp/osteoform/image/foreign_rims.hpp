// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "osteoform/image/edge_image.hpp"

namespace osteoform {

/// Point of another body's rim in an image, and the rim's outward unit normal.
struct ForeignRim {
  float px[2] = {0.0F, 0.0F};
  float normal[2] = {0.0F, 0.0F};
};

/// Where edges of a patch belong to other bodies: per pixel, the normal of the nearest foreign rim
/// times how surely an edge there is that rim's, 0 to 1.
struct ForeignField {
  int width = 0;
  int height = 0;
  std::vector<float> values;  ///< 2 per pixel; empty where there is no foreign rim

  bool empty() const { return values.empty(); }

  /// What is left, 0 to 1, of an edge that falls along `normal` at (u, v): an edge across the rim,
  /// or one that falls the other way, is not the rim's.
  float share_left(float u, float v, const float normal[2]) const {
    const int column = static_cast<int>(u + 0.5F);
    const int row = static_cast<int>(v + 0.5F);
    if (column < 0 || row < 0 || column >= width || row >= height) return 1.0F;
    const float* rim = values.data() + 2 * (static_cast<std::ptrdiff_t>(row) * width + column);
    const float along = rim[0] * normal[0] + rim[1] * normal[1];
    return along > 0.0F ? 1.0F - along * along : 1.0F;
  }
};

/// @param rims        in pixels of the source image
/// @param certain_px  distance up to which an edge is surely the rim's, in pixels of the patch
/// @param reach_px    distance from which it surely is not
ForeignField make_foreign_field(const std::vector<ForeignRim>& rims,
                                const Patch& patch,
                                double certain_px,
                                double reach_px);

}  // namespace osteoform
