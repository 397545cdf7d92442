// SPDX-License-Identifier: Apache-2.0
#include "osteoform/drr/blur.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <random>

namespace osteoform {
namespace {

using Blur = void (*)(RasterView, double, ThreadPool&);

std::vector<float> blurred(
    std::vector<float> pixels, int width, Blur blur, double sigma_px, int num_threads = 1) {
  ThreadPool pool(num_threads);
  blur({pixels.data(), width, static_cast<int>(pixels.size()) / width}, sigma_px, pool);
  return pixels;
}

/// Variance along the rows of the answer to one bright pixel in the middle.
double spread_of(Blur blur, double sigma_px) {
  constexpr int kSize = 257;
  std::vector<float> impulse(kSize * kSize, 0.0F);
  impulse[kSize * (kSize / 2) + kSize / 2] = 1.0F;
  const std::vector<float> answer = blurred(impulse, kSize, blur, sigma_px);
  double sum = 0.0, variance = 0.0;
  for (int v = 0; v < kSize; ++v) {
    for (int u = 0; u < kSize; ++u) {
      sum += answer[v * kSize + u];
      variance += answer[v * kSize + u] * std::pow(u - kSize / 2, 2);
    }
  }
  EXPECT_NEAR(sum, 1.0, 1e-4);
  return variance;
}

TEST(Blur, HasTheVarianceAskedFor) {
  // Truncation at three sigma takes off up to 3 %.
  for (const double sigma : {1.0, 3.0}) {
    EXPECT_NEAR(spread_of(blur_gaussian, sigma) / (sigma * sigma), 1.0, 0.035) << sigma;
  }
  // Three odd boxes reach the variance to within half a step of one of them.
  for (const double sigma : {3.0, 7.0, 20.0}) {
    EXPECT_NEAR(std::sqrt(spread_of(blur_wide, sigma)), sigma, 0.2) << sigma;
  }
}

TEST(Blur, LeavesAFlatImageFlat) {
  const std::vector<float> flat(30 * 7, 0.7F);
  for (const Blur blur : {blur_gaussian, blur_wide}) {
    for (const float value : blurred(flat, 30, blur, 12.0)) EXPECT_NEAR(value, 0.7F, 1e-5F);
  }
}

TEST(Blur, ThreadsAgreeBitForBit) {
  std::mt19937 generator(5);
  std::uniform_real_distribution<float> grey(0.0F, 1.0F);
  std::vector<float> noise(150 * 90);
  for (float& value : noise) value = grey(generator);
  for (const Blur blur : {blur_gaussian, blur_wide}) {
    const std::vector<float> serial = blurred(noise, 150, blur, 4.0);
    EXPECT_EQ(blurred(noise, 150, blur, 4.0, 2), serial);
    EXPECT_EQ(blurred(noise, 150, blur, 4.0, 7), serial);
  }
}

TEST(Blur, OnePixelIsItsOwnBlur) {
  for (const Blur blur : {blur_gaussian, blur_wide}) {
    EXPECT_NEAR(blurred({0.3F}, 1, blur, 5.0)[0], 0.3F, 1e-6F);
  }
}

}  // namespace
}  // namespace osteoform
