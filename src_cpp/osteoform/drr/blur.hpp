// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "osteoform/base/parallel.hpp"

namespace osteoform {

/// An image that belongs to someone else: row by row, no gaps.
struct RasterView {
  float* values = nullptr;
  int width = 0;
  int height = 0;

  float* row(int v) const { return values + static_cast<std::ptrdiff_t>(v) * width; }
  std::size_t size() const { return static_cast<std::size_t>(width) * height; }
};

/// Gaussian blur in place, truncated at 3 sigma; the border pixel continues outside the image.
void blur_gaussian(RasterView image, double sigma_px, ThreadPool& pool);

/// Nearly Gaussian blur in place for wide sigma: three box blurs each way, at a cost that does not
/// grow with sigma. The variance is right to within a pixel's rounding of the box widths.
void blur_wide(RasterView image, double sigma_px, ThreadPool& pool);

}  // namespace osteoform
