// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace osteoform {
namespace {

constexpr float kStep_px = 0.5F;
constexpr double kRootEdgeBias = 0.765;
constexpr float kCapOverMedian = 2.0F;
constexpr float kSalientOverNoise = 6.0F;
constexpr float kTrustAtMedian = 0.3F;  // an edge this share of the median has weight one half

SearchWindow window_for(const ViewScales& scales, double half_width_mm, float cap) {
  SearchWindow window;
  window.half_width_px = static_cast<float>(half_width_mm * scales.patch_px_per_mm());
  window.step_px = std::max(kStep_px, 2.0F * window.half_width_px / kMaxSearchSteps);
  window.cap = cap;
  return window;
}

/// Pixel of the patch, from a pixel of the image.
void to_patch(const Patch& patch, const float px[2], float out[2]) {
  const Eigen::Vector2d in_patch = patch.from_source({px[0], px[1]});
  out[0] = static_cast<float>(in_patch.x());
  out[1] = static_cast<float>(in_patch.y());
}

bool inside(const Patch& patch, const float px[2]) {
  return px[0] >= 1.0F && px[1] >= 1.0F && px[0] < static_cast<float>(patch.width - 2) &&
         px[1] < static_cast<float>(patch.height - 2);
}

float median_strength(const std::vector<BoundaryPoint>& edges, std::vector<float>& buffer) {
  buffer.clear();
  for (const BoundaryPoint& edge : edges) {
    if (edge.strength > 0.0F) buffer.push_back(edge.strength);
  }
  if (buffer.empty()) return 0.0F;
  const auto middle = buffer.begin() + static_cast<std::ptrdiff_t>(buffer.size() / 2);
  std::nth_element(buffer.begin(), middle, buffer.end());
  return *middle;
}

}  // namespace

double edge_bias_px(double sigma_px, const FitOptions& options, double px_per_mm) {
  const double blur_px = options.image_blur_mm * px_per_mm;
  return kRootEdgeBias * std::sqrt(sigma_px * sigma_px + blur_px * blur_px);
}

void search_view(const ViewScales& scales,
                 const std::vector<SilhouettePoint>& silhouette,
                 double half_width_mm,
                 const FitOptions& options,
                 ThreadPool& pool,
                 std::vector<BoundaryPoint>& edges,
                 float& cap,
                 ViewBoundary& boundary) {
  const EdgeImage& image = scales.scale_for(half_width_mm);
  const SearchKernel window(window_for(scales, half_width_mm, cap));
  const int num_points = static_cast<int>(silhouette.size());
  edges.assign(silhouette.size(), {});
  pool.run((num_points + kBlockSize - 1) / kBlockSize, [&](int block) {
    const int last = std::min((block + 1) * kBlockSize, num_points);
    for (int k = block * kBlockSize; k < last; ++k) {
      const SilhouettePoint& point = silhouette[static_cast<std::size_t>(k)];
      float px[2];
      to_patch(image.patch, point.px, px);
      if (!inside(image.patch, px)) continue;
      edges[static_cast<std::size_t>(k)] = search_boundary(image, px, point.normal, window);
    }
  });

  std::vector<float>& buffer = boundary.scratch;
  const float median = median_strength(edges, buffer);
  cap = kCapOverMedian * median;
  const double bias =
      edge_bias_px(scales.sigma_px_for(half_width_mm), options, scales.patch_px_per_mm());
  const auto factor = static_cast<float>(image.patch.factor);
  const float half_trust = kTrustAtMedian * median;
  boundary.observations.clear();
  boundary.px_per_mm = scales.px_per_mm;
  for (std::size_t k = 0; k < silhouette.size(); ++k) {
    const float strength = edges[k].strength;
    if (strength <= 0.0F || strength < kEdgeOverNoise * 0.5F * image.noise) continue;
    BoundaryObservation observation;
    observation.point = silhouette[k];
    observation.weight = strength * strength / (strength * strength + half_trust * half_trust);
    // Against the image's own noise, not the median edge: states are compared by it.
    const float over = strength / (kSalientOverNoise * image.noise + 1e-12F);
    observation.salience = over / (1.0F + over);
    const float shift =
        factor * (edges[k].offset_px + observation.weight * static_cast<float>(bias));
    for (int a = 0; a < 2; ++a) {
      observation.found_px[a] = silhouette[k].px[a] + shift * silhouette[k].normal[a];
    }
    boundary.observations.push_back(observation);
  }
  boundary.view_weight = static_cast<double>(options.points_per_view) / std::max(1, num_points);
}

void report_view(const ViewScales& scales,
                 const std::vector<SilhouettePoint>& silhouette,
                 const FitOptions& options,
                 std::vector<float>& offsets_mm,
                 std::vector<float>& found_px,
                 int& num_inside) {
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  const EdgeImage& image = scales.fine;
  const SearchKernel window(window_for(scales, kReportWindow_mm, 0.0F));
  const double bias = edge_bias_px(scales.fine_sigma_px, options, scales.patch_px_per_mm());
  const double per_mm = scales.patch_px_per_mm();
  offsets_mm.assign(silhouette.size(), kNone);
  found_px.assign(2 * silhouette.size(), kNone);
  num_inside = 0;
  for (std::size_t k = 0; k < silhouette.size(); ++k) {
    const SilhouettePoint& point = silhouette[k];
    float px[2];
    to_patch(image.patch, point.px, px);
    if (!inside(image.patch, px)) continue;
    ++num_inside;
    const BoundaryPoint edge = search_boundary(image, px, point.normal, window);
    if (edge.strength <= kEdgeOverNoise * image.noise) continue;
    const double offset_px = edge.offset_px + bias;
    offsets_mm[k] = static_cast<float>(offset_px / per_mm);
    for (std::size_t a = 0; a < 2; ++a) {
      found_px[2 * k + a] =
          point.px[a] + static_cast<float>(image.patch.factor * offset_px) * point.normal[a];
    }
  }
}

}  // namespace osteoform
