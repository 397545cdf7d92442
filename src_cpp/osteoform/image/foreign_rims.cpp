// SPDX-License-Identifier: Apache-2.0
#include "osteoform/image/foreign_rims.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace osteoform {
namespace {

/// The nearest rim so far of every pixel.
struct Nearest {
  std::vector<float> distance;
  std::vector<int> rim;
};

void stamp(const Eigen::Vector2d& at, int rim, double reach_px, const Patch& patch, Nearest& all) {
  const int low_u = std::max(0, static_cast<int>(std::ceil(at.x() - reach_px)));
  const int low_v = std::max(0, static_cast<int>(std::ceil(at.y() - reach_px)));
  const int high_u = std::min(patch.width - 1, static_cast<int>(std::floor(at.x() + reach_px)));
  const int high_v = std::min(patch.height - 1, static_cast<int>(std::floor(at.y() + reach_px)));
  for (int v = low_v; v <= high_v; ++v) {
    for (int u = low_u; u <= high_u; ++u) {
      const auto k = static_cast<std::size_t>(v) * patch.width + u;
      const auto distance = static_cast<float>(std::hypot(u - at.x(), v - at.y()));
      if (distance >= all.distance[k]) continue;
      all.distance[k] = distance;
      all.rim[k] = rim;
    }
  }
}

}  // namespace

ForeignField make_foreign_field(const std::vector<ForeignRim>& rims,
                                const Patch& patch,
                                double certain_px,
                                double reach_px) {
  ForeignField field;
  if (rims.empty() || patch.width == 0) return field;
  const std::size_t size = static_cast<std::size_t>(patch.width) * patch.height;
  Nearest nearest{std::vector<float>(size, std::numeric_limits<float>::max()),
                  std::vector<int>(size, -1)};
  for (std::size_t k = 0; k < rims.size(); ++k) {
    const Eigen::Vector2d at = patch.from_source({rims[k].px[0], rims[k].px[1]});
    stamp(at, static_cast<int>(k), reach_px, patch, nearest);
  }
  field.width = patch.width;
  field.height = patch.height;
  field.values.assign(2 * size, 0.0F);
  for (std::size_t k = 0; k < size; ++k) {
    if (nearest.rim[k] < 0) continue;
    const double fade = (reach_px - nearest.distance[k]) / std::max(reach_px - certain_px, 1e-6);
    const auto sure = static_cast<float>(std::clamp(fade, 0.0, 1.0));
    const float* normal = rims[static_cast<std::size_t>(nearest.rim[k])].normal;
    field.values[2 * k] = sure * normal[0];
    field.values[2 * k + 1] = sure * normal[1];
  }
  return field;
}

}  // namespace osteoform
