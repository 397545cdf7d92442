// SPDX-License-Identifier: Apache-2.0
#include "osteoform/image/gaussian.hpp"

#include <algorithm>
#include <cmath>

#include "osteoform/base/clones.hpp"

namespace osteoform {
namespace {

std::vector<float> half_kernel(double sigma_px) {
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

/// out[i] += weight * (a[i] + b[i])
OSTEOFORM_CLONES void add_pair(const float* a, const float* b, float weight, int n, float* out) {
  for (int i = 0; i < n; ++i) out[i] += weight * (a[i] + b[i]);
}

OSTEOFORM_CLONES void scale_row(const float* a, float weight, int n, float* out) {
  for (int i = 0; i < n; ++i) out[i] = weight * a[i];
}

void blur_row(
    const float* source, const std::vector<float>& kernel, int n, float* padded, float* out) {
  const int radius = static_cast<int>(kernel.size()) - 1;
  std::fill(padded, padded + radius, source[0]);
  std::copy(source, source + n, padded + radius);
  std::fill(padded + radius + n, padded + 2 * radius + n, source[n - 1]);
  scale_row(padded + radius, kernel[0], n, out);
  for (int k = 1; k <= radius; ++k) {
    add_pair(padded + radius - k, padded + radius + k, kernel[k], n, out);
  }
}

}  // namespace

ImageF gaussian_blur(const ImageF& source, double sigma_px) {
  if (sigma_px <= 0.0) return source;
  const std::vector<float> kernel = half_kernel(sigma_px);
  const int radius = static_cast<int>(kernel.size()) - 1;
  ImageF across(source.width, source.height);
  std::vector<float> padded(source.width + 2 * radius);
  for (int v = 0; v < source.height; ++v) {
    blur_row(source.row(v), kernel, source.width, padded.data(), across.row(v));
  }
  ImageF result(source.width, source.height);
  for (int v = 0; v < source.height; ++v) {
    scale_row(across.row(v), kernel[0], source.width, result.row(v));
    for (int k = 1; k <= radius; ++k) {
      add_pair(across.row(std::max(v - k, 0)),
               across.row(std::min(v + k, source.height - 1)),
               kernel[k],
               source.width,
               result.row(v));
    }
  }
  return result;
}

}  // namespace osteoform
