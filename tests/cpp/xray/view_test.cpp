// SPDX-License-Identifier: Apache-2.0
#include "osteoform/xray/view.hpp"

#include <gtest/gtest.h>

#include "support/synthetic.hpp"

namespace osteoform {
namespace {

TEST(View, JacobianEqualsCentralDifferences) {
  const Eigen::Vector3d x(30.0, -20.0, 45.0);
  constexpr double h = 1e-4;
  for (const View& view : test::two_views()) {
    std::visit(
        [&](const auto& v) {
          for (int k = 0; k < 3; ++k) {
            const Eigen::Vector3d dx = h * Eigen::Vector3d::Unit(k);
            const Eigen::Vector2d slope = (v.project(x + dx) - v.project(x - dx)) / (2.0 * h);
            EXPECT_LT((slope - v.project_jacobian(x).col(k)).norm(), 1e-6);
          }
        },
        view);
  }
}

TEST(View, MovingAlongTheRayDoesNotMoveThePixel) {
  const Eigen::Vector3d x(30.0, -20.0, 45.0);
  for (const View& view : test::two_views()) {
    std::visit(
        [&](const auto& v) {
          EXPECT_LT((v.project(x + 0.1 * v.ray(x)) - v.project(x)).norm(), 1e-9);
        },
        view);
  }
}

TEST(View, BackProjectionIsTheInverse) {
  const Eigen::Vector2d px(301.0, 122.5);
  for (const View& view : test::two_views()) {
    std::visit(
        [&](const auto& v) {
          EXPECT_LT((v.project(v.back_project(px, 870.0)) - px).norm(), 1e-9);
          EXPECT_NEAR((v.view_from_world * v.back_project(px, 870.0)).z(), 870.0, 1e-9);
        },
        view);
  }
}

TEST(ConeView, RowsRunDownAndColumnsRunRight) {
  ConeView<double> view;
  view.view_from_world.translation = {0.0, 0.0, 100.0};
  view.focal_px = {1000.0, 1000.0};
  view.principal_px = {50.0, 60.0};
  const Eigen::Vector2d px = view.project({1.0, 2.0, 0.0});
  EXPECT_DOUBLE_EQ(px.x(), 60.0);
  EXPECT_DOUBLE_EQ(px.y(), 80.0);
}

TEST(SlotView, DoesNotMagnifyAlongTheScan) {
  const auto view = std::get<SlotView<double>>(test::two_views()[1]);
  const Eigen::Vector3d along = view.view_from_world.rotation.row(1).transpose();
  const double rows = (view.project(10.0 * along) - view.project({0.0, 0.0, 0.0})).y();
  EXPECT_NEAR(rows, 10.0 / view.row_pitch_mm, 1e-9);
}

}  // namespace
}  // namespace osteoform
