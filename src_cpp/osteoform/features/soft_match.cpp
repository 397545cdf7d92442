// SPDX-License-Identifier: Apache-2.0
#include "osteoform/features/soft_match.hpp"

#include <algorithm>
#include <cmath>

#include "osteoform/base/error.hpp"

namespace osteoform {
namespace {

template <typename Values>
double log_sum_exp(const Values& values, double extra) {
  const double top = std::max(values.maxCoeff(), extra);
  return top + std::log((values.array() - top).exp().sum() + std::exp(extra - top));
}

}  // namespace

void soft_match(const MatchMatrix& cost, const MatchOptions& options, MatchMatrix& match) {
  require(options.temperature > 0.0, "temperature must be positive");
  const Eigen::Index n = cost.rows();
  const Eigen::Index m = cost.cols();
  match.setZero(n, m);
  if (n == 0 || m == 0) return;

  const MatchMatrix score = cost / -options.temperature;
  const double slack = -options.slack_cost / options.temperature;
  // log M_ij = score_ij + row_i + column_j; the slack cells carry row_i or column_j alone.
  Eigen::VectorXd row = Eigen::VectorXd::Zero(n);
  Eigen::RowVectorXd column = Eigen::RowVectorXd::Zero(m);
  for (int sweep = 0; sweep < options.max_sweeps; ++sweep) {
    double change = 0.0;
    for (Eigen::Index i = 0; i < n; ++i) {
      const double next = -log_sum_exp(score.row(i) + column, slack);
      change = std::max(change, std::abs(next - row[i]));
      row[i] = next;
    }
    for (Eigen::Index j = 0; j < m; ++j) {
      column[j] = -log_sum_exp(score.col(j) + row, slack);
    }
    if (change < options.tolerance) break;
  }
  match = ((score.colwise() + row).rowwise() + column).array().exp();
}

}  // namespace osteoform
