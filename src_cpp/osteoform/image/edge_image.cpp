// SPDX-License-Identifier: Apache-2.0
#include "osteoform/image/edge_image.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "osteoform/base/clones.hpp"

namespace osteoform {
namespace {

constexpr int kNoiseGrid = 32;             // samples along the shorter side
constexpr float kDarkest = 1.0F / 400.0F;  // of the range: below it, 8-bit grey values say nothing

OSTEOFORM_CLONES void add_downsampled(const float* source, int factor, int n, float* out) {
  for (int u = 0; u < n; ++u) {
    float sum = 0.0F;
    for (int k = 0; k < factor; ++k) sum += source[u * factor + k];
    out[u] += sum;
  }
}

OSTEOFORM_CLONES void mean_of_fours(const float* above, const float* below, int n, float* out) {
  for (int u = 0; u < n; ++u) {
    out[u] = 0.25F * ((above[2 * u] + below[2 * u]) + (above[2 * u + 1] + below[2 * u + 1]));
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

/// Negative logarithm of scale * source - offset.
OSTEOFORM_CLONES void log_row(const float* source, float scale, float offset, int n, float* out) {
  for (int u = 0; u < n; ++u) {  // apart from the logarithm, or the branch stays one
    const float level = scale * source[u] - offset;
    out[u] = (level > 0.0F ? level : 0.0F) + kDarkest;
  }
  for (int u = 0; u < n; ++u) out[u] = -fast_log(out[u]);
}

/// The middle of positive values, the upper one of two: by the leading bits of floats, which count
/// up with them, then exactly among the few that share these.
float upper_median(std::vector<float>& values) {
  constexpr int kShift = 20;
  const auto bin_of = [](float x) { return std::bit_cast<std::uint32_t>(x) >> kShift; };
  std::vector<std::uint32_t> counts(std::size_t{1} << (32 - kShift));
  for (const float x : values) ++counts[bin_of(x)];
  std::size_t before = 0;
  std::uint32_t bin = 0;
  const std::size_t middle = values.size() / 2;
  while (before + counts[bin] <= middle) before += counts[bin++];
  std::erase_if(values, [&](float x) { return bin_of(x) != bin; });
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(middle - before);
  std::nth_element(values.begin(), nth, values.end());
  return *nth;
}

/// Median absolute gradient over a grid of pixels, as a standard deviation of Gaussian noise.
/// Most of a radiograph is not edge, so the median measures noise and slow background.
float gradient_noise(const EdgeImage& image) {
  const Patch& p = image.patch;
  const int step = std::max(1, std::min(p.width, p.height) / kNoiseGrid);
  const int rows = (p.height - 2 + step - 1) / step;
  const int columns = (p.width - 2 + step - 1) / step;
  if (rows <= 0 || columns <= 0) return 0.0F;
  std::vector<float> sample(static_cast<std::size_t>(rows) * columns);
  std::size_t num = 0;
  for (int row = 0; row < rows; ++row) {
    const float* x = image.at(1, 1 + row * step);
    for (int k = 0; k < columns; ++k, x += step) {
      sample[num] = std::abs(0.5F * (x[1] - x[-1]));
      num += sample[num] > 0.0F;  // saturated regions are flat, not noise-free
    }
  }
  sample.resize(num);
  return sample.empty() ? 0.0F : 1.4826F * upper_median(sample);
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

Attenuation::Attenuation(const XrayImage& image, const Patch& patch, float low, float high)
    : image_(image), patch_(patch), row_(static_cast<std::size_t>(patch.width)) {
  const auto area = static_cast<float>(patch.factor * patch.factor);
  scale_ = 1.0F / (area * std::max(high - low, 1e-20F));
  offset_ = low * scale_ * area;
  if (image.polarity == Polarity::kBrightIsDense) {  // 1 - level instead of level
    scale_ = -scale_;
    offset_ = -1.0F - offset_;
  }
}

const float* Attenuation::row(int v) {
  const int factor = patch_.factor;
  const auto source = [&](int k) {
    const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(patch_.top + v) * factor + k;
    return image_.pixels + row * image_.width + static_cast<std::ptrdiff_t>(patch_.left) * factor;
  };
  const float* sums = source(0);
  if (factor > 1) {
    std::fill(row_.begin(), row_.end(), 0.0F);
    for (int k = 0; k < factor; ++k) {
      add_downsampled(source(k), factor, patch_.width, row_.data());
    }
    sums = row_.data();
  }
  log_row(sums, scale_, offset_, patch_.width, row_.data());
  return row_.data();
}

ImageF attenuation(const XrayImage& image, const Patch& patch, float low, float high) {
  Attenuation rows(image, patch, low, high);
  ImageF result(patch.width, patch.height);
  for (int v = 0; v < patch.height; ++v) std::copy_n(rows.row(v), patch.width, result.row(v));
  return result;
}

EdgeImage make_edge_image(const RowSource& rows, const Patch& patch, double sigma_px) {
  EdgeImage image;
  image.patch = patch;
  image.smooth = gaussian_blur(patch.width, patch.height, rows, sigma_px, 1);
  image.noise = gradient_noise(image);
  return image;
}

EdgeImage make_half_edge_image(const EdgeImage& source, double sigma_px) {
  const Patch& from = source.patch;
  Patch patch;
  patch.factor = 2 * from.factor;
  patch.left = (from.left + 1) / 2;
  patch.top = (from.top + 1) / 2;
  const int first_u = 2 * patch.left - from.left;
  const int first_v = 2 * patch.top - from.top;
  patch.width = std::max(0, (from.width - first_u) / 2);
  patch.height = std::max(0, (from.height - first_v) / 2);
  if (patch.width < 3 || patch.height < 3) patch.width = patch.height = 0;
  std::vector<float> row(static_cast<std::size_t>(patch.width));
  const RowSource halved = [&](int v) {
    mean_of_fours(source.at(first_u, first_v + 2 * v),
                  source.at(first_u, first_v + 2 * v + 1),
                  patch.width,
                  row.data());
    return row.data();
  };
  return make_edge_image(halved, patch, sigma_px);
}

EdgeImage make_edge_image(const ImageF& smooth, const Patch& patch) {
  return make_edge_image([&](int v) { return smooth.row(v); }, patch, 0.0);
}

}  // namespace osteoform
