// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/scales.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "osteoform/base/clones.hpp"

namespace osteoform {
namespace {

constexpr double kPixelAtBone_mm = 0.3;
constexpr int kVertexStep = 4;       // the margin is wider than what lies between
constexpr double kMargin_mm = 12.0;  // beyond the silhouette: the first search and some drift
constexpr double kForeign_mm = 1.0;  // how well the rims of other bones are known
constexpr double kForeignReach_mm = 2.2;

/// Least and greatest grey value, in lanes that need not be reordered to be vectorised.
OSTEOFORM_CLONES void range_of(const float* pixels, std::ptrdiff_t n, float& low, float& high) {
  constexpr int kLanes = 32;
  float lows[kLanes], highs[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) lows[lane] = highs[lane] = pixels[0];
  std::ptrdiff_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const float value = pixels[i + lane];
      lows[lane] = value < lows[lane] ? value : lows[lane];
      highs[lane] = value > highs[lane] ? value : highs[lane];
    }
  }
  low = *std::min_element(lows, lows + kLanes);
  high = *std::max_element(highs, highs + kLanes);
  for (; i < n; ++i) {
    low = std::min(low, pixels[i]);
    high = std::max(high, pixels[i]);
  }
}

void claim(const std::vector<ForeignRim>& foreign, Scale& scale) {
  scale.foreign = make_foreign_field(foreign,
                                     scale.image.patch,
                                     kForeign_mm * scale.px_per_mm,
                                     kForeignReach_mm * scale.px_per_mm);
}

}  // namespace

ViewScales prepare_scales(const XrayImage& image,
                          const View& view_of_bone,
                          const Points& vertices,
                          const std::vector<ForeignRim>& foreign,
                          const FitOptions& options) {
  ViewScales scales;
  Eigen::Vector2d low_px = Eigen::Vector2d::Constant(std::numeric_limits<double>::infinity());
  Eigen::Vector2d high_px = -low_px;
  std::visit(
      [&](const auto& view) {
        for (Eigen::Index i = 0; i < vertices.rows(); i += kVertexStep) {
          const Eigen::Vector3d x = vertices.row(i).transpose().cast<double>();
          if (!view.sees(x)) continue;
          const Eigen::Vector2d px = view.project(x);
          low_px = low_px.cwiseMin(px);
          high_px = high_px.cwiseMax(px);
        }
      },
      view_of_bone);
  if (!low_px.allFinite() || !high_px.allFinite()) return scales;

  scales.px_per_mm = px_per_mm(view_of_bone, Eigen::Vector3d::Zero());
  const int factor =
      std::clamp(static_cast<int>(std::lround(scales.px_per_mm * kPixelAtBone_mm)), 1, 64);
  const double margin_px = (kMargin_mm + options.search_start_mm) * scales.px_per_mm;
  const Patch patch =
      patch_around(image, factor, low_px.array() - margin_px, high_px.array() + margin_px);
  if (patch.width == 0) return scales;

  float low = 0.0F;
  float high = 0.0F;
  range_of(image.pixels, static_cast<std::ptrdiff_t>(image.width) * image.height, low, high);
  Scale& fine = scales.fine;
  fine.px_per_mm = scales.px_per_mm / factor;
  fine.sigma_px = options.smoothing_mm * fine.px_per_mm;
  Attenuation dense(image, patch, low, high);
  fine.image = make_edge_image([&](int v) { return dense.row(v); }, patch, fine.sigma_px);

  Scale& coarse = scales.coarse;
  coarse.px_per_mm = 0.5 * fine.px_per_mm;
  const double smoothed_px = std::hypot(0.5 * fine.sigma_px, kHalvingSigma_px);
  coarse.sigma_px = std::max(options.coarse_smoothing_mm * coarse.px_per_mm, smoothed_px);
  const double rest_px = std::sqrt(coarse.sigma_px * coarse.sigma_px - smoothed_px * smoothed_px);
  coarse.image = make_half_edge_image(fine.image, rest_px);
  claim(foreign, fine);
  claim(foreign, coarse);
  return scales;
}

}  // namespace osteoform
