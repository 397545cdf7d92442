// SPDX-License-Identifier: Apache-2.0
#include "osteoform/silhouette/silhouette.hpp"

#include <Eigen/Core>
#include <algorithm>

#include "osteoform/base/clones.hpp"

namespace osteoform {
namespace {

/// Mean chord of an equilateral triangle of edge 1: pi area / perimeter (Cauchy and Crofton).
constexpr float kChordOverEdge = 0.4534F;

/// facing = n . (A x + a): the ray of either geometry is affine in the point.
OSTEOFORM_CLONES void face_source(
    const float* x, const float* n, int num_points, const float A[9], const float a[3], float* g) {
  for (int i = 0; i < num_points; ++i, x += 3, n += 3) {
    g[i] = n[0] * (A[0] * x[0] + A[1] * x[1] + A[2] * x[2] + a[0]) +
           n[1] * (A[3] * x[0] + A[4] * x[1] + A[5] * x[2] + a[1]) +
           n[2] * (A[6] * x[0] + A[7] * x[1] + A[8] * x[2] + a[2]);
  }
}

template <XrayGeometry V>
void facing_of(const V& view, const Points& vertices, const Points& normals, float* facing) {
  const Eigen::Vector3d origin = view.ray(Eigen::Vector3d::Zero());
  float A[9], a[3];
  for (int k = 0; k < 3; ++k) {
    const Eigen::Vector3d column = view.ray(Eigen::Vector3d::Unit(k)) - origin;
    a[k] = static_cast<float>(origin[k]);
    for (int row = 0; row < 3; ++row) A[3 * row + k] = static_cast<float>(column[row]);
  }
  face_source(vertices.data(), normals.data(), static_cast<int>(vertices.rows()), A, a, facing);
}

/// Fills pixel and image normal; false where the point is not seen or the rim is degenerate.
template <XrayGeometry V>
bool place_in_image(const V& view,
                    const Points& vertices,
                    const Points& normals,
                    SilhouettePoint& point) {
  const double a = point.alpha;
  const Eigen::Vector3d x = (1.0 - a) * vertices.row(point.i).transpose().cast<double>() +
                            a * vertices.row(point.j).transpose().cast<double>();
  const Eigen::Vector3d n = (1.0 - a) * normals.row(point.i).transpose().cast<double>() +
                            a * normals.row(point.j).transpose().cast<double>();
  if (!view.sees(x)) return false;
  const Eigen::Matrix<double, 2, 3> J = view.project_jacobian(x);
  const Eigen::Matrix2d G = J * J.transpose();
  const Eigen::Vector2d p = J * n;
  // Along (J J^T)^-1 p: the determinant is positive and does not turn it.
  const Eigen::Vector2d direction(G(1, 1) * p.x() - G(0, 1) * p.y(),
                                  G(0, 0) * p.y() - G(0, 1) * p.x());
  const double length = direction.norm();
  if (!(length > 0.0)) return false;
  const Eigen::Vector2d px = view.project(x);
  for (int k = 0; k < 2; ++k) {
    point.px[k] = static_cast<float>(px[k]);
    point.normal[k] = static_cast<float>(direction[k] / length);
  }
  return true;
}

}  // namespace

void thin_out(int max_points, std::vector<SilhouettePoint>& points) {
  const auto limit = static_cast<std::size_t>(max_points);
  if (points.size() <= limit) return;
  const float share = static_cast<float>(points.size()) / static_cast<float>(limit);
  for (std::size_t k = 0; k < limit; ++k) {
    points[k] = points[k * points.size() / limit];
    points[k].rim_mm *= share;
  }
  points.resize(limit);
}

void extract_silhouette(const View& view,
                        const Points& vertices,
                        const Points& normals,
                        const Edges& edges,
                        int max_points,
                        SilhouetteWorkspace& workspace,
                        std::vector<SilhouettePoint>& points) {
  std::vector<float>& g = workspace.facing;
  g.resize(static_cast<std::size_t>(vertices.rows()));
  std::visit([&](const auto& v) { facing_of(v, vertices, normals, g.data()); }, view);

  std::vector<std::uint8_t>& away = workspace.away;
  away.resize(g.size());
  for (std::size_t i = 0; i < g.size(); ++i) away[i] = g[i] < 0.0F ? 1 : 0;

  std::vector<std::int32_t>& ids = workspace.edge_ids;
  ids.resize(static_cast<std::size_t>(edges.rows()));
  std::size_t num_turning = 0;
  const std::int32_t* edge = edges.data();
  for (std::int32_t e = 0; e < edges.rows(); ++e, edge += 2) {  // without branches: signs are noise
    ids[num_turning] = e;
    num_turning += away[edge[0]] ^ away[edge[1]];
  }
  ids.resize(num_turning);

  points.clear();
  const std::size_t num_taken = std::min(ids.size(), static_cast<std::size_t>(max_points));
  const float chord = kChordOverEdge * static_cast<float>(ids.size()) /
                      static_cast<float>(std::max<std::size_t>(1, num_taken));
  std::visit(
      [&](const auto& v) {
        for (std::size_t k = 0; k < num_taken; ++k) {
          const std::int32_t e = ids[k * ids.size() / num_taken];
          SilhouettePoint point;
          point.i = edges(e, 0);
          point.j = edges(e, 1);
          point.alpha = g[point.i] / (g[point.i] - g[point.j]);
          point.rim_mm = chord * (vertices.row(point.i) - vertices.row(point.j)).norm();
          if (place_in_image(v, vertices, normals, point)) points.push_back(point);
        }
      },
      view);
}

}  // namespace osteoform
