// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/rival_starts.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

namespace osteoform {
namespace {

/// Mean of J'J over the feature points in an image, J = d x_in_world / d parameters, its visible
/// part.
Eigen::MatrixXd motion_metric(const ShapeModel& model,
                              const std::vector<Eigen::Matrix3d>& visible,
                              const FitState<double>& state) {
  const int num_params = state.num_params();
  Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(num_params, num_params);
  double total = 1e-12;
  Eigen::MatrixXd J(3, num_params);
  const Eigen::Matrix3d& R = state.world_from_bone.rotation;
  for (int j = 0; j < model.features.num_points(); ++j) {
    const Eigen::Matrix3d& part = visible[static_cast<std::size_t>(j)];
    if (part.isZero()) continue;
    const Eigen::Vector3d x = R * feature_point(model.features, j, state.b);
    J.setZero();
    J.leftCols<3>() = -skew<double>(x);
    J.middleCols<3>(3).setIdentity();
    J.middleCols(kPoseDim, state.b.size()) =
        R * model.features.point_modes.middleRows<3>(3 * j).leftCols(state.b.size());
    sum += J.transpose() * part * J;  // a projector: part' part = part
    total += 1.0;
  }
  return sum / total;
}

}  // namespace

StartPosterior start_posterior(const ShapeModel& model,
                               FeatureTerm& features,
                               const PriorTerm& prior,
                               const std::vector<Eigen::Matrix3d>& visible,
                               const FitState<double>& state) {
  NormalEquations sums;
  sums.reset(state.num_params());
  features.accumulate(state, sums);
  prior.accumulate(state, sums);
  sums.H.diagonal().array() += 1e-6;
  const Eigen::LLT<Eigen::MatrixXd> factor(sums.H);
  if (factor.info() != Eigen::Success) return {};

  // With H = L L', p = L^-T e has the posterior's covariance for white e; its mean square motion is
  // e' (L^-1 A L^-T) e.
  Eigen::MatrixXd whitened = motion_metric(model, visible, state);
  factor.matrixL().solveInPlace(whitened);
  whitened.transposeInPlace();
  factor.matrixL().solveInPlace(whitened);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(whitened);
  StartPosterior posterior;
  posterior.motion_mm = solver.eigenvalues().reverse().cwiseMax(0.0).cwiseSqrt();
  posterior.steps = solver.eigenvectors().rowwise().reverse();
  factor.matrixU().solveInPlace(posterior.steps);
  return posterior;
}

std::vector<FitState<double>> rival_starts(const StartPosterior& posterior,
                                           const FitState<double>& state) {
  std::vector<FitState<double>> rivals;
  const auto size = static_cast<int>(posterior.motion_mm.size());
  for (int k = 0; k < std::min(kMaxRivalDirections, size); ++k) {
    const double reach_mm = kRivalStep * posterior.motion_mm[k];
    if (reach_mm < kRivalMotion_mm) break;
    const int num_steps =
        std::clamp(static_cast<int>(std::ceil(reach_mm / kRivalSpacing_mm)), 1, kMaxRivalSteps);
    for (int n = 1; n <= num_steps; ++n) {
      for (const double sign : {1.0, -1.0}) {
        rivals.push_back(state);
        rivals.back().step(sign * kRivalStep * n / num_steps * posterior.steps.col(k));
      }
    }
  }
  return rivals;
}

std::vector<Eigen::Matrix3d> visible_parts(const ShapeModel& model,
                                           const std::vector<View>& views,
                                           const std::vector<XrayImage>& images,
                                           const FitState<double>& state) {
  const auto num_points = static_cast<std::size_t>(model.features.num_points());
  std::vector<Eigen::Matrix3d> visible(num_points, Eigen::Matrix3d::Zero());
  for (std::size_t v = 0; v < views.size(); ++v) {
    const Rigid3<double> world_from_bone = state.world_from_bone_for(static_cast<int>(v));
    for (std::size_t j = 0; j < num_points; ++j) {
      const Eigen::Vector3d x =
          world_from_bone * feature_point(model.features, static_cast<int>(j), state.b);
      std::visit(
          [&](const auto& view) {
            const Eigen::Vector2d px = view.project(x);
            if (px.x() < 0.0 || px.y() < 0.0 || px.x() >= images[v].width ||
                px.y() >= images[v].height) {
              return;
            }
            visible[j].setIdentity();
            if (views.size() > 1) return;
            const Eigen::Vector3d ray = view.ray(x).normalized();
            visible[j] -= ray * ray.transpose();
          },
          views[v]);
    }
  }
  return visible;
}

}  // namespace osteoform
