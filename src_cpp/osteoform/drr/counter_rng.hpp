// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>

namespace osteoform {

/// Random numbers by position: draw i of a seed is a pure function of both, so pixels can be
/// drawn in any order and on any thread. SplitMix64 (Steele, Lea, Flood 2014), entered at i.
class CounterRng {
 public:
  explicit CounterRng(std::uint64_t seed) : origin_(mixed(seed + kGamma)) {}

  std::uint64_t bits(std::uint64_t index) const { return mixed(origin_ + (index + 1) * kGamma); }

  /// Uniform in the open interval (0, 1).
  double uniform(std::uint64_t index) const {
    return (static_cast<double>(bits(index) >> 11) + 0.5) * 0x1p-53;
  }

 private:
  static constexpr std::uint64_t kGamma = 0x9e3779b97f4a7c15U;

  static std::uint64_t mixed(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
  }

  std::uint64_t origin_;
};

/// Inverse of the standard normal distribution function; relative error below 1.2e-9 (P. J.
/// Acklam's rational approximation).
double normal_quantile(double probability);

/// Inverse of the Poisson distribution function. Exact for mean below 30; above, the normal
/// quantile with its skewness term (Cornish-Fisher), rounded.
double poisson_quantile(double mean, double probability);

}  // namespace osteoform
