// SPDX-License-Identifier: Apache-2.0
#include "osteoform/geometry/closest_point.hpp"

#include <gtest/gtest.h>

#include <random>

#include "osteoform/base/error.hpp"

namespace osteoform {
namespace {

using Eigen::Vector3d;

const Vector3d kA(0, 0, 0), kB(2, 0, 0), kC(0, 2, 0);

TEST(ClosestOnTriangle, ProjectsOntoFaceEdgesAndCorners) {
  EXPECT_TRUE(closest_on_triangle({0.5, 0.5, 3}, kA, kB, kC).isApprox(Vector3d(0.5, 0.5, 0)));
  EXPECT_TRUE(closest_on_triangle({1, -2, 1}, kA, kB, kC).isApprox(Vector3d(1, 0, 0)));
  EXPECT_TRUE(closest_on_triangle({2, 2, 0}, kA, kB, kC).isApprox(Vector3d(1, 1, 0)));
  EXPECT_TRUE(closest_on_triangle({5, -1, 0}, kA, kB, kC).isApprox(kB));
}

TEST(ClosestOnTriangle, DegenerateTrianglesAreSegmentsAndPoints) {
  EXPECT_TRUE(closest_on_triangle({1, 1, 0}, kA, kB, kB).isApprox(Vector3d(1, 0, 0)));
  EXPECT_TRUE(closest_on_triangle({3, 4, 0}, kB, kB, kB).isApprox(kB));
  EXPECT_TRUE(closest_on_triangle({1, 1, 0}, kA, {1, 0, 0}, kB).isApprox(Vector3d(1, 0, 0)));
}

TEST(ClosestPointTree, AgreesWithTryingEveryTriangle) {
  std::mt19937 generator(7);
  std::uniform_real_distribution<float> coordinate(-10.0F, 10.0F);
  std::uniform_int_distribution<int> vertex(0, 149);
  for (const int num_faces : {1, 4, 5, 300}) {
    Points vertices(150, 3);
    Faces faces(num_faces, 3);
    for (float& x : vertices.reshaped()) x = coordinate(generator);
    for (std::int32_t& id : faces.reshaped()) id = vertex(generator);
    const ClosestPointTree tree(vertices, faces);
    for (int trial = 0; trial < 50; ++trial) {
      const Vector3d p(coordinate(generator), coordinate(generator), coordinate(generator));
      double expected = 1e9;
      for (int f = 0; f < num_faces; ++f) {
        std::array<Vector3d, 3> x;
        for (int k = 0; k < 3; ++k) x[k] = vertices.row(faces(f, k)).transpose().cast<double>();
        expected = std::min(expected, (closest_on_triangle(p, x[0], x[1], x[2]) - p).norm());
      }
      const ClosestPoint found = tree.find(p);
      EXPECT_NEAR(found.distance_mm, expected, 1e-12);
      EXPECT_NEAR((found.position - p).norm(), found.distance_mm, 1e-12);
      EXPECT_GE(found.face, 0);
    }
  }
}

TEST(ClosestPointTree, RefusesUnusableMeshes) {
  Points vertices = Points::Zero(3, 3);
  Faces faces(1, 3);
  faces << 0, 1, 3;
  EXPECT_THROW(ClosestPointTree(vertices, faces), InputError);
  EXPECT_THROW(ClosestPointTree(vertices, Faces(0, 3)), InputError);
  faces << 0, 1, 2;
  vertices(1, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(ClosestPointTree(vertices, faces), InputError);
}

}  // namespace
}  // namespace osteoform
