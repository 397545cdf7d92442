// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "osteoform/image/edge_image.hpp"
#include "osteoform/image/foreign_rims.hpp"

namespace osteoform {

inline constexpr int kMaxSearchSteps = 160;

/// Where to look for the boundary along an image normal, in pixels of the edge image.
struct SearchWindow {
  float half_width_px = 10.0F;
  float step_px = 0.5F;
  float cap = 0.0F;  ///< gradients above it score no higher (0: none): skin and metal outshine bone
};

/// A window made ready for many points.
struct SearchKernel {
  explicit SearchKernel(const SearchWindow& window);

  float step_px;
  float cap;
  int half;                                  ///< samples on either side
  float nearness[kMaxSearchSteps + 8] = {};  ///< exp(-q^2 / 2 tau^2) per sample, 0 at the ends
};

/// The edge that was found from one silhouette point.
struct BoundaryPoint {
  float offset_px = 0.0F;  ///< along the outward normal, sub-pixel
  float strength = 0.0F;   ///< fall of the attenuation per pixel at the edge; 0: no edge
  float own = 1.0F;        ///< 0 to 1: the share that no foreign rim claims
};

/// Finds the signed edge nearest to a silhouette point: attenuation falls along the outward normal
/// at every rim of a bone, outer or inner, so only falling edges count.
/// Score at offset q: min(d, cap) * d^2 / |gradient|^2 * exp(-q^2 / 2 tau^2), tau = half width / 2,
/// with d the fall along the normal; the second factor favours edges parallel to the rim. What
/// foreign rims claim of an edge does not score.
/// @param px      (u, v) in the edge image
/// @param normal  outward unit normal in the image
BoundaryPoint search_boundary(const EdgeImage& image,
                              const float px[2],
                              const float normal[2],
                              const SearchKernel& kernel,
                              const ForeignField& foreign = {});

inline BoundaryPoint search_boundary(const EdgeImage& image,
                                     const float px[2],
                                     const float normal[2],
                                     const SearchWindow& window) {
  return search_boundary(image, px, normal, SearchKernel(window));
}

}  // namespace osteoform
