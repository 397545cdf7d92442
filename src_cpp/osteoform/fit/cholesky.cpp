// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/cholesky.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "osteoform/base/clones.hpp"
#include "osteoform/base/lanes.hpp"
#include "osteoform/fit/block_product.hpp"

namespace osteoform {
namespace {

constexpr int kRows = 4;     // taken together
constexpr int kColumns = 8;  // of which a row's buffer holds whole blocks

OSTEOFORM_INLINE double* row_of(double* U, int width, int r) {
  return U + static_cast<std::ptrdiff_t>(r) * width;
}

/// to -= factor * from, whole lanes.
OSTEOFORM_INLINE void subtract(double factor, const double* from, int first, int last, double* to) {
  for (int c = first; c < last; c += 4) {
    lanes<Double4>(to + c) = lanes<Double4>(to + c) - factor * lanes<Double4>(from + c);
  }
}

/// The rows above leave their part of rows r, r + 1, r + 2, r + 3; then these are eliminated among
/// themselves. Returns false where a pivot is not positive.
OSTEOFORM_CLONES bool factor_in_place(double* U, int width) {
  for (int r = 0; r < width; r += kRows) {
    const int first = r / kColumns * kColumns;
    double above[kRows * kColumns];
    for (int c = first; c < width; c += kColumns) {
      block_product<Double4, 2>(RowsOf<const double>{U + r, width},
                                RowsOf<const double>{U + c, width},
                                r,
                                RowsOf<double>{above, kColumns});
      for (int k = 0; k < kRows; ++k) {
        subtract(1.0, above + k * kColumns, 0, kColumns, row_of(U, width, r + k) + c);
      }
    }
    for (int k = 0; k < kRows; ++k) {
      double* row = row_of(U, width, r + k);
      for (int j = 0; j < k; ++j) {
        const double* earlier = row_of(U, width, r + j);
        subtract(earlier[r + k], earlier, first, width, row);
      }
      if (!(row[r + k] > 0.0)) return false;
      const double scale = 1.0 / std::sqrt(row[r + k]);
      for (int c = first; c < width; c += 4) {
        lanes<Double4>(row + c) = scale * lanes<Double4>(row + c);
      }
    }
  }
  return true;
}

}  // namespace

bool Cholesky::factor(const Eigen::MatrixXd& H, const Eigen::VectorXd& add) {
  size_ = static_cast<int>(H.rows());
  width_ = (size_ + kColumns - 1) / kColumns * kColumns;
  U_.assign(static_cast<std::size_t>(width_) * width_, 0.0);
  for (int k = 0; k < width_; ++k) {
    double* row = row_of(U_.data(), width_, k);
    row[k] = 1.0;
    if (k >= size_) continue;
    std::copy(&H(k, k), H.data() + static_cast<std::ptrdiff_t>(k + 1) * size_, row + k);
    row[k] += add[k];
  }
  return factor_in_place(U_.data(), width_);
}

void Cholesky::solve(Eigen::VectorXd& y) const {
  for (int k = 0; k < size_; ++k) {
    const double* row = U_.data() + static_cast<std::ptrdiff_t>(k) * width_;
    y[k] /= row[k];
    for (int c = k + 1; c < size_; ++c) y[c] -= y[k] * row[c];
  }
  for (int k = size_ - 1; k >= 0; --k) {
    const double* row = U_.data() + static_cast<std::ptrdiff_t>(k) * width_;
    double value = y[k];
    for (int c = k + 1; c < size_; ++c) value -= row[c] * y[c];
    y[k] = value / row[k];
  }
}

}  // namespace osteoform
