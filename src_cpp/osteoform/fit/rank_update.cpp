// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/rank_update.hpp"

#include <cstddef>

#include "osteoform/base/clones.hpp"
#include "osteoform/base/lanes.hpp"

namespace osteoform {

// A block of 4 rows and 16 (8) columns of sums stays in registers while all rows pass.

OSTEOFORM_CLONES void rank_update(
    const float* weighted, const float* rows, int num_rows, int width, float* sums) {
  for (int r = 0; r < width; r += 4) {
    int c = r / kRankUpdateColumns * kRankUpdateColumns;
    for (; c + 16 <= width; c += 16) {
      Float8 s[8] = {};
      const float* a = weighted + r;
      const float* b = rows + c;
      for (int q = 0; q < num_rows; ++q, a += width, b += width) {
        const Float8 left = lanes<Float8>(b);
        const Float8 right = lanes<Float8>(b + 8);
        s[0] += a[0] * left;
        s[1] += a[0] * right;
        s[2] += a[1] * left;
        s[3] += a[1] * right;
        s[4] += a[2] * left;
        s[5] += a[2] * right;
        s[6] += a[3] * left;
        s[7] += a[3] * right;
      }
      float* out = sums + static_cast<std::ptrdiff_t>(r) * width + c;
      for (int k = 0; k < 4; ++k, out += width) {
        lanes<Float8>(out) = s[2 * k];
        lanes<Float8>(out + 8) = s[2 * k + 1];
      }
    }
    if (c == width) continue;
    Float8 s[4] = {};
    const float* a = weighted + r;
    const float* b = rows + c;
    for (int q = 0; q < num_rows; ++q, a += width, b += width) {
      const Float8 left = lanes<Float8>(b);
      s[0] += a[0] * left;
      s[1] += a[1] * left;
      s[2] += a[2] * left;
      s[3] += a[3] * left;
    }
    float* out = sums + static_cast<std::ptrdiff_t>(r) * width + c;
    for (int k = 0; k < 4; ++k, out += width) lanes<Float8>(out) = s[k];
  }
}

OSTEOFORM_CLONES void rank_update(
    const double* weighted, const double* rows, int num_rows, int width, double* sums) {
  for (int r = 0; r < width; r += 4) {
    for (int c = r / kRankUpdateColumns * kRankUpdateColumns; c < width; c += 8) {
      Double4 s[8] = {};
      const double* a = weighted + r;
      const double* b = rows + c;
      for (int q = 0; q < num_rows; ++q, a += width, b += width) {
        const Double4 left = lanes<Double4>(b);
        const Double4 right = lanes<Double4>(b + 4);
        s[0] += a[0] * left;
        s[1] += a[0] * right;
        s[2] += a[1] * left;
        s[3] += a[1] * right;
        s[4] += a[2] * left;
        s[5] += a[2] * right;
        s[6] += a[3] * left;
        s[7] += a[3] * right;
      }
      double* out = sums + static_cast<std::ptrdiff_t>(r) * width + c;
      for (int k = 0; k < 4; ++k, out += width) {
        lanes<Double4>(out) = s[2 * k];
        lanes<Double4>(out + 4) = s[2 * k + 1];
      }
    }
  }
}

}  // namespace osteoform
