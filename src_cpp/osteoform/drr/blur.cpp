// SPDX-License-Identifier: Apache-2.0
#include "osteoform/drr/blur.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace osteoform {
namespace {

constexpr int kRowsPerBlock = 32;
constexpr int kColumnsPerBlock = 64;

void for_row_blocks(int height, ThreadPool& pool, const std::function<void(int, int)>& work) {
  pool.run((height + kRowsPerBlock - 1) / kRowsPerBlock, [&](int block) {
    work(block * kRowsPerBlock, std::min(height, (block + 1) * kRowsPerBlock));
  });
}

std::vector<float> gaussian_weights(double sigma_px) {
  const int radius = static_cast<int>(std::ceil(3.0 * sigma_px));
  std::vector<float> weights(2 * radius + 1);
  double sum = 0.0;
  for (int i = -radius; i <= radius; ++i) sum += std::exp(-0.5 * i * i / (sigma_px * sigma_px));
  for (int i = -radius; i <= radius; ++i) {
    weights[i + radius] = static_cast<float>(std::exp(-0.5 * i * i / (sigma_px * sigma_px)) / sum);
  }
  return weights;
}

void weigh_row(const float* padded, const std::vector<float>& weights, int width, float* out) {
  std::fill(out, out + width, 0.0F);
  for (std::size_t k = 0; k < weights.size(); ++k) {
    const float weight = weights[k];
    const float* shifted = padded + k;
    for (int u = 0; u < width; ++u) out[u] += weight * shifted[u];
  }
}

void weigh_rows(RasterView image, const std::vector<float>& weights, int v, float* out) {
  const int radius = static_cast<int>(weights.size() / 2);
  std::fill(out, out + image.width, 0.0F);
  for (int k = -radius; k <= radius; ++k) {
    const float weight = weights[k + radius];
    const float* row = image.row(std::clamp(v + k, 0, image.height - 1));
    for (int u = 0; u < image.width; ++u) out[u] += weight * row[u];
  }
}

/// Widths of `count` box blurs that together have the variance sigma^2 (P. Kovesi, "Fast almost-
/// Gaussian filtering", 2010): the lower odd width first, the next one for the rest.
std::array<int, 3> box_radii(double sigma_px) {
  constexpr int kCount = 3;
  const double ideal = std::sqrt(12.0 * sigma_px * sigma_px / kCount + 1.0);
  int lower = static_cast<int>(ideal);
  if (lower % 2 == 0) --lower;
  const double num_lower =
      (12.0 * sigma_px * sigma_px - kCount * (lower * lower + 4.0 * lower + 3.0)) /
      (-4.0 * lower - 4.0);
  std::array<int, kCount> radii{};
  for (int i = 0; i < kCount; ++i) {
    radii[i] = (i < std::lround(num_lower) ? lower : lower + 2) / 2;
  }
  return radii;
}

void box_row(const float* row, int width, int radius, float* out) {
  const auto at = [&](int u) { return static_cast<double>(row[std::clamp(u, 0, width - 1)]); };
  double sum = 0.0;
  for (int k = -radius; k <= radius; ++k) sum += at(k);
  const double scale = 1.0 / (2 * radius + 1);
  for (int u = 0; u < width; ++u) {
    out[u] = static_cast<float>(sum * scale);
    sum += at(u + radius + 1) - at(u - radius);
  }
}

/// Box blur down the columns [first_u, end_u).
void box_columns(
    RasterView image, const std::vector<float>& source, int radius, int first_u, int end_u) {
  const auto row = [&](int v) {
    return source.data() +
           static_cast<std::ptrdiff_t>(std::clamp(v, 0, image.height - 1)) * image.width;
  };
  std::vector<double> sums(end_u - first_u, 0.0);
  for (int k = -radius; k <= radius; ++k) {
    const float* values = row(k);
    for (int u = first_u; u < end_u; ++u) sums[u - first_u] += values[u];
  }
  const double scale = 1.0 / (2 * radius + 1);
  for (int v = 0; v < image.height; ++v) {
    float* out = image.row(v);
    const float* entering = row(v + radius + 1);
    const float* leaving = row(v - radius);
    for (int u = first_u; u < end_u; ++u) {
      double& sum = sums[u - first_u];
      out[u] = static_cast<float>(sum * scale);
      sum += static_cast<double>(entering[u]) - leaving[u];
    }
  }
}

}  // namespace

void blur_gaussian(RasterView image, double sigma_px, ThreadPool& pool) {
  if (sigma_px <= 0.0) return;
  const std::vector<float> weights = gaussian_weights(sigma_px);
  const int radius = static_cast<int>(weights.size() / 2);
  std::vector<float> result(image.size());
  for_row_blocks(image.height, pool, [&](int first, int end) {
    for (int v = first; v < end; ++v) {
      weigh_rows(image, weights, v, result.data() + static_cast<std::ptrdiff_t>(v) * image.width);
    }
  });
  for_row_blocks(image.height, pool, [&](int first, int end) {
    std::vector<float> padded(image.width + 2 * radius);
    for (int v = first; v < end; ++v) {
      const float* row = result.data() + static_cast<std::ptrdiff_t>(v) * image.width;
      std::fill(padded.begin(), padded.begin() + radius, row[0]);
      std::copy(row, row + image.width, padded.begin() + radius);
      std::fill(padded.end() - radius, padded.end(), row[image.width - 1]);
      weigh_row(padded.data(), weights, image.width, image.row(v));
    }
  });
}

void blur_wide(RasterView image, double sigma_px, ThreadPool& pool) {
  if (sigma_px <= 0.0) return;
  std::vector<float> source(image.size());
  const int num_column_blocks = (image.width + kColumnsPerBlock - 1) / kColumnsPerBlock;
  for (const int radius : box_radii(sigma_px)) {
    for_row_blocks(image.height, pool, [&](int first, int end) {
      for (int v = first; v < end; ++v) {
        box_row(image.row(v),
                image.width,
                radius,
                source.data() + static_cast<std::ptrdiff_t>(v) * image.width);
      }
    });
    pool.run(num_column_blocks, [&](int block) {
      box_columns(image,
                  source,
                  radius,
                  block * kColumnsPerBlock,
                  std::min(image.width, (block + 1) * kColumnsPerBlock));
    });
  }
}

}  // namespace osteoform
