// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/rank_update.hpp"

#include <cstddef>

#include "osteoform/base/clones.hpp"
#include "osteoform/fit/block_product.hpp"

namespace osteoform {
OSTEOFORM_CLONES void rank_update(
    const float* weighted, const float* rows, int num_rows, int width, float* sums) {
  const RowsOf<const float> a{weighted, width}, b{rows, width};
  for (int r = 0; r < width; r += 4) {
    const RowsOf<float> out{sums + static_cast<std::ptrdiff_t>(r) * width, width};
    int c = r / kRankUpdateColumns * kRankUpdateColumns;
    for (; c + 16 <= width; c += 16) {
      block_product<Float8, 2>(a.from_column(r), b.from_column(c), num_rows, out.from_column(c));
    }
    if (c < width) {
      block_product<Float8, 1>(a.from_column(r), b.from_column(c), num_rows, out.from_column(c));
    }
  }
}

OSTEOFORM_CLONES void rank_update(
    const double* weighted, const double* rows, int num_rows, int width, double* sums) {
  const RowsOf<const double> a{weighted, width}, b{rows, width};
  for (int r = 0; r < width; r += 4) {
    const RowsOf<double> out{sums + static_cast<std::ptrdiff_t>(r) * width, width};
    for (int c = r / kRankUpdateColumns * kRankUpdateColumns; c < width; c += 8) {
      block_product<Double4, 2>(a.from_column(r), b.from_column(c), num_rows, out.from_column(c));
    }
  }
}

}  // namespace osteoform
