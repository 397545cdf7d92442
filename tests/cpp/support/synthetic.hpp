// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "osteoform/fit/fit_state.hpp"
#include "osteoform/ssm/shape_model.hpp"
#include "osteoform/xray/view.hpp"

namespace osteoform::test {

/// A closed icosphere of radius r, subdivided `levels` times.
inline void icosphere(double radius, int levels, Points& vertices, Faces& faces) {
  const double g = (1.0 + std::sqrt(5.0)) / 2.0;
  std::vector<Eigen::Vector3d> x = {{-1, g, 0},
                                    {1, g, 0},
                                    {-1, -g, 0},
                                    {1, -g, 0},
                                    {0, -1, g},
                                    {0, 1, g},
                                    {0, -1, -g},
                                    {0, 1, -g},
                                    {g, 0, -1},
                                    {g, 0, 1},
                                    {-g, 0, -1},
                                    {-g, 0, 1}};
  std::vector<Eigen::Vector3i> f = {{0, 11, 5}, {0, 5, 1},  {0, 1, 7},   {0, 7, 10}, {0, 10, 11},
                                    {1, 5, 9},  {5, 11, 4}, {11, 10, 2}, {10, 7, 6}, {7, 1, 8},
                                    {3, 9, 4},  {3, 4, 2},  {3, 2, 6},   {3, 6, 8},  {3, 8, 9},
                                    {4, 9, 5},  {2, 4, 11}, {6, 2, 10},  {8, 6, 7},  {9, 8, 1}};
  for (int level = 0; level < levels; ++level) {
    std::map<std::pair<int, int>, int> middle;
    const auto split = [&](int a, int b) {
      const auto [it, added] = middle.try_emplace(std::minmax(a, b), static_cast<int>(x.size()));
      if (added) x.push_back(0.5 * (x[a] + x[b]));
      return it->second;
    };
    std::vector<Eigen::Vector3i> finer;
    for (const Eigen::Vector3i& t : f) {
      const int a = split(t[0], t[1]);
      const int b = split(t[1], t[2]);
      const int c = split(t[2], t[0]);
      finer.insert(finer.end(), {{t[0], a, c}, {t[1], b, a}, {t[2], c, b}, {a, b, c}});
    }
    f = std::move(finer);
  }
  vertices.resize(static_cast<Eigen::Index>(x.size()), 3);
  for (std::size_t i = 0; i < x.size(); ++i) {
    vertices.row(static_cast<Eigen::Index>(i)) =
        (radius * x[i].normalized()).cast<float>().transpose();
  }
  faces.resize(static_cast<Eigen::Index>(f.size()), 3);
  for (std::size_t i = 0; i < f.size(); ++i) faces.row(static_cast<Eigen::Index>(i)) = f[i];
}

/// A long ellipsoid with smooth random modes, feature points on its surface and two ellipsoids.
inline ShapeModel random_model(int num_modes, unsigned seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<double> normal;
  const auto random = [&] { return normal(rng); };
  ShapeModel model;
  icosphere(1.0, 3, model.mean, model.faces);
  model.mean *= Eigen::Vector3f(25.0F, 30.0F, 90.0F).asDiagonal();
  const Eigen::Index n = model.mean.rows();
  model.num_modes = num_modes;
  const int stride = std::max(1, (num_modes + kModeStride - 1) / kModeStride) * kModeStride;
  model.modes.setZero(3 * n, stride);
  for (int k = 0; k < num_modes; ++k) {
    const Eigen::Vector3d wave = Eigen::Vector3d(random(), random(), random()) / 40.0;
    const Eigen::Vector3d push = 1.5 * Eigen::Vector3d(random(), random(), random());
    for (Eigen::Index i = 0; i < n; ++i) {
      const double s = std::sin(wave.dot(model.mean.row(i).cast<double>()) + k);
      for (int a = 0; a < 3; ++a) model.modes(3 * i + a, k) = static_cast<float>(s * push[a]);
    }
  }
  model.inadequacy_mm = Eigen::VectorXf::Constant(n, 0.4F);
  model.edges = unique_edges(model.faces);
  FeatureModel& f = model.features;
  constexpr int kPoints = 10;
  f.point_mean.resize(kPoints, 3);
  f.point_modes.resize(3 * kPoints, num_modes);
  for (int j = 0; j < kPoints; ++j) {
    const Eigen::Index i = (j * 61) % n;
    f.point_mean.row(j) = model.mean.row(i).cast<double>();
    f.point_modes.middleRows(3 * j, 3) =
        model.modes.middleRows(3 * i, 3).leftCols(num_modes).cast<double>();
  }
  f.ellipsoid_mean.resize(2, 3);
  f.ellipsoid_mean << 5, -4, 60, -8, 6, -55;
  f.ellipsoid_modes = MatrixRm64::NullaryExpr(6, num_modes, random);
  f.ellipsoid_scale_modes = 0.03 * MatrixRm64::NullaryExpr(2, num_modes, random);
  Eigen::Matrix3d A;
  A << 500, 40, -20, 40, 380, 30, -20, 30, 620;
  f.ellipsoid_shape = {22.0 * 22.0 * Eigen::Matrix3d::Identity(), A};
  model.check();
  return model;
}

inline Rigid3<double> view_from_world_at(double angle, double depth_mm) {
  Eigen::Matrix3d upright;
  upright << 1, 0, 0, 0, 0, -1, 0, 1, 0;
  return {upright * so3_exp<double>(Eigen::Vector3d(0.0, 0.0, angle)), {0.0, 0.0, depth_mm}};
}

/// A cone view and a slot view, at right angles.
inline std::vector<View> two_views() {
  ConeView<double> cone;
  cone.view_from_world = view_from_world_at(0.0, 950.0);
  cone.focal_px = {2500.0, 2480.0};
  cone.principal_px = {256.0, 300.0};
  SlotView<double> slot;
  slot.view_from_world = view_from_world_at(1.57, 900.0);
  slot.focal_px = 2600.0;
  slot.principal_u_px = 250.0;
  slot.row_pitch_mm = 0.4;
  slot.first_row_mm = -120.0;
  return {cone, slot};
}

/// A state away from every symmetry, with the second view's calibration off.
inline FitState<double> some_state(int num_modes) {
  FitState<double> state;
  state.world_from_bone.rotation = so3_exp<double>(Eigen::Vector3d(0.2, -0.3, 0.4));
  state.world_from_bone.translation = {4.0, -7.0, 11.0};
  state.b = Eigen::VectorXd::LinSpaced(num_modes, -1.0, 1.2);
  state.corrections.resize(1);
  state.corrections[0].rotation = {0.03, -0.02, 0.05};
  state.corrections[0].translation = {0.7, -0.4, 1.1};
  return state;
}

}  // namespace osteoform::test
