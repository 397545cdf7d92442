// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/rank_update.hpp"

#include <cstddef>

#include "osteoform/base/clones.hpp"
#include "osteoform/base/lanes.hpp"

namespace osteoform {
namespace {

/// The sums of 4 rows and 1 or 2 lanes of columns stay in registers while all rows pass.
template <typename Lane, int kNumLanes, typename Scalar>
OSTEOFORM_INLINE void update_block(
    const Scalar* a, const Scalar* b, int num_rows, int width, Scalar* out) {
  constexpr int kSize = sizeof(Lane) / sizeof(Scalar);
  Lane s[4 * kNumLanes] = {};
  for (int q = 0; q < num_rows; ++q, a += width, b += width) {
    for (int l = 0; l < kNumLanes; ++l) {
      const Lane column = lanes<Lane>(b + l * kSize);
      for (int k = 0; k < 4; ++k) s[kNumLanes * k + l] += a[k] * column;
    }
  }
  for (int k = 0; k < 4; ++k, out += width) {
    for (int l = 0; l < kNumLanes; ++l) lanes<Lane>(out + l * kSize) = s[kNumLanes * k + l];
  }
}

}  // namespace

OSTEOFORM_CLONES void rank_update(
    const float* weighted, const float* rows, int num_rows, int width, float* sums) {
  for (int r = 0; r < width; r += 4) {
    float* out = sums + static_cast<std::ptrdiff_t>(r) * width;
    int c = r / kRankUpdateColumns * kRankUpdateColumns;
    for (; c + 16 <= width; c += 16) {
      update_block<Float8, 2>(weighted + r, rows + c, num_rows, width, out + c);
    }
    if (c < width) update_block<Float8, 1>(weighted + r, rows + c, num_rows, width, out + c);
  }
}

OSTEOFORM_CLONES void rank_update(
    const double* weighted, const double* rows, int num_rows, int width, double* sums) {
  for (int r = 0; r < width; r += 4) {
    double* out = sums + static_cast<std::ptrdiff_t>(r) * width;
    for (int c = r / kRankUpdateColumns * kRankUpdateColumns; c < width; c += 8) {
      update_block<Double4, 2>(weighted + r, rows + c, num_rows, width, out + c);
    }
  }
}

}  // namespace osteoform
