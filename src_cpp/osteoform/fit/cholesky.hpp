// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <vector>

namespace osteoform {

/// H = U'U for a symmetric positive matrix, and the solution of H x = y. Blocked for the few dozen
/// to few hundred unknowns of a fit, which a general library spends most of its time preparing for;
/// keeps its buffers.
class Cholesky {
 public:
  /// Factors H + diag(add). Returns false where that is not positive.
  /// @param H  its lower triangle is read
  bool factor(const Eigen::MatrixXd& H, const Eigen::VectorXd& add);

  /// @param y  [in] the right-hand side, [out] the solution
  void solve(Eigen::VectorXd& y) const;

  /// U row by row, garbage below the diagonal; padded with the unit matrix to a multiple of 8.
  const std::vector<double>& upper() const { return U_; }
  int width() const { return width_; }

 private:
  int size_ = 0;
  int width_ = 0;
  std::vector<double> U_;
};

}  // namespace osteoform
