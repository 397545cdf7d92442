// SPDX-License-Identifier: Apache-2.0
#include "osteoform/geometry/triangle_mesh.hpp"

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "osteoform/base/error.hpp"

namespace osteoform {
namespace {

using DirectedEdge = std::pair<std::int32_t, std::int32_t>;

std::vector<DirectedEdge> directed_edges(const Faces& faces) {
  std::vector<DirectedEdge> edges;
  edges.reserve(3 * faces.rows());
  for (Eigen::Index f = 0; f < faces.rows(); ++f) {
    for (int k = 0; k < 3; ++k) edges.emplace_back(faces(f, k), faces(f, (k + 1) % 3));
  }
  return edges;
}

}  // namespace

void check_faces(const Faces& faces, int num_points) {
  require(faces.rows() > 0, "faces must hold at least one triangle, found 0");
  const std::int32_t low = faces.minCoeff();
  const std::int32_t high = faces.maxCoeff();
  require(low >= 0 && high < num_points,
          "faces must index vertices 0 to " + std::to_string(num_points - 1) + ", found " +
              std::to_string(low) + " to " + std::to_string(high));
}

Edges unique_edges(const Faces& faces) {
  std::vector<DirectedEdge> edges = directed_edges(faces);
  for (auto& [a, b] : edges) {
    if (a > b) std::swap(a, b);
  }
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  Edges result(static_cast<Eigen::Index>(edges.size()), 2);
  for (std::size_t e = 0; e < edges.size(); ++e) {
    result.row(static_cast<Eigen::Index>(e)) << edges[e].first, edges[e].second;
  }
  return result;
}

bool is_closed(const Faces& faces) {
  std::vector<DirectedEdge> edges = directed_edges(faces);
  std::sort(edges.begin(), edges.end());
  if (std::adjacent_find(edges.begin(), edges.end()) != edges.end()) return false;
  return std::all_of(edges.begin(), edges.end(), [&](const DirectedEdge& edge) {
    return std::binary_search(edges.begin(), edges.end(), DirectedEdge{edge.second, edge.first});
  });
}

double signed_volume(const Points& vertices, const Faces& faces) {
  double six_volumes = 0.0;
  for (Eigen::Index f = 0; f < faces.rows(); ++f) {
    const Eigen::Vector3d a = vertices.row(faces(f, 0)).cast<double>();
    const Eigen::Vector3d b = vertices.row(faces(f, 1)).cast<double>();
    const Eigen::Vector3d c = vertices.row(faces(f, 2)).cast<double>();
    six_volumes += a.dot(b.cross(c));
  }
  return six_volumes / 6.0;
}

void vertex_normals(const Points& vertices, const Faces& faces, Points& normals) {
  normals.resize(vertices.rows(), 3);
  normals.setZero();
  const float* x = vertices.data();
  float* n = normals.data();
  for (Eigen::Index f = 0; f < faces.rows(); ++f) {
    const std::int32_t corner[3] = {3 * faces(f, 0), 3 * faces(f, 1), 3 * faces(f, 2)};
    float e[3], g[3];
    for (int k = 0; k < 3; ++k) {
      e[k] = x[corner[1] + k] - x[corner[0] + k];
      g[k] = x[corner[2] + k] - x[corner[0] + k];
    }
    const float area[3] = {e[1] * g[2] - e[2] * g[1], e[2] * g[0] - e[0] * g[2],
                           e[0] * g[1] - e[1] * g[0]};
    for (const std::int32_t c : corner) {
      for (int k = 0; k < 3; ++k) n[c + k] += area[k];
    }
  }
  for (Eigen::Index i = 0; i < normals.rows(); ++i, n += 3) {
    const float scale = 1.0F / std::sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2] + 1e-30F);
    for (int k = 0; k < 3; ++k) n[k] *= scale;
  }
}

}  // namespace osteoform
