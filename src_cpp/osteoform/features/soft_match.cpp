// SPDX-License-Identifier: Apache-2.0
#include "osteoform/features/soft_match.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "osteoform/base/clones.hpp"
#include "osteoform/base/error.hpp"

namespace osteoform {
namespace {

constexpr int kLanes = 4;
constexpr double kNothing = -1e300;

/// exp(x) for x <= 0 to 1e-14 of it, in a form that vectorises: x = n ln 2 + r, |r| <= ln(2) / 2.
inline double fast_exp(double x) {
  constexpr double kShift = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  const double bounded = x > -700.0 ? x : -700.0;
  const double shifted = bounded * 1.4426950408889634 + kShift;
  const double n = shifted - kShift;
  const double r = (bounded - n * 0.6931471803691238) - n * 1.9082149292705877e-10;
  double series = 1.0 / 39916800.0;  // Taylor to r^11
  series = series * r + 1.0 / 3628800.0;
  series = series * r + 1.0 / 362880.0;
  series = series * r + 1.0 / 40320.0;
  series = series * r + 1.0 / 5040.0;
  series = series * r + 1.0 / 720.0;
  series = series * r + 1.0 / 120.0;
  series = series * r + 1.0 / 24.0;
  series = series * r + 1.0 / 6.0;
  series = series * r + 0.5;
  series = series * r + 1.0;
  series = series * r + 1.0;
  const auto bits = std::bit_cast<std::uint64_t>(shifted) + 1023U;
  return series * std::bit_cast<double>(bits << 52);
}

/// log(sum_k exp(a_k + b_k) + exp(extra)), num padded to full lanes by values that add nothing.
OSTEOFORM_CLONES double log_sum_exp(const double* a, const double* b, int num, double extra) {
  double tops[kLanes], sums[kLanes] = {};
  for (int lane = 0; lane < kLanes; ++lane) tops[lane] = extra;
  for (int k = 0; k < num; k += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const double value = a[k + lane] + b[k + lane];
      tops[lane] = value > tops[lane] ? value : tops[lane];
    }
  }
  const double top = std::max(std::max(tops[0], tops[1]), std::max(tops[2], tops[3]));
  for (int k = 0; k < num; k += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      sums[lane] += fast_exp(a[k + lane] + b[k + lane] - top);
    }
  }
  return top + std::log((sums[0] + sums[2]) + (sums[1] + sums[3]) + fast_exp(extra - top));
}

OSTEOFORM_CLONES void match_row(
    const double* score, const double* column, double row, int num, double* match) {
  for (int j = 0; j < num; ++j) match[j] = fast_exp(score[j] + column[j] + row);
}

/// -cost / temperature with rows padded to full lanes.
MatchMatrix padded_score(const MatchMatrix& cost, double temperature) {
  const Eigen::Index width = (cost.cols() + kLanes - 1) / kLanes * kLanes;
  MatchMatrix score = MatchMatrix::Constant(cost.rows(), width, kNothing);
  score.leftCols(cost.cols()) = cost / -temperature;
  return score;
}

}  // namespace

void soft_match(const MatchMatrix& cost, const MatchOptions& options, MatchMatrix& match) {
  require(options.temperature > 0.0, "temperature must be positive");
  const Eigen::Index n = cost.rows();
  const Eigen::Index m = cost.cols();
  match.setZero(n, m);
  if (n == 0 || m == 0) return;

  const MatchMatrix by_row = padded_score(cost, options.temperature);
  const MatchMatrix by_column = padded_score(cost.transpose(), options.temperature);
  const double slack = -options.slack_cost / options.temperature;
  // log M_ij = score_ij + row_i + column_j; the slack cells carry row_i or column_j alone.
  Eigen::VectorXd row = Eigen::VectorXd::Zero(by_column.cols());
  Eigen::VectorXd column = Eigen::VectorXd::Zero(by_row.cols());
  for (int sweep = 0; sweep < options.max_sweeps; ++sweep) {
    double change = 0.0;
    for (Eigen::Index i = 0; i < n; ++i) {
      const double next =
          -log_sum_exp(by_row.row(i).data(), column.data(), static_cast<int>(column.size()), slack);
      change = std::max(change, std::abs(next - row[i]));
      row[i] = next;
    }
    for (Eigen::Index j = 0; j < m; ++j) {
      column[j] =
          -log_sum_exp(by_column.row(j).data(), row.data(), static_cast<int>(row.size()), slack);
    }
    if (change < options.tolerance) break;
  }
  for (Eigen::Index i = 0; i < n; ++i) {
    match_row(
        by_row.row(i).data(), column.data(), row[i], static_cast<int>(m), match.row(i).data());
  }
}

}  // namespace osteoform
