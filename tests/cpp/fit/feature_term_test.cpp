// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/terms/feature_term.hpp"

#include <gtest/gtest.h>

#include "osteoform/fit/elements/ellipse_element.hpp"
#include "osteoform/fit/elements/point_element.hpp"
#include "support/dual.hpp"
#include "support/synthetic.hpp"

namespace osteoform {
namespace {

constexpr int kModes = 7;

class FeatureTermTest : public ::testing::TestWithParam<int> {
 protected:
  FeatureTermTest() : model(test::random_model(kModes, 5)), views(test::two_views()) {}

  PointObservation point() const { return {GetParam(), 3, {240.0, 310.0}, 2.5, 0.8}; }
  EllipseObservation ellipse() const {
    EllipseObservation e;
    e.view = GetParam();
    e.ellipsoid = 1;
    e.ellipse.center = {230.0, 305.0};
    e.ellipse.shape << 3600, 200, 200, 3100;
    e.sigma_px = 3.0;
    return e;
  }

  ShapeModel model;
  std::vector<View> views;
};

/// The bone frame of a view, in dual numbers.
template <typename V>
auto dual_view(const V& view, const FitState<test::Dual>& state, int v) {
  auto dual = view.template cast<test::Dual>();
  dual.view_from_world = dual.view_from_world * state.world_from_bone_for(v);
  return dual;
}

TEST_P(FeatureTermTest, PointJacobianEqualsDualNumbers) {
  const FeatureTerm term(model, views);
  const FitState<double> state = test::some_state(kModes);
  Eigen::Vector2d r;
  MatrixRm64 J;
  ASSERT_TRUE(term.linearize_point(state, point(), r, &J));
  EXPECT_GT(J.norm(), 1.0);

  const FitState<test::Dual> dual = test::dual_state(state);
  const test::DualVector<3> x =
      model.features.point_mean.row(3).transpose().cast<test::Dual>() +
      model.features.point_modes.middleRows<3>(9).cast<test::Dual>() * dual.b;
  std::visit(
      [&](const auto& view) {
        Eigen::Matrix<test::Dual, 2, 3> unused;
        const test::DualVector<2> expected =
            point_element<test::Dual>(
                dual_view(view, dual, GetParam()), x, point().px.cast<test::Dual>(), unused) /
            test::Dual(2.5);
        for (int k = 0; k < 2; ++k) {
          EXPECT_NEAR(r[k], expected[k].value(), 1e-10);
          EXPECT_LT(test::gap(expected[k], J.row(k)), 1e-10);
        }
      },
      views[static_cast<std::size_t>(GetParam())]);
}

TEST_P(FeatureTermTest, EllipseJacobianEqualsDualNumbers) {
  const FeatureTerm term(model, views);
  const FitState<double> state = test::some_state(kModes);
  Eigen::Matrix<double, 5, 1> r;
  MatrixRm64 J;
  ASSERT_TRUE(term.linearize_ellipse(state, ellipse(), r, &J));
  EXPECT_GT(J.norm(), 1.0);

  const FitState<test::Dual> dual = test::dual_state(state);
  Ellipsoid<test::Dual> e;
  e.center = model.features.ellipsoid_mean.row(1).transpose().cast<test::Dual>() +
             model.features.ellipsoid_modes.middleRows<3>(3).cast<test::Dual>() * dual.b;
  test::Dual log_scale(0.0);
  for (int k = 0; k < kModes; ++k) {
    log_scale += dual.b[k] * model.features.ellipsoid_scale_modes(1, k);
  }
  const test::Dual scale = exp(test::Dual(log_scale * 2.0));
  e.shape = model.features.ellipsoid_shape[1].cast<test::Dual>() * scale;
  const Ellipse<test::Dual> observed{ellipse().ellipse.center.cast<test::Dual>(),
                                     ellipse().ellipse.shape.cast<test::Dual>()};
  const test::Dual semi_axis(std::sqrt(std::sqrt(ellipse().ellipse.shape.determinant())));
  std::visit(
      [&](const auto& view) {
        const EllipseVector<test::Dual> expected =
            ellipse_element<test::Dual>(dual_view(view, dual, GetParam()), e, observed, semi_axis) /
            test::Dual(3.0);
        for (int k = 0; k < 5; ++k) {
          EXPECT_NEAR(r[k], expected[k].value(), 1e-9);
          EXPECT_LT(test::gap(expected[k], J.row(k)), 1e-10);
        }
      },
      views[static_cast<std::size_t>(GetParam())]);
}

TEST_P(FeatureTermTest, JacobiansEqualCentralDifferences) {
  const FeatureTerm term(model, views);
  const FitState<double> state = test::some_state(kModes);
  Eigen::Vector2d r, plus2, minus2;
  Eigen::Matrix<double, 5, 1> r5, plus5, minus5;
  MatrixRm64 J, J5;
  ASSERT_TRUE(term.linearize_point(state, point(), r, &J));
  ASSERT_TRUE(term.linearize_ellipse(state, ellipse(), r5, &J5));
  constexpr double h = 1e-5;
  for (int k = 0; k < state.num_params(); ++k) {
    FitState<double> plus = state, minus = state;
    plus.step(h * Eigen::VectorXd::Unit(state.num_params(), k));
    minus.step(-h * Eigen::VectorXd::Unit(state.num_params(), k));
    term.linearize_point(plus, point(), plus2, nullptr);
    term.linearize_point(minus, point(), minus2, nullptr);
    term.linearize_ellipse(plus, ellipse(), plus5, nullptr);
    term.linearize_ellipse(minus, ellipse(), minus5, nullptr);
    EXPECT_LT(((plus2 - minus2) / (2 * h) - J.col(k)).norm(), 1e-6 * std::max(1.0, J.norm()));
    EXPECT_LT(((plus5 - minus5) / (2 * h) - J5.col(k)).norm(), 1e-6 * std::max(1.0, J5.norm()));
  }
}

INSTANTIATE_TEST_SUITE_P(ConeAndSlot, FeatureTermTest, ::testing::Values(0, 1));

TEST(FeatureTerm, VanishesAtTheTruthWithoutLosingItsSlope) {
  const ShapeModel model = test::random_model(kModes, 5);
  const std::vector<View> views = test::two_views();
  FeatureTerm term(model, views);
  const FitState<double> state = test::some_state(kModes);
  for (int v = 0; v < 2; ++v) {
    const View view =
        view_of_bone(views[static_cast<std::size_t>(v)], state.world_from_bone_for(v));
    std::visit(
        [&](const auto& geometry) {
          for (int j = 0; j < model.features.num_points(); ++j) {
            term.points.push_back(
                {v, j, geometry.project(feature_point(model.features, j, state.b)), 1.0, 1.0});
          }
          EllipseObservation e;
          e.view = v;
          e.ellipse = project_ellipsoid(geometry, feature_ellipsoid(model.features, 0, state.b));
          term.ellipses.push_back(e);
        },
        view);
  }
  NormalEquations sums;
  sums.reset(state.num_params());
  term.accumulate(state, sums);
  EXPECT_LT(sums.cost, 1e-15);
  EXPECT_LT(sums.g.norm(), 1e-6);
  EXPECT_GT(sums.H.norm(), 1.0);
}

TEST(FeatureTerm, APointBehindTheSourceDoesNotCount) {
  const ShapeModel model = test::random_model(kModes, 5);
  const std::vector<View> views = test::two_views();
  const FeatureTerm term(model, views);
  FitState<double> state = test::some_state(kModes);
  state.world_from_bone.translation =
      view_from_world(views[0]).inverse() * Eigen::Vector3d(0.0, 0.0, -500.0);
  Eigen::Vector2d r;
  EXPECT_FALSE(term.linearize_point(state, {0, 1, {0.0, 0.0}, 1.0, 1.0}, r, nullptr));
}

}  // namespace
}  // namespace osteoform
