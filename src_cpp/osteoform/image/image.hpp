// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

namespace osteoform {

/// Grey values, row by row; the centre of the first pixel is (0, 0).
struct ImageF {
  int width = 0;
  int height = 0;
  std::vector<float> values;

  ImageF() = default;
  ImageF(int columns, int rows)
      : width(columns), height(rows), values(static_cast<std::size_t>(columns) * rows) {}

  float* row(int v) { return values.data() + static_cast<std::ptrdiff_t>(v) * width; }
  const float* row(int v) const { return values.data() + static_cast<std::ptrdiff_t>(v) * width; }
};

}  // namespace osteoform
