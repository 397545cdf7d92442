// SPDX-License-Identifier: Apache-2.0
#include "osteoform/image/gaussian.hpp"

#include <algorithm>
#include <cmath>

#include "osteoform/base/clones.hpp"
#include "osteoform/base/lanes.hpp"

namespace osteoform {
namespace {

/// Weights of the middle and of the pairs around it.
std::vector<float> half_kernel(double sigma_px) {
  if (sigma_px <= 0.0) return {1.0F};
  const int radius = std::max(1, static_cast<int>(std::ceil(3.0 * sigma_px)));
  std::vector<float> kernel(radius + 1);
  double sum = 0.0;
  for (int k = 0; k <= radius; ++k) {
    const double value = std::exp(-0.5 * k * k / (sigma_px * sigma_px));
    kernel[k] = static_cast<float>(value);
    sum += k == 0 ? value : 2.0 * value;
  }
  for (float& value : kernel) value = static_cast<float>(value / sum);
  return kernel;
}

/// out = weights[0] middle + sum_k weights[k] (left_k + right_k), the pairs one after another.
/// @param rows  the middle, then left_1, right_1, left_2, ...
OSTEOFORM_CLONES void sum_pairs(
    const float* const* rows, const float* weights, int radius, int n, float* out) {
  int at = 0;
  for (; at + 32 <= n; at += 32) {
    Float8 sum[4];
    for (int j = 0; j < 4; ++j) sum[j] = weights[0] * lanes<Float8>(rows[0] + at + 8 * j);
    for (int k = 1; k <= radius; ++k) {
      const float* a = rows[2 * k - 1] + at;
      const float* b = rows[2 * k] + at;
      for (int j = 0; j < 4; ++j) {
        sum[j] += weights[k] * (lanes<Float8>(a + 8 * j) + lanes<Float8>(b + 8 * j));
      }
    }
    for (int j = 0; j < 4; ++j) lanes<Float8>(out + at + 8 * j) = sum[j];
  }
  for (; at < n; ++at) {
    float sum = weights[0] * rows[0][at];
    for (int k = 1; k <= radius; ++k) {
      sum += weights[k] * (rows[2 * k - 1][at] + rows[2 * k][at]);
    }
    out[at] = sum;
  }
}

/// Blurs along rows as they come and remembers as many as a blur across them needs.
class RowBlur {
 public:
  RowBlur(int width, int height, const RowSource& rows, const std::vector<float>& kernel)
      : width_(width),
        height_(height),
        rows_(rows),
        kernel_(kernel),
        radius_(static_cast<int>(kernel.size()) - 1),
        padded_(static_cast<std::size_t>(width + 2 * radius_)),
        ring_(width, 2 * radius_ + 1),
        taps_(static_cast<std::size_t>(2 * radius_ + 1)) {}

  /// Row v of the image blurred both ways; ask in order.
  void blur_across(int v, float* out) {
    while (num_read_ < std::min(v + radius_ + 1, height_)) read_next();
    for (int k = 0; k <= radius_; ++k) {
      taps_[k == 0 ? 0 : 2 * k - 1] = remembered(std::max(v - k, 0));
      taps_[2 * k] = remembered(std::min(v + k, height_ - 1));
    }
    sum_pairs(taps_.data(), kernel_.data(), radius_, width_, out);
  }

 private:
  float* remembered(int v) { return ring_.row(v % (2 * radius_ + 1)); }

  void read_next() {
    const float* source = rows_(num_read_);
    std::fill_n(padded_.begin(), radius_, source[0]);
    std::copy(source, source + width_, padded_.begin() + radius_);
    std::fill_n(padded_.begin() + radius_ + width_, radius_, source[width_ - 1]);
    const float* middle = padded_.data() + radius_;
    taps_[0] = middle;
    for (int k = 1; k <= radius_; ++k) {
      taps_[2 * k - 1] = middle - k;
      taps_[2 * k] = middle + k;
    }
    sum_pairs(taps_.data(), kernel_.data(), radius_, width_, remembered(num_read_));
    ++num_read_;
  }

  int width_;
  int height_;
  const RowSource& rows_;
  const std::vector<float>& kernel_;
  int radius_;
  int num_read_ = 0;
  std::vector<float> padded_;
  ImageF ring_;
  std::vector<const float*> taps_;
};

}  // namespace

ImageF gaussian_blur(int width, int height, const RowSource& rows, double sigma_px, int border) {
  ImageF result(width + 2 * border, height + 2 * border);
  if (width == 0 || height == 0) return result;
  const std::vector<float> kernel = half_kernel(sigma_px);
  RowBlur blur(width, height, rows, kernel);
  for (int v = 0; v < height; ++v) {
    float* out = result.row(v + border);
    blur.blur_across(v, out + border);
    std::fill_n(out, border, out[border]);
    std::fill_n(out + border + width, border, out[border + width - 1]);
  }
  for (int k = 0; k < border; ++k) {
    std::copy_n(result.row(border), result.width, result.row(k));
    std::copy_n(result.row(border + height - 1), result.width, result.row(border + height + k));
  }
  return result;
}

ImageF gaussian_blur(const ImageF& source, double sigma_px) {
  const RowSource rows = [&](int v) { return source.row(v); };
  return gaussian_blur(source.width, source.height, rows, sigma_px, 0);
}

}  // namespace osteoform
