// SPDX-License-Identifier: Apache-2.0
#include "osteoform/silhouette/coverage.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace osteoform {
namespace {

constexpr int kMaxCells = 2048;  // per side; the cells grow instead
constexpr double kBeyond = 1.6;  // cells from the rim that must be free

void project_all(const View& view, const Points& vertices, std::vector<float>& px) {
  px.resize(2 * static_cast<std::size_t>(vertices.rows()));
  std::visit(
      [&](const auto& v) {
        for (Eigen::Index i = 0; i < vertices.rows(); ++i) {
          const Eigen::Vector2d p = v.project(vertices.row(i).transpose().cast<double>());
          px[2 * i] = static_cast<float>(p.x());
          px[2 * i + 1] = static_cast<float>(p.y());
        }
      },
      view);
}

/// One triangle; a scanline covers from the cell left of its crossing to the one right of it.
void fill(const float* a, const float* b, const float* c, Coverage& coverage) {
  const float* corner[3] = {a, b, c};
  const int low = std::max(0, static_cast<int>(std::ceil(std::min({a[1], b[1], c[1]}))));
  const int high =
      std::min(coverage.height - 1, static_cast<int>(std::floor(std::max({a[1], b[1], c[1]}))));
  for (int v = low; v <= high; ++v) {
    float from = std::numeric_limits<float>::max();
    float to = std::numeric_limits<float>::lowest();
    for (int k = 0; k < 3; ++k) {
      const float* p = corner[k];
      const float* q = corner[(k + 1) % 3];
      if (p[1] > q[1]) std::swap(p, q);
      const auto y = static_cast<float>(v);
      if (!(p[1] <= y && y < q[1])) continue;
      const float u = p[0] + (y - p[1]) * (q[0] - p[0]) / (q[1] - p[1]);
      from = std::min(from, u);
      to = std::max(to, u);
    }
    if (to < from) continue;
    const int first = std::max(0, static_cast<int>(std::floor(from)));
    const int last = std::min(coverage.width - 1, static_cast<int>(std::ceil(to)));
    std::uint8_t* row = coverage.covered.data() + static_cast<std::size_t>(v) * coverage.width;
    std::fill(row + first, row + std::max(first, last + 1), std::uint8_t{1});
  }
}

}  // namespace

void cover(const View& view,
           const Points& vertices,
           const Faces& faces,
           double cell_px,
           Coverage& coverage) {
  std::vector<float>& px = coverage.projected;
  project_all(view, vertices, px);
  float low[2] = {px[0], px[1]};
  float high[2] = {px[0], px[1]};
  for (std::size_t i = 0; i < px.size(); ++i) {
    low[i % 2] = std::min(low[i % 2], px[i]);
    high[i % 2] = std::max(high[i % 2], px[i]);
  }
  const double side = std::max(high[0] - low[0], high[1] - low[1]);
  coverage.cell_px = std::max(cell_px, side / (kMaxCells - 2));
  coverage.left_px = low[0] - coverage.cell_px;
  coverage.top_px = low[1] - coverage.cell_px;
  coverage.width = static_cast<int>((high[0] - low[0]) / coverage.cell_px) + 4;
  coverage.height = static_cast<int>((high[1] - low[1]) / coverage.cell_px) + 4;
  coverage.covered.assign(static_cast<std::size_t>(coverage.width) * coverage.height, 0);
  for (std::size_t i = 0; i < px.size(); i += 2) {
    px[i] = static_cast<float>((px[i] - coverage.left_px) / coverage.cell_px);
    px[i + 1] = static_cast<float>((px[i + 1] - coverage.top_px) / coverage.cell_px);
  }
  for (Eigen::Index f = 0; f < faces.rows(); ++f) {
    fill(&px[2 * static_cast<std::size_t>(faces(f, 0))],
         &px[2 * static_cast<std::size_t>(faces(f, 1))],
         &px[2 * static_cast<std::size_t>(faces(f, 2))],
         coverage);
  }
}

void keep_outer_rims(const Coverage& coverage, std::vector<SilhouettePoint>& points) {
  const double reach = kBeyond * coverage.cell_px + coverage.cell_px;
  std::erase_if(points, [&](const SilhouettePoint& point) {
    return coverage.at(point.px[0] + reach * point.normal[0],
                       point.px[1] + reach * point.normal[1]);
  });
}

}  // namespace osteoform
