// SPDX-License-Identifier: Apache-2.0
#include "osteoform/drr/counter_rng.hpp"

#include <algorithm>

namespace osteoform {
namespace {

constexpr double kExactBelow = 30.0;
constexpr double kTail = 0.02425;  // where the central approximation hands over

double tail_quantile(double probability) {
  const double q = std::sqrt(-2.0 * std::log(probability));
  const double num =
      ((((-7.784894002430293e-03 * q - 3.223964580411365e-01) * q - 2.400758277161838e+00) * q -
        2.549732539343734e+00) *
           q +
       4.374664141464968e+00) *
          q +
      2.938163982698783e+00;
  const double den =
      (((7.784695709041462e-03 * q + 3.224671290700398e-01) * q + 2.445134137142996e+00) * q +
       3.754408661907416e+00) *
          q +
      1.0;
  return num / den;
}

double central_quantile(double probability) {
  const double q = probability - 0.5;
  const double r = q * q;
  const double num =
      ((((-3.969683028665376e+01 * r + 2.209460984245205e+02) * r - 2.759285104469687e+02) * r +
        1.383577518672690e+02) *
           r -
       3.066479806614716e+01) *
          r +
      2.506628277459239e+00;
  const double den =
      ((((-5.447609879822406e+01 * r + 1.615858368580409e+02) * r - 1.556989798598866e+02) * r +
        6.680131188771972e+01) *
           r -
       1.328068155288572e+01) *
          r +
      1.0;
  return num * q / den;
}

}  // namespace

double normal_quantile(double probability) {
  if (probability < kTail) return tail_quantile(probability);
  if (probability > 1.0 - kTail) return -tail_quantile(1.0 - probability);
  return central_quantile(probability);
}

double poisson_quantile(double mean, double probability) {
  if (mean >= kExactBelow) {
    const double z = normal_quantile(probability);
    return std::max(0.0, std::round(mean + std::sqrt(mean) * z + (z * z - 1.0) / 6.0));
  }
  constexpr int kFar = 200;  // beyond it a mean below 30 has no mass left in double precision
  double term = std::exp(-mean);
  double sum = term;
  int count = 0;
  while (sum < probability && count < kFar) {
    ++count;
    term *= mean / count;
    sum += term;
  }
  return count;
}

}  // namespace osteoform
