// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "osteoform/base/clones.hpp"
#include "osteoform/base/lanes.hpp"

namespace osteoform {

/// A matrix whose rows lie `width` apart.
template <typename Scalar>
struct RowsOf {
  Scalar* data;
  int width;

  RowsOf from_column(int c) const { return {data + c, width}; }
};

/// out = a' b for 4 columns of a and 1 or 2 lanes of columns of b: what is summed stays in
/// registers while all rows pass.
template <typename Lane, int kNumLanes, typename Scalar>
OSTEOFORM_INLINE void block_product(RowsOf<const Scalar> a,
                                    RowsOf<const Scalar> b,
                                    int num_rows,
                                    RowsOf<Scalar> out) {
  constexpr int kSize = sizeof(Lane) / sizeof(Scalar);
  Lane s[4 * kNumLanes] = {};
  for (int q = 0; q < num_rows; ++q, a.data += a.width, b.data += b.width) {
    for (int l = 0; l < kNumLanes; ++l) {
      const Lane column = lanes<Lane>(b.data + l * kSize);
      for (int k = 0; k < 4; ++k) s[kNumLanes * k + l] += a.data[k] * column;
    }
  }
  for (int k = 0; k < 4; ++k, out.data += out.width) {
    for (int l = 0; l < kNumLanes; ++l) lanes<Lane>(out.data + l * kSize) = s[kNumLanes * k + l];
  }
}

}  // namespace osteoform
