// SPDX-License-Identifier: Apache-2.0
#include "osteoform/geometry/triangle_mesh.hpp"

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
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

/// The directed edges of all faces, by the vertex that they leave.
class OutgoingEdges {
 public:
  explicit OutgoingEdges(const Faces& faces)
      : first_(faces.size() == 0 ? 1 : faces.maxCoeff() + 2, 0), ends_(faces.size()) {
    for (Eigen::Index i = 0; i < faces.size(); ++i) ++first_[faces.data()[i] + 1];
    std::partial_sum(first_.begin(), first_.end(), first_.begin());
    std::vector<std::int32_t> next(first_.begin(), first_.end() - 1);
    for (Eigen::Index f = 0; f < faces.rows(); ++f) {
      for (int k = 0; k < 3; ++k) ends_[next[faces(f, k)]++] = faces(f, (k + 1) % 3);
    }
  }

  std::int32_t num_points() const { return static_cast<std::int32_t>(first_.size()) - 1; }

  std::span<const std::int32_t> ends(std::int32_t from) const {
    return std::span(ends_).subspan(first_[from], first_[from + 1] - first_[from]);
  }

  std::ptrdiff_t count(std::int32_t from, std::int32_t to) const {
    return std::ranges::count(ends(from), to);
  }

 private:
  std::vector<std::int32_t> first_;
  std::vector<std::int32_t> ends_;
};

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
  const OutgoingEdges edges(faces);
  for (std::int32_t from = 0; from < edges.num_points(); ++from) {
    for (const std::int32_t to : edges.ends(from)) {
      if (edges.count(from, to) != 1 || edges.count(to, from) != 1) return false;
    }
  }
  return true;
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
    const float area[3] = {
        e[1] * g[2] - e[2] * g[1], e[2] * g[0] - e[0] * g[2], e[0] * g[1] - e[1] * g[0]};
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
