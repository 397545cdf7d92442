// SPDX-License-Identifier: Apache-2.0
#include "osteoform/drr/counter_rng.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace osteoform {
namespace {

// Table values of the standard normal distribution.
TEST(NormalQuantile, MatchesTheTables) {
  EXPECT_NEAR(normal_quantile(0.5), 0.0, 1e-12);
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 4e-9);
  EXPECT_NEAR(normal_quantile(0.001), -3.090232306167813, 5e-9);
  EXPECT_NEAR(normal_quantile(1e-9), -5.997807015007775, 1e-8);
}

TEST(PoissonQuantile, InvertsTheDistribution) {
  // P(N <= 0) = 0.1353, P(N <= 1) = 0.4060, P(N <= 2) = 0.6767 for mean 2.
  EXPECT_EQ(poisson_quantile(2.0, 0.13), 0.0);
  EXPECT_EQ(poisson_quantile(2.0, 0.14), 1.0);
  EXPECT_EQ(poisson_quantile(2.0, 0.41), 2.0);
  EXPECT_EQ(poisson_quantile(0.0, 0.999), 0.0);
}

TEST(PoissonQuantile, HasItsMeanVarianceAndSkewness) {
  constexpr int kDraws = 400000;
  const CounterRng rng(11);
  for (const double mean : {0.3, 5.0, 29.9, 30.1, 400.0, 20000.0}) {
    double sum = 0.0, sum2 = 0.0, sum3 = 0.0;
    for (int i = 0; i < kDraws; ++i) {
      const double d = poisson_quantile(mean, rng.uniform(i)) - mean;
      sum += d;
      sum2 += d * d;
      sum3 += d * d * d;
    }
    const double sd = std::sqrt(mean);
    EXPECT_NEAR(sum / kDraws, 0.0, 4.0 * sd / std::sqrt(kDraws)) << mean;
    // The variance of d^2 is 2 mean^2 + mean; rounding the normal adds 1/12.
    const double sd2 = std::sqrt((2.0 * mean * mean + mean) / kDraws);
    EXPECT_NEAR(sum2 / kDraws, mean, 4.0 * sd2 + 0.1) << mean;
    EXPECT_NEAR(sum3 / kDraws / (mean * sd), 1.0 / sd, 0.03 * (1.0 + 1.0 / sd)) << mean;
  }
}

TEST(CounterRng, IsAPureFunctionOfSeedAndPosition) {
  EXPECT_EQ(CounterRng(5).bits(1234), CounterRng(5).bits(1234));
  EXPECT_NE(CounterRng(5).bits(1234), CounterRng(6).bits(1234));
  EXPECT_NE(CounterRng(5).bits(1234), CounterRng(5).bits(1235));
}

TEST(CounterRng, IsUniformAndUncorrelated) {
  constexpr int kDraws = 200000;
  const CounterRng rng(1), other(2);
  double mean = 0.0, neighbours = 0.0, seeds = 0.0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.uniform(i) - 0.5;
    mean += x / kDraws;
    neighbours += 12.0 * x * (rng.uniform(i + 1) - 0.5) / kDraws;
    seeds += 12.0 * x * (other.uniform(i) - 0.5) / kDraws;
  }
  EXPECT_NEAR(mean, 0.0, 4.0 / std::sqrt(12.0 * kDraws));
  EXPECT_NEAR(neighbours, 0.0, 4.0 / std::sqrt(kDraws));
  EXPECT_NEAR(seeds, 0.0, 4.0 / std::sqrt(kDraws));
}

}  // namespace
}  // namespace osteoform
