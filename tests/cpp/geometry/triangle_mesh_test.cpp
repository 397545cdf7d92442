// SPDX-License-Identifier: Apache-2.0
#include "osteoform/geometry/triangle_mesh.hpp"

#include <gtest/gtest.h>

namespace osteoform {
namespace {

Faces tetrahedron() {
  Faces faces(4, 3);
  faces << 0, 2, 1, 0, 1, 3, 1, 2, 3, 2, 0, 3;
  return faces;
}

TEST(IsClosed, AcceptsATetrahedron) { EXPECT_TRUE(is_closed(tetrahedron())); }

TEST(IsClosed, RefusesAHole) {
  Faces faces = tetrahedron();
  faces.conservativeResize(3, 3);
  EXPECT_FALSE(is_closed(faces));
}

TEST(IsClosed, RefusesATurnedFace) {
  Faces faces = tetrahedron();
  std::swap(faces(3, 0), faces(3, 1));
  EXPECT_FALSE(is_closed(faces));
}

TEST(IsClosed, RefusesAFaceTwice) {
  Faces faces(8, 3);
  faces << tetrahedron(), tetrahedron();
  EXPECT_FALSE(is_closed(faces));
}

TEST(SignedVolume, OfACornerOfACube) {
  Points vertices(4, 3);
  vertices << 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1;
  EXPECT_NEAR(signed_volume(vertices, tetrahedron()), 1.0 / 6.0, 1e-12);
}

TEST(VertexNormals, PointOutward) {
  Points vertices(4, 3), normals;
  vertices << 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1;
  vertex_normals(vertices, tetrahedron(), normals);
  const Eigen::RowVector3f center = vertices.colwise().mean();
  for (int i = 0; i < 4; ++i) {
    EXPECT_NEAR(normals.row(i).norm(), 1.0F, 1e-5F);
    EXPECT_GT(normals.row(i).dot(vertices.row(i) - center), 0.0F);
  }
}

}  // namespace
}  // namespace osteoform
