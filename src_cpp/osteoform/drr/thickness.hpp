// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "osteoform/base/parallel.hpp"
#include "osteoform/geometry/triangle_mesh.hpp"
#include "osteoform/xray/view.hpp"

namespace osteoform {

/// Path lengths [mm] in a rectangle of pixels, row by row; they are zero outside it.
struct ThicknessPatch {
  int first_u = 0;
  int first_v = 0;
  int width = 0;
  int height = 0;
  std::vector<float> values;

  const float* row(int v) const {
    return values.data() + static_cast<std::ptrdiff_t>(v - first_v) * width;
  }
};

/// Length of each pixel's ray inside a closed, outward-wound mesh, counted from the source.
///
/// Every triangle adds its depth along the ray where the ray leaves and subtracts it where the
/// ray enters, so neither sorting nor intersection lists are needed. Depths are exact (ray meets
/// plane), coverage is half-open in rows and columns: a shared edge belongs to one triangle.
/// The rays of a SlotView lie in the planes of their rows. Bodies around the source are cut there.
ThicknessPatch thickness(const Points& vertices,
                         const Faces& faces,
                         const View& view,
                         int width,
                         int height,
                         ThreadPool& pool);

}  // namespace osteoform
