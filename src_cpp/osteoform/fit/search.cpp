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
constexpr float kLeastIndependent = 60.0F;  // edges of a rim, however small the bone is
constexpr float kTrustAtMedian = 0.3F;      // an edge this share of the median has weight one half

SearchWindow window_for(const Scale& scale, double half_width_mm, float cap) {
  SearchWindow window;
  window.half_width_px = static_cast<float>(half_width_mm * scale.px_per_mm);
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

/// Rim [mm] within which edges are off together: that of the options, or a share of a short rim.
float correlation_mm(const std::vector<SilhouettePoint>& silhouette, const FitOptions& options) {
  float rim_mm = 0.0F;
  for (const SilhouettePoint& point : silhouette) rim_mm += point.rim_mm;
  return std::min(static_cast<float>(options.boundary_correlation_mm), rim_mm / kLeastIndependent);
}

}  // namespace

double edge_bias_px(const Scale& scale, const FitOptions& options) {
  return kRootEdgeBias * std::hypot(scale.sigma_px, options.image_blur_mm * scale.px_per_mm);
}

SearchKernel search_kernel(const Scale& scale, double half_width_mm, float cap) {
  return SearchKernel(window_for(scale, half_width_mm, cap));
}

void search_points(const Scale& scale,
                   const std::vector<SilhouettePoint>& silhouette,
                   int first,
                   int last,
                   const SearchKernel& kernel,
                   std::vector<BoundaryPoint>& edges) {
  const EdgeImage& image = scale.image;
  for (int k = first; k < last; ++k) {
    const SilhouettePoint& point = silhouette[static_cast<std::size_t>(k)];
    float px[2];
    to_patch(image.patch, point.px, px);
    edges[static_cast<std::size_t>(k)] =
        inside(image.patch, px) ? search_boundary(image, px, point.normal, kernel, scale.foreign)
                                : BoundaryPoint{};
  }
}

void observe(const ViewScales& scales,
             const std::vector<SilhouettePoint>& silhouette,
             const std::vector<BoundaryPoint>& edges,
             double half_width_mm,
             const FitOptions& options,
             float& cap,
             ViewBoundary& boundary) {
  const Scale& scale = scales.scale_for(half_width_mm);
  const EdgeImage& image = scale.image;
  const float median = median_strength(edges, boundary.scratch);
  cap = kCapOverMedian * median;
  const double bias = edge_bias_px(scale, options);
  const auto factor = static_cast<float>(image.patch.factor);
  const float half_trust = kTrustAtMedian * median;
  const float together_mm = correlation_mm(silhouette, options);
  boundary.observations.clear();
  boundary.px_per_mm = scales.px_per_mm;
  for (std::size_t k = 0; k < silhouette.size(); ++k) {
    const float strength = edges[k].strength;
    if (strength <= 0.0F || strength < kEdgeOverNoise * 0.5F * image.noise) continue;
    BoundaryObservation observation;
    observation.point = silhouette[k];
    const float trust = strength * strength / (strength * strength + half_trust * half_trust);
    // Edges that are off together count once, not each.
    const float share = std::min(1.0F, silhouette[k].rim_mm / together_mm);
    observation.weight = trust * edges[k].own * share;
    // Against the image's own noise, not the median edge: states are compared by it.
    const float over = strength / (kSalientOverNoise * image.noise + 1e-12F);
    observation.salience = over / (1.0F + over) * edges[k].own * share;
    const float shift = factor * (edges[k].offset_px + trust * static_cast<float>(bias));
    for (int a = 0; a < 2; ++a) {
      observation.found_px[a] = silhouette[k].px[a] + shift * silhouette[k].normal[a];
    }
    boundary.observations.push_back(observation);
  }
}

void report_view(const ViewScales& scales,
                 const std::vector<SilhouettePoint>& silhouette,
                 const FitOptions& options,
                 std::vector<float>& offsets_mm,
                 std::vector<float>& found_px,
                 int& num_inside) {
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  const Scale& scale = scales.fine;
  const EdgeImage& image = scale.image;
  const SearchKernel window(window_for(scale, kReportWindow_mm, 0.0F));
  const double bias = edge_bias_px(scale, options);
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
    offsets_mm[k] = static_cast<float>(offset_px / scale.px_per_mm);
    for (std::size_t a = 0; a < 2; ++a) {
      found_px[2 * k + a] =
          point.px[a] + static_cast<float>(image.patch.factor * offset_px) * point.normal[a];
    }
  }
}

}  // namespace osteoform
