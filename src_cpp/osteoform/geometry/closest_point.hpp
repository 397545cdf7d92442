// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <array>
#include <cstdint>
#include <vector>

#include "osteoform/geometry/triangle_mesh.hpp"

namespace osteoform {

/// Where a surface comes nearest to a point.
struct ClosestPoint {
  Eigen::Vector3d position = Eigen::Vector3d::Zero();
  double distance_mm = 0.0;
  int face = -1;
};

/// The point of the triangle a, b, c nearest to p; a triangle without area is its longest edge.
Eigen::Vector3d closest_on_triangle(const Eigen::Vector3d& p,
                                    const Eigen::Vector3d& a,
                                    const Eigen::Vector3d& b,
                                    const Eigen::Vector3d& c);

/// Finds the nearest point of a triangle surface: a binary tree of boxes, exact.
class ClosestPointTree {
 public:
  /// Throws InputError for faces that name no vertex and for vertices that are not finite.
  ClosestPointTree(const Points& vertices, const Faces& faces);

  ClosestPoint find(const Eigen::Vector3d& point) const;

 private:
  struct Node {
    Eigen::Vector3d low, high;
    std::int32_t first = 0;  // leaf: first entry of order_; inner node: its right child
    std::int32_t count = 0;  // 0 for an inner node, whose left child follows it
  };

  std::int32_t build(std::int32_t first, std::int32_t last, const Points& centroids);
  void bound(Node& node, std::int32_t first, std::int32_t last) const;
  void search_leaf(const Node& leaf, const Eigen::Vector3d& point, ClosestPoint& best) const;

  std::vector<std::array<Eigen::Vector3d, 3>> triangles_;
  std::vector<std::int32_t> order_;
  std::vector<Node> nodes_;
};

}  // namespace osteoform
