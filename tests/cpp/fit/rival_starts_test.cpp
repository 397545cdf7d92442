// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/rival_starts.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "support/synthetic.hpp"

namespace osteoform {
namespace {

TEST(StartPosterior, SdIsOfAllDirectionsTogether) {
  StartPosterior posterior;
  posterior.motion_mm = Eigen::Vector3d{4.0, 3.0, 0.0};
  EXPECT_DOUBLE_EQ(posterior.sd_mm(), 5.0);
}

TEST(StartPosterior, WhatNoImageShowsIsOpen) {
  StartPosterior posterior;
  posterior.motion_mm = Eigen::Vector3d::Zero();
  EXPECT_TRUE(std::isinf(posterior.sd_mm()));
}

TEST(VisibleParts, OneViewShowsNothingAlongItsRay) {
  const ShapeModel model = test::random_model(6, 1);
  FitState<double> state = test::some_state(6);
  state.corrections.clear();
  const std::vector<View> one = {test::two_views().front()};
  const std::vector<XrayImage> images(1, {nullptr, 512, 600});
  const auto visible = visible_parts(model, one, images, state);
  ASSERT_EQ(visible.size(), static_cast<std::size_t>(model.features.num_points()));
  for (int j = 0; j < model.features.num_points(); ++j) {
    const Eigen::Vector3d x = state.world_from_bone * feature_point(model.features, j, state.b);
    const auto& view = std::get<ConeView<double>>(one.front());
    const Eigen::Matrix3d& part = visible[static_cast<std::size_t>(j)];
    EXPECT_LT((part * view.ray(x).normalized()).norm(), 1e-9);
    EXPECT_LT((part * part - part).norm(), 1e-9);
    EXPECT_NEAR(part.trace(), 2.0, 1e-9);
    EXPECT_LT((view.project_jacobian(x) * part - view.project_jacobian(x)).norm(), 1e-9);
  }
}

TEST(VisibleParts, SeveralViewsShowAllOfWhatLiesInAnyImage) {
  const ShapeModel model = test::random_model(6, 1);
  const FitState<double> state = test::some_state(6);
  const std::vector<XrayImage> blind(2, {nullptr, 0, 0});
  for (const auto& part : visible_parts(model, test::two_views(), blind, state)) {
    EXPECT_TRUE(part.isZero());
  }
  const std::vector<XrayImage> first = {{nullptr, 512, 600}, {nullptr, 0, 0}};
  for (const auto& part : visible_parts(model, test::two_views(), first, state)) {
    EXPECT_TRUE(part.isIdentity());
  }
}

}  // namespace
}  // namespace osteoform
