// SPDX-License-Identifier: Apache-2.0
#include "osteoform/features/ellipse.hpp"

#include <gtest/gtest.h>

#include <Eigen/LU>

#include "support/synthetic.hpp"

namespace osteoform {
namespace {

/// (px - center)' shape^-1 (px - center): 1 on the ellipse.
double on_ellipse(const Ellipse<double>& e, const Eigen::Vector2d& px) {
  return (px - e.center).dot(e.shape.inverse() * (px - e.center));
}

/// Points of a sphere where the ray is tangent, projected: the true outline.
template <typename V>
double worst_gap(const V& view, const Eigen::Vector3d& center, double radius) {
  const Ellipse<double> e = project_ellipsoid(
      view, Ellipsoid<double>{center, radius * radius * Eigen::Matrix3d::Identity()});
  const Eigen::Vector3d ray = view.ray(center).normalized();
  const double distance = view.ray(center).norm();
  const double inset = radius * radius / distance;
  const double rim = radius * std::sqrt(1.0 - radius * radius / (distance * distance));
  const Eigen::Vector3d a = ray.unitOrthogonal();
  const Eigen::Vector3d b = ray.cross(a);
  double worst = 0.0;
  for (int k = 0; k < 24; ++k) {
    const double t = 0.2618 * k;
    const Eigen::Vector3d x = center - inset * ray + rim * (std::cos(t) * a + std::sin(t) * b);
    worst = std::max(worst, std::abs(on_ellipse(e, view.project(x)) - 1.0));
  }
  return worst;
}

TEST(Ellipse, OutlineOfASphereInAConeViewIsExact) {
  const auto view = std::get<ConeView<double>>(test::two_views()[0]);
  for (const double off_axis : {0.0, 60.0, 150.0}) {
    EXPECT_LT(worst_gap(view, {off_axis, 20.0, -off_axis}, 24.0), 1e-9);
  }
}

TEST(Ellipse, IsNotCenteredOnTheProjectedCenter) {
  const auto view = std::get<ConeView<double>>(test::two_views()[0]);
  const Eigen::Vector3d center(180.0, 0.0, 90.0);
  const Ellipse<double> e =
      project_ellipsoid(view, Ellipsoid<double>{center, 600.0 * Eigen::Matrix3d::Identity()});
  EXPECT_GT((e.center - view.project(center)).norm(), 0.1);
}

TEST(Ellipse, SlotViewIsGoodToATenthOfAMillimetreOnTheAxis) {
  const auto view = std::get<SlotView<double>>(test::two_views()[1]);
  // 2 dr / r of a 24 mm sphere: 0.008 is a tenth of a millimetre.
  EXPECT_LT(worst_gap(view, {0.0, 0.0, 0.0}, 24.0), 0.008);
}

}  // namespace
}  // namespace osteoform
