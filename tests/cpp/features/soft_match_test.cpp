// SPDX-License-Identifier: Apache-2.0
#include "osteoform/features/soft_match.hpp"

#include <gtest/gtest.h>

#include <random>

namespace osteoform {
namespace {

MatchMatrix random_cost(int rows, int columns, unsigned seed) {
  std::mt19937 rng(seed);
  std::uniform_real_distribution<double> uniform(0.0, 12.0);
  return MatchMatrix::NullaryExpr(rows, columns, [&] { return uniform(rng); });
}

TEST(SoftMatch, SharesNoDetectionAndNoFeatureTwice) {
  MatchMatrix match;
  MatchOptions options;
  options.max_sweeps = 200;
  options.tolerance = 1e-12;
  soft_match(random_cost(9, 13, 1), options, match);
  EXPECT_GE(match.minCoeff(), 0.0);
  EXPECT_LE(match.rowwise().sum().maxCoeff(), 1.0 + 1e-9);
  EXPECT_LE(match.colwise().sum().maxCoeff(), 1.0 + 1e-9);
}

TEST(SoftMatch, BecomesAPermutationWhenCold) {
  const int n = 6;
  MatchMatrix cost = MatchMatrix::Constant(n, n, 6.0);
  for (int i = 0; i < n; ++i) cost(i, (i + 2) % n) = 1.0;
  MatchOptions options;
  options.temperature = 0.05;
  MatchMatrix match;
  soft_match(cost, options, match);
  for (int i = 0; i < n; ++i) EXPECT_NEAR(match(i, (i + 2) % n), 1.0, 1e-6);
}

TEST(SoftMatch, LeavesClutterToTheSlack) {
  MatchMatrix cost(2, 1);
  cost << 0.5, 100.0;
  MatchMatrix match;
  soft_match(cost, {}, match);
  EXPECT_GT(match(0, 0), 0.95);
  EXPECT_LT(match(1, 0), 1e-6);
}

TEST(SoftMatch, FollowsAPermutationOfItsRows) {
  const MatchMatrix cost = random_cost(5, 4, 7);
  MatchMatrix reversed = cost.colwise().reverse();
  MatchMatrix a, b;
  soft_match(cost, {}, a);
  soft_match(reversed, {}, b);
  EXPECT_LT((a - MatchMatrix(b.colwise().reverse())).cwiseAbs().maxCoeff(), 1e-9);
}

TEST(SoftMatch, SurvivesEmptyAndHugeCosts) {
  MatchMatrix match;
  soft_match(MatchMatrix(0, 5), {}, match);
  EXPECT_EQ(match.rows(), 0);
  MatchOptions cold;
  cold.temperature = 1e-3;
  soft_match(1e6 * random_cost(4, 4, 2), cold, match);
  EXPECT_TRUE(match.allFinite());
}

}  // namespace
}  // namespace osteoform
