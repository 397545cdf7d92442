// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "osteoform/geometry/triangle_mesh.hpp"

namespace osteoform::testing {

struct SphereMesh {
  Points vertices;
  Faces faces;
};

/// Latitude-longitude sphere, closed, outward; num_around at least 4 and even.
inline SphereMesh sphere(const Eigen::Vector3d& center, double radius_mm, int num_around) {
  const int num_rings = num_around / 2 - 1;
  const int north = num_rings * num_around;
  SphereMesh mesh;
  mesh.vertices.resize(north + 2, 3);
  mesh.faces.resize(2 * num_rings * num_around, 3);
  const auto id = [&](int ring, int i) { return ring * num_around + i % num_around; };
  for (int ring = 0; ring < num_rings; ++ring) {
    const double polar = std::numbers::pi * (ring + 1) / (num_rings + 1);
    for (int i = 0; i < num_around; ++i) {
      const double turn = 2.0 * std::numbers::pi * i / num_around;
      const Eigen::Vector3d unit(
          std::sin(polar) * std::cos(turn), std::sin(polar) * std::sin(turn), std::cos(polar));
      mesh.vertices.row(id(ring, i)) = (center + radius_mm * unit).cast<float>();
    }
  }
  mesh.vertices.row(north) = (center + Eigen::Vector3d(0, 0, radius_mm)).cast<float>();
  mesh.vertices.row(north + 1) = (center - Eigen::Vector3d(0, 0, radius_mm)).cast<float>();
  int face = 0;
  for (int i = 0; i < num_around; ++i) {
    mesh.faces.row(face++) << north, id(0, i), id(0, i + 1);
    mesh.faces.row(face++) << north + 1, id(num_rings - 1, i + 1), id(num_rings - 1, i);
    for (int ring = 0; ring + 1 < num_rings; ++ring) {
      mesh.faces.row(face++) << id(ring, i), id(ring + 1, i), id(ring + 1, i + 1);
      mesh.faces.row(face++) << id(ring, i), id(ring + 1, i + 1), id(ring, i + 1);
    }
  }
  return mesh;
}

}  // namespace osteoform::testing
