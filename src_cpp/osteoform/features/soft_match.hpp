// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>

namespace osteoform {

using MatchMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct MatchOptions {
  int max_sweeps = 30;
  double tolerance = 1e-4;  ///< largest change of a row sum at which sweeping stops
  double slack_cost = 9.0;  ///< what it costs to leave a detection or a feature unmatched
  double temperature = 1.0;
};

/// Doubly stochastic assignment with slack (Sinkhorn in the log domain; softassign of Gold and
/// Rangarajan 1996). Every detection (row) and every feature (column) is shared out fully among its
/// partners and the slack; slack row and column are not normalised themselves.
/// @param cost   n x F
/// @param match  [out] n x F, row and column sums at most 1; what lacks to 1 is unmatched
void soft_match(const MatchMatrix& cost, const MatchOptions& options, MatchMatrix& match);

}  // namespace osteoform
