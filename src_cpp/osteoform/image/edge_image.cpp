// SPDX-License-Identifier: Apache-2.0
#include "osteoform/image/edge_image.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "osteoform/base/clones.hpp"

namespace osteoform {
namespace {

constexpr float kDarkest = 1.0F / 400.0F;  // of the range: below it, 8-bit grey values say nothing

OSTEOFORM_CLONES void add_downsampled(const float* source, int factor, int n, float* out) {
  for (int u = 0; u < n; ++u) {
    float sum = 0.0F;
    for (int k = 0; k < factor; ++k) sum += source[u * factor + k];
    out[u] += sum;
  }
}

/// Natural logarithm of positive normal floats to 2e-7 absolute, in a form that vectorises:
/// x = m 2^e with m in [sqrt(1/2), sqrt(2)), ln m = 2 atanh(s), s = (m - 1) / (m + 1).
inline float fast_log(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x) - 0x3f3504f3U;
  const float exponent = static_cast<float>(static_cast<std::int32_t>(bits) >> 23);
  const float m = std::bit_cast<float>((bits & 0x007fffffU) + 0x3f3504f3U);
  const float s = (m - 1.0F) / (m + 1.0F);
  const float s2 = s * s;
  const float series = 2.0F + s2 * (0.6666667F + s2 * (0.4F + s2 * (0.2857143F + s2 * 0.2222222F)));
  return s * series + exponent * 0.69314718F;
}

/// out = scale * out - offset, then its negative logarithm.
OSTEOFORM_CLONES void log_row(float scale, float offset, int n, float* out) {
  for (int u = 0; u < n; ++u) {
    const float level = scale * out[u] - offset;
    out[u] = -fast_log((level > 0.0F ? level : 0.0F) + kDarkest);
  }
}

OSTEOFORM_CLONES void scale_row(float scale, float offset, int n, float* out) {
  for (int u = 0; u < n; ++u) out[u] = scale * out[u] - offset;
}

/// Central differences of the inner pixels of a row, interleaved.
OSTEOFORM_CLONES void gradient_row(
    const float* above, const float* here, const float* below, int n, float* out) {
  for (int u = 1; u + 1 < n; ++u) {
    out[2 * u] = 0.5F * (here[u + 1] - here[u - 1]);
    out[2 * u + 1] = 0.5F * (below[u] - above[u]);
  }
}

/// Median absolute gradient over a grid of pixels, as a standard deviation of Gaussian noise.
/// Most of a radiograph is not edge, so the median measures noise and slow background.
float gradient_noise(const EdgeImage& image) {
  std::vector<float> sample;
  const Patch& p = image.patch;
  const int step = std::max(1, std::min(p.width, p.height) / 128);
  for (int v = 1; v + 1 < p.height; v += step) {
    for (int u = 1; u + 1 < p.width; u += step) {
      const float value = std::abs(image.gradient[2 * (static_cast<std::size_t>(v) * p.width + u)]);
      if (value > 0.0F) sample.push_back(value);  // saturated regions are flat, not noise-free
    }
  }
  if (sample.empty()) return 0.0F;
  const auto middle = sample.begin() + static_cast<std::ptrdiff_t>(sample.size() / 2);
  std::nth_element(sample.begin(), middle, sample.end());
  return 1.4826F * *middle;
}

}  // namespace

Patch patch_around(const XrayImage& image,
                   int factor,
                   const Eigen::Vector2d& low_px,
                   const Eigen::Vector2d& high_px) {
  const auto clip = [](double value, int end) {
    return static_cast<int>(std::clamp(value, 0.0, static_cast<double>(end)));
  };
  const int columns = image.width / factor;
  const int rows = image.height / factor;
  Patch patch;
  patch.factor = factor;
  patch.left = clip(std::floor(low_px.x() / factor), columns);
  patch.top = clip(std::floor(low_px.y() / factor), rows);
  patch.width = clip(std::ceil(high_px.x() / factor), columns) - patch.left;
  patch.height = clip(std::ceil(high_px.y() / factor), rows) - patch.top;
  if (patch.width < 3 || patch.height < 3) patch.width = patch.height = 0;
  return patch;
}

ImageF attenuation(const XrayImage& image, const Patch& patch, float low, float high) {
  ImageF result(patch.width, patch.height);
  const float scale =
      1.0F / (static_cast<float>(patch.factor * patch.factor) * std::max(high - low, 1e-20F));
  const float offset = low * scale * static_cast<float>(patch.factor * patch.factor);
  for (int v = 0; v < patch.height; ++v) {
    float* out = result.row(v);
    for (int k = 0; k < patch.factor; ++k) {
      const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(patch.top + v) * patch.factor + k;
      const float* source =
          image.pixels + row * image.width + static_cast<std::ptrdiff_t>(patch.left) * patch.factor;
      add_downsampled(source, patch.factor, patch.width, out);
    }
    if (image.polarity == Polarity::kDarkIsDense) {
      log_row(scale, offset, patch.width, out);
    } else {
      scale_row(scale, offset, patch.width, out);
    }
  }
  return result;
}

EdgeImage make_edge_image(const ImageF& smooth, const Patch& patch) {
  EdgeImage image;
  image.patch = patch;
  image.gradient.resize(2 * smooth.values.size());
  for (int v = 0; v < smooth.height; ++v) {
    const float* above = smooth.row(std::max(v - 1, 0));
    const float* here = smooth.row(v);
    const float* below = smooth.row(std::min(v + 1, smooth.height - 1));
    float* out = image.gradient.data() + 2 * static_cast<std::ptrdiff_t>(v) * smooth.width;
    gradient_row(above, here, below, smooth.width, out);
    for (const int u : {0, smooth.width - 1}) {
      out[2 * u] = 0.5F * (here[std::min(u + 1, smooth.width - 1)] - here[std::max(u - 1, 0)]);
      out[2 * u + 1] = 0.5F * (below[u] - above[u]);
    }
  }
  image.noise = gradient_noise(image);
  return image;
}

}  // namespace osteoform
