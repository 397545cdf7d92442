// SPDX-License-Identifier: Apache-2.0
#include "osteoform/geometry/closest_point.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "osteoform/base/error.hpp"

namespace osteoform {
namespace {

constexpr std::int32_t kLeafTriangles = 4;

double squared_distance_to_box(const Eigen::Vector3d& p,
                               const Eigen::Vector3d& low,
                               const Eigen::Vector3d& high) {
  return (low - p).cwiseMax(p - high).cwiseMax(0.0).squaredNorm();
}

Eigen::Vector3d closest_on_segment(const Eigen::Vector3d& p,
                                   const Eigen::Vector3d& a,
                                   const Eigen::Vector3d& b) {
  const Eigen::Vector3d ab = b - a;
  const double length2 = ab.squaredNorm();
  if (length2 == 0.0) return a;
  return a + std::clamp(ab.dot(p - a) / length2, 0.0, 1.0) * ab;
}

}  // namespace

// The nearest point lies inside the triangle if its barycentric coordinates are all positive,
// else on one of the edges.
Eigen::Vector3d closest_on_triangle(const Eigen::Vector3d& p,
                                    const Eigen::Vector3d& a,
                                    const Eigen::Vector3d& b,
                                    const Eigen::Vector3d& c) {
  const Eigen::Vector3d ab = b - a, ac = c - a, ap = p - a;
  const double aa = ab.squaredNorm(), bb = ac.squaredNorm(), mixed = ab.dot(ac);
  const double determinant = aa * bb - mixed * mixed;
  if (determinant > 1e-14 * aa * bb) {
    const double da = ab.dot(ap), db = ac.dot(ap);
    const double u = (bb * da - mixed * db) / determinant;
    const double v = (aa * db - mixed * da) / determinant;
    if (u >= 0.0 && v >= 0.0 && u + v <= 1.0) return a + u * ab + v * ac;
  }
  Eigen::Vector3d best = closest_on_segment(p, a, b);
  for (const Eigen::Vector3d& other : {closest_on_segment(p, b, c), closest_on_segment(p, c, a)}) {
    if ((other - p).squaredNorm() < (best - p).squaredNorm()) best = other;
  }
  return best;
}

ClosestPointTree::ClosestPointTree(const Points& vertices, const Faces& faces)
    : triangles_(static_cast<std::size_t>(faces.rows())), order_(triangles_.size()) {
  check_faces(faces, static_cast<int>(vertices.rows()));
  require(vertices.allFinite(), "vertices must be finite, found NaN or infinity");
  Points centroids(faces.rows(), 3);
  for (Eigen::Index f = 0; f < faces.rows(); ++f) {
    auto& triangle = triangles_[static_cast<std::size_t>(f)];
    for (int k = 0; k < 3; ++k) {
      triangle[static_cast<std::size_t>(k)] = vertices.row(faces(f, k)).transpose().cast<double>();
    }
    centroids.row(f) = ((triangle[0] + triangle[1] + triangle[2]) / 3.0).cast<float>();
  }
  std::iota(order_.begin(), order_.end(), 0);
  nodes_.reserve(triangles_.size());
  build(0, static_cast<std::int32_t>(order_.size()), centroids);
}

void ClosestPointTree::bound(Node& node, std::int32_t first, std::int32_t last) const {
  node.low.setConstant(std::numeric_limits<double>::infinity());
  node.high = -node.low;
  for (std::int32_t i = first; i < last; ++i) {
    for (const Eigen::Vector3d& corner : triangles_[static_cast<std::size_t>(order_[i])]) {
      node.low = node.low.cwiseMin(corner);
      node.high = node.high.cwiseMax(corner);
    }
  }
}

std::int32_t ClosestPointTree::build(std::int32_t first,
                                     std::int32_t last,
                                     const Points& centroids) {
  const auto index = static_cast<std::int32_t>(nodes_.size());
  Node node;
  bound(node, first, last);
  if (last - first <= kLeafTriangles) {
    node.first = first;
    node.count = last - first;
    nodes_.push_back(node);
    return index;
  }
  nodes_.push_back(node);
  int axis = 0;
  (node.high - node.low).maxCoeff(&axis);
  const std::int32_t middle = first + (last - first) / 2;
  std::nth_element(order_.begin() + first,
                   order_.begin() + middle,
                   order_.begin() + last,
                   [&](std::int32_t a, std::int32_t b) {
                     return std::pair(centroids(a, axis), a) < std::pair(centroids(b, axis), b);
                   });
  build(first, middle, centroids);
  const std::int32_t right = build(middle, last, centroids);
  nodes_[static_cast<std::size_t>(index)].first = right;
  return index;
}

void ClosestPointTree::search_leaf(const Node& leaf,
                                   const Eigen::Vector3d& point,
                                   ClosestPoint& best) const {
  for (std::int32_t i = leaf.first; i < leaf.first + leaf.count; ++i) {
    const std::int32_t face = order_[static_cast<std::size_t>(i)];
    const auto& [a, b, c] = triangles_[static_cast<std::size_t>(face)];
    const Eigen::Vector3d candidate = closest_on_triangle(point, a, b, c);
    const double distance = (candidate - point).norm();
    if (distance < best.distance_mm) best = {candidate, distance, face};
  }
}

ClosestPoint ClosestPointTree::find(const Eigen::Vector3d& point) const {
  struct Entry {
    std::int32_t node;
    double squared_distance;
  };
  // The tree halves its triangles at every level, so its depth is below 32.
  std::array<Entry, 64> stack;
  std::size_t size = 0;
  ClosestPoint best;
  best.distance_mm = std::numeric_limits<double>::infinity();
  stack[size++] = {0, 0.0};
  while (size > 0) {
    const Entry entry = stack[--size];
    if (entry.squared_distance >= best.distance_mm * best.distance_mm) continue;
    const Node& node = nodes_[static_cast<std::size_t>(entry.node)];
    if (node.count > 0) {
      search_leaf(node, point, best);
      continue;
    }
    std::array<Entry, 2> children{Entry{entry.node + 1, 0.0}, Entry{node.first, 0.0}};
    for (Entry& child : children) {
      const Node& box = nodes_[static_cast<std::size_t>(child.node)];
      child.squared_distance = squared_distance_to_box(point, box.low, box.high);
    }
    if (children[0].squared_distance < children[1].squared_distance) {
      std::swap(children[0], children[1]);
    }
    for (const Entry& child : children) stack[size++] = child;  // the nearer one comes off first
  }
  return best;
}

}  // namespace osteoform
