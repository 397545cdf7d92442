// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/terms/boundary_term.hpp"

#include <gtest/gtest.h>

#include "osteoform/fit/elements/boundary_element.hpp"
#include "osteoform/fit/terms/prior_term.hpp"
#include "support/dual.hpp"
#include "support/synthetic.hpp"

namespace osteoform {
namespace {

constexpr int kModes = 7;

/// Silhouettes of both views with boundary points a few pixels away from them.
void fill(const ShapeModel& model,
          const std::vector<View>& views,
          const FitState<double>& state,
          BoundaryTerm& term) {
  Eigen::VectorXf b = Eigen::VectorXf::Zero(model.stride());
  b.head(kModes) = state.b.cast<float>();
  Points vertices(model.num_points(), 3), normals;
  instance_rows(model, b.data(), 0, 3 * model.num_points(), vertices);
  vertex_normals(vertices, model.faces, normals);
  SilhouetteWorkspace workspace;
  for (std::size_t v = 0; v < views.size(); ++v) {
    std::vector<SilhouettePoint> points;
    extract_silhouette(view_of_bone(views[v], state.world_from_bone_for(static_cast<int>(v))),
                       vertices,
                       normals,
                       model.edges,
                       300,
                       workspace,
                       points);
    ViewBoundary& boundary = term.boundaries[v];
    boundary.observations.clear();
    boundary.px_per_mm = 2.6;
    for (std::size_t k = 0; k < points.size(); ++k) {
      const float offset = 3.0F * std::sin(0.7F * static_cast<float>(k));
      BoundaryObservation o{points[k], {0.0F, 0.0F}, 0.2F + 0.8F * static_cast<float>(k % 3) / 2};
      for (int a = 0; a < 2; ++a) o.found_px[a] = o.point.px[a] + offset * o.point.normal[a];
      boundary.observations.push_back(o);
    }
  }
}

template <typename V>
void expect_dual_gradient(const V& geometry, const FitState<double>& state, int v) {
  const Eigen::Vector3d x(12.0, -9.0, 31.0);
  const Eigen::Vector2d found(250.0, 290.0);
  const Eigen::Vector2d normal = Eigen::Vector2d(0.6, -0.8);
  const View view = view_of_bone(geometry, state.world_from_bone_for(v));
  Eigen::Vector3d gradient;
  const double r = boundary_element<double>(std::get<V>(view), x, found, normal, gradient);
  const MotionFrames<double> frames(state, v);
  Eigen::RowVectorXd row = Eigen::RowVectorXd::Zero(state.num_params());
  row.head<3>() = frames.pose_from_torque * x.cross(gradient);
  row.segment<3>(3) = frames.pose_from_force * gradient;
  if (state.corrects(v)) {
    row.segment<3>(state.correction_offset(v)) = frames.correction_from_torque * x.cross(gradient);
    row.segment<3>(state.correction_offset(v) + 3) = frames.pose_from_force * gradient;
  }

  const FitState<test::Dual> dual = test::dual_state(state);
  auto dual_view = geometry.template cast<test::Dual>();
  dual_view.view_from_world = dual_view.view_from_world * dual.world_from_bone_for(v);
  Eigen::Matrix<test::Dual, 3, 1> unused;
  const test::Dual expected = boundary_element<test::Dual>(
      dual_view, x.cast<test::Dual>(), found.cast<test::Dual>(), normal.cast<test::Dual>(), unused);
  EXPECT_NEAR(r, expected.value(), 1e-10);
  EXPECT_LT(test::gap(expected, row), 1e-10);
  EXPECT_GT(row.norm(), 1.0);
}

TEST(BoundaryElement, GradientEqualsDualNumbers) {
  const FitState<double> state = test::some_state(kModes);
  const std::vector<View> views = test::two_views();
  expect_dual_gradient(std::get<ConeView<double>>(views[0]), state, 0);
  expect_dual_gradient(std::get<SlotView<double>>(views[1]), state, 1);
}

TEST(BoundaryTerm, GradientIsTheSlopeOfItsCost) {
  const ShapeModel model = test::random_model(kModes, 3);
  const std::vector<View> views = test::two_views();
  const FitState<double> state = test::some_state(kModes);
  ThreadPool pool(1);
  InstanceMemo instances(model, pool);
  BoundaryTerm term(model, views, 300, instances, pool);
  fill(model, views, state, term);
  NormalEquations sums;
  sums.reset(state.num_params());
  term.accumulate(state, sums);
  EXPECT_DOUBLE_EQ(sums.cost, term.cost(state));
  constexpr double h = 1e-2;  // vertices are float: a smaller step would measure their rounding
  for (int k = 0; k < state.num_params(); ++k) {
    const double step = (k < 3 || (k >= 13 && k < 16)) ? 0.01 * h : h;
    FitState<double> plus = state, minus = state;
    plus.step(step * Eigen::VectorXd::Unit(state.num_params(), k));
    minus.step(-step * Eigen::VectorXd::Unit(state.num_params(), k));
    const double slope = (term.cost(plus) - term.cost(minus)) / (2.0 * step);
    EXPECT_NEAR(slope, 2.0 * sums.g[k], 2e-3 * (std::abs(slope) + sums.g.norm())) << k;
  }
}

TEST(BoundaryTerm, SumsDoNotDependOnTheNumberOfThreads) {
  const ShapeModel model = test::random_model(kModes, 3);
  const std::vector<View> views = test::two_views();
  const FitState<double> state = test::some_state(kModes);
  NormalEquations expected;
  for (const int num_threads : {1, 2, 7}) {
    ThreadPool pool(num_threads);
    InstanceMemo instances(model, pool);
    BoundaryTerm term(model, views, 300, instances, pool);
    fill(model, views, state, term);
    NormalEquations sums;
    sums.reset(state.num_params());
    term.accumulate(state, sums);
    if (num_threads == 1) expected = sums;
    EXPECT_TRUE(sums.H == expected.H);
    EXPECT_TRUE(sums.g == expected.g);
    EXPECT_TRUE(sums.cost == expected.cost);
  }
}

TEST(PriorTerm, GradientIsTheSlopeOfItsCost) {
  const FitState<double> state = test::some_state(kModes);
  const PriorTerm prior{1.5, 9.0, 4.0, 0.3, Eigen::Vector3d(0.6, 0.0, 0.8), {1.0, 2.0, 3.0}};
  NormalEquations sums;
  sums.reset(state.num_params());
  prior.accumulate(state, sums);
  constexpr double h = 1e-5;
  for (int k = 0; k < state.num_params(); ++k) {
    FitState<double> plus = state, minus = state;
    plus.step(h * Eigen::VectorXd::Unit(state.num_params(), k));
    minus.step(-h * Eigen::VectorXd::Unit(state.num_params(), k));
    EXPECT_NEAR((prior.cost(plus) - prior.cost(minus)) / (2.0 * h), 2.0 * sums.g[k], 1e-6);
  }
}

}  // namespace
}  // namespace osteoform
