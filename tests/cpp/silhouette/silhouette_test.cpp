// SPDX-License-Identifier: Apache-2.0
#include "osteoform/silhouette/silhouette.hpp"

#include <gtest/gtest.h>

#include <Eigen/LU>
#include <numbers>

#include "osteoform/features/ellipse.hpp"
#include "osteoform/silhouette/coverage.hpp"
#include "support/synthetic.hpp"

namespace osteoform {
namespace {

struct Sphere {
  Points vertices, normals;
  Faces faces;
  Edges edges;
  explicit Sphere(double radius) {
    test::icosphere(radius, 4, vertices, faces);
    vertex_normals(vertices, faces, normals);
    edges = unique_edges(faces);
  }
};

TEST(Silhouette, OfASphereIsItsEllipseWithOutwardNormals) {
  const Sphere sphere(24.0);
  const auto view = std::get<ConeView<double>>(test::two_views()[0]);
  SilhouetteWorkspace workspace;
  std::vector<SilhouettePoint> points;
  extract_silhouette(view, sphere.vertices, sphere.normals, sphere.edges, 10000, workspace, points);
  ASSERT_GT(points.size(), 60U);
  const Ellipse<double> e = project_ellipsoid(
      view, Ellipsoid<double>{Eigen::Vector3d::Zero(), 576.0 * Eigen::Matrix3d::Identity()});
  for (const SilhouettePoint& point : points) {
    const Eigen::Vector2d from_center(point.px[0] - e.center.x(), point.px[1] - e.center.y());
    const Eigen::Vector2d normal(point.normal[0], point.normal[1]);
    const double squared = from_center.dot(e.shape.inverse() * from_center);
    EXPECT_NEAR(std::sqrt(squared), 1.0, 0.001);  // facets cut corners
    EXPECT_GT(from_center.normalized().dot(normal), 0.999);
  }
}

TEST(Silhouette, MovesAsTheProjectionOfItsPointsPredicts) {
  const Sphere sphere(24.0);
  const auto view = std::get<ConeView<double>>(test::two_views()[0]);
  SilhouetteWorkspace workspace;
  std::vector<SilhouettePoint> points;
  extract_silhouette(view, sphere.vertices, sphere.normals, sphere.edges, 10000, workspace, points);
  Rigid3<double> moved;
  moved.translation = {0.1, 0.0, 0.0};
  const auto after = std::get<ConeView<double>>(view_of_bone(view, moved));
  std::vector<SilhouettePoint> again;
  extract_silhouette(after, sphere.vertices, sphere.normals, sphere.edges, 10000, workspace, again);
  ASSERT_EQ(again.size(), points.size());
  for (std::size_t k = 0; k < points.size(); ++k) {
    const double a = points[k].alpha;
    const Eigen::Vector3d x =
        (1.0 - a) * sphere.vertices.row(points[k].i).transpose().cast<double>() +
        a * sphere.vertices.row(points[k].j).transpose().cast<double>();
    const Eigen::Vector2d normal(points[k].normal[0], points[k].normal[1]);
    const Eigen::Vector2d now(again[k].px[0], again[k].px[1]);
    EXPECT_NEAR(normal.dot(after.project(x) - now), 0.0, 2e-3);
  }
}

TEST(Silhouette, TakesAnEvenSelection) {
  const Sphere sphere(24.0);
  SilhouetteWorkspace workspace;
  std::vector<SilhouettePoint> points;
  extract_silhouette(
      test::two_views()[0], sphere.vertices, sphere.normals, sphere.edges, 40, workspace, points);
  EXPECT_EQ(points.size(), 40U);
}

TEST(Silhouette, KnowsTheLengthOfRimThatEachPointStandsFor) {
  const Sphere sphere(24.0);
  SilhouetteWorkspace workspace;
  std::vector<SilhouettePoint> points;
  for (const int max_points : {10000, 40}) {
    extract_silhouette(test::two_views()[0],
                       sphere.vertices,
                       sphere.normals,
                       sphere.edges,
                       max_points,
                       workspace,
                       points);
    double rim_mm = 0.0;
    for (const SilhouettePoint& point : points) rim_mm += point.rim_mm;
    const double circumference_mm = 2.0 * std::numbers::pi * 24.0;
    EXPECT_NEAR(rim_mm, circumference_mm, 0.15 * circumference_mm) << max_points;
    thin_out(20, points);
    double thinned_mm = 0.0;
    for (const SilhouettePoint& point : points) thinned_mm += point.rim_mm;
    EXPECT_NEAR(thinned_mm, rim_mm, 0.15 * rim_mm) << max_points;
  }
}

TEST(Coverage, KeepsTheRimOfAShadowAndDropsWhatLiesWithin) {
  Sphere sphere(24.0);
  Sphere inner(8.0);
  const Eigen::Index n = sphere.vertices.rows();
  Points vertices(2 * n, 3), normals(2 * n, 3);
  vertices << sphere.vertices, inner.vertices;
  normals << sphere.normals, inner.normals;
  Faces faces(2 * sphere.faces.rows(), 3);
  faces << sphere.faces, (inner.faces.array() + static_cast<std::int32_t>(n)).matrix();
  const View view = test::two_views()[0];
  SilhouetteWorkspace workspace;
  std::vector<SilhouettePoint> points;
  extract_silhouette(view, vertices, normals, unique_edges(faces), 10000, workspace, points);
  const std::size_t before = points.size();
  Coverage coverage;
  cover(view, vertices, faces, 1.0, coverage);
  keep_outer_rims(coverage, points);
  EXPECT_LT(points.size(), before);
  ASSERT_GT(points.size(), 60U);
  for (const SilhouettePoint& point : points) EXPECT_LT(point.i, n);
}

}  // namespace
}  // namespace osteoform
