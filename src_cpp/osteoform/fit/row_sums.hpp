// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "osteoform/fit/normal_equations.hpp"
#include "osteoform/fit/rank_update.hpp"

namespace osteoform {

/// Collects Jacobian rows and sums them in one go: many narrow updates of H cost more. Keeps its
/// buffers between uses.
class RowSums {
 public:
  /// Forgets all rows.
  void reset(int num_params) {
    num_params_ = num_params;
    width_ = (num_params + kRankUpdateColumns) / kRankUpdateColumns * kRankUpdateColumns;
    rows_.clear();
    weighted_.clear();
  }

  /// Takes w J'J and w J'r for the rows of J.
  template <typename J, typename R>
  void add(const Eigen::MatrixBase<J>& jacobian, const Eigen::MatrixBase<R>& residual, double w) {
    for (Eigen::Index i = 0; i < jacobian.rows(); ++i) {
      const std::size_t at = rows_.size();
      rows_.resize(at + static_cast<std::size_t>(width_), 0.0);
      weighted_.resize(rows_.size());
      for (int k = 0; k < num_params_; ++k) rows_[at + k] = jacobian(i, k);
      rows_[at + num_params_] = residual[i];
      for (int k = 0; k < width_; ++k) weighted_[at + k] = w * rows_[at + k];
    }
  }

  /// Multiplies what was taken.
  void multiply() {
    const int num_rows = static_cast<int>(rows_.size()) / width_;
    products_.resize(static_cast<std::size_t>(width_) * width_);
    rank_update(weighted_.data(), rows_.data(), num_rows, width_, products_.data());
  }

  /// Adds the products to H and g.
  void add_to(NormalEquations& sums) const {
    for (int k = 0; k < num_params_; ++k) {
      const double* row = products_.data() + static_cast<std::ptrdiff_t>(k) * width_;
      double* column = &sums.H(0, k);
      for (int l = k; l < num_params_; ++l) column[l] += row[l];
      sums.g[k] += row[num_params_];
    }
  }

 private:
  int num_params_ = 0;
  int width_ = kRankUpdateColumns;  ///< parameters, the residual, padding
  std::vector<double> rows_;
  std::vector<double> weighted_;
  std::vector<double> products_;
};

}  // namespace osteoform
