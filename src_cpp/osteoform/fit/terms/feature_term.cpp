// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/terms/feature_term.hpp"

#include <algorithm>
#include <cmath>

#include "osteoform/fit/elements/ellipse_element.hpp"
#include "osteoform/fit/elements/point_element.hpp"
#include "osteoform/fit/robust_loss.hpp"

namespace osteoform {
namespace {

/// Motion of an ellipsoid in the bone frame when the bone turns by w about its origin.
Ellipsoid<double> turned(const Ellipsoid<double>& e, const Eigen::Vector3d& w) {
  const Eigen::Matrix3d WA = skew<double>(w) * e.shape;
  return {w.cross(e.center), WA + WA.transpose()};
}

Ellipsoid<double> shifted(const Eigen::Vector3d& by) { return {by, Eigen::Matrix3d::Zero()}; }

double mean_semi_axis(const Ellipse<double>& ellipse) {
  return std::sqrt(std::sqrt(std::max(ellipse.shape.determinant(), 1e-12)));
}

}  // namespace

Eigen::Vector3d feature_point(const FeatureModel& features, int point, const Eigen::VectorXd& b) {
  return features.point_mean.row(point).transpose() +
         features.point_modes.middleRows<3>(3 * point).leftCols(b.size()) * b;
}

Ellipsoid<double> feature_ellipsoid(const FeatureModel& features,
                                    int ellipsoid,
                                    const Eigen::VectorXd& b) {
  const double log_scale = features.ellipsoid_scale_modes.row(ellipsoid).head(b.size()).dot(b);
  return {
      features.ellipsoid_mean.row(ellipsoid).transpose() +
          features.ellipsoid_modes.middleRows<3>(3 * ellipsoid).leftCols(b.size()) * b,
      std::exp(2.0 * log_scale) * features.ellipsoid_shape[static_cast<std::size_t>(ellipsoid)]};
}

FeatureTerm::Seen FeatureTerm::see(const FitState<double>& state, int view) const {
  return {view_of_bone(views_[static_cast<std::size_t>(view)], state.world_from_bone_for(view)),
          MotionFrames<double>(state, view)};
}

bool FeatureTerm::linearize_point(const FitState<double>& state,
                                  const PointObservation& observation,
                                  Eigen::Vector2d& r,
                                  MatrixRm64* J) const {
  return point_rows(see(state, observation.view), state, observation, r, J);
}

bool FeatureTerm::linearize_ellipse(const FitState<double>& state,
                                    const EllipseObservation& observation,
                                    Eigen::Matrix<double, 5, 1>& r,
                                    MatrixRm64* J) const {
  return ellipse_rows(see(state, observation.view), state, observation, r, J);
}

bool FeatureTerm::point_rows(const Seen& seen,
                             const FitState<double>& state,
                             const PointObservation& observation,
                             Eigen::Vector2d& r,
                             MatrixRm64* J) const {
  const int v = observation.view;
  const MotionFrames<double>& frames = seen.frames;
  const Eigen::Vector3d x = feature_point(model_.features, observation.point, state.b);
  const double inverse_sigma = 1.0 / observation.sigma_px;
  return std::visit(
      [&](const auto& geometry) {
        if (!geometry.sees(x)) return false;
        Eigen::Matrix<double, 2, 3> gradient;
        r = inverse_sigma * point_element<double>(geometry, x, observation.px, gradient);
        if (J == nullptr) return true;
        gradient *= inverse_sigma;
        J->setZero(2, state.num_params());
        const Eigen::Matrix<double, 2, 3> torque = gradient * -skew<double>(x);
        J->leftCols<3>() = torque * frames.pose_from_torque.transpose();
        J->middleCols<3>(3) = gradient * frames.pose_from_force.transpose();
        const Eigen::Index k = state.b.size();
        J->middleCols(kPoseDim, k).noalias() =
            gradient * model_.features.point_modes.middleRows<3>(3 * observation.point).leftCols(k);
        if (state.corrects(v)) {
          const int at = state.correction_offset(v);
          J->middleCols<3>(at) = torque * frames.correction_from_torque.transpose();
          J->middleCols<3>(at + 3) = gradient * frames.pose_from_force.transpose();
        }
        return true;
      },
      seen.view_of_bone);
}

bool FeatureTerm::ellipse_rows(const Seen& seen,
                               const FitState<double>& state,
                               const EllipseObservation& observation,
                               Eigen::Matrix<double, 5, 1>& r,
                               MatrixRm64* J) const {
  const int v = observation.view;
  const MotionFrames<double>& frames = seen.frames;
  const FeatureModel& features = model_.features;
  const Ellipsoid<double> e = feature_ellipsoid(features, observation.ellipsoid, state.b);
  const double inverse_sigma = 1.0 / observation.sigma_px;
  const double semi_axis_px = mean_semi_axis(observation.ellipse);
  return std::visit(
      [&](const auto& geometry) {
        if (!geometry.sees(e.center)) return false;
        r = inverse_sigma * ellipse_element<double>(geometry, e, observation.ellipse, semi_axis_px);
        if (J == nullptr) return true;
        const auto derivative = [&](const Ellipsoid<double>& motion) -> EllipseVector<double> {
          return inverse_sigma *
                 ellipse_element_derivative<double>(geometry, e, motion, semi_axis_px);
        };
        Eigen::Matrix<double, 5, 3> of_center;
        for (int k = 0; k < 3; ++k)
          of_center.col(k) = derivative(shifted(Eigen::Vector3d::Unit(k)));
        const EllipseVector<double> of_log_scale =
            derivative({Eigen::Vector3d::Zero(), 2.0 * e.shape});

        J->setZero(5, state.num_params());
        const Eigen::Index k = state.b.size();
        J->middleCols<3>(3) = of_center * frames.pose_from_force.transpose();
        J->middleCols(kPoseDim, k).noalias() =
            of_center *
            features.ellipsoid_modes.middleRows<3>(3 * observation.ellipsoid).leftCols(k);
        J->middleCols(kPoseDim, k).noalias() +=
            of_log_scale * features.ellipsoid_scale_modes.row(observation.ellipsoid).head(k);
        const auto turn = [&](int at, const Eigen::Matrix3d& frame) {
          for (int i = 0; i < 3; ++i)
            J->col(at + i) = derivative(turned(e, frame.row(i).transpose()));
        };
        turn(0, frames.pose_from_torque);
        if (state.corrects(v)) {
          const int at = state.correction_offset(v);
          turn(at, frames.correction_from_torque);
          J->middleCols<3>(at + 3) = J->middleCols<3>(3);
        }
        return true;
      },
      seen.view_of_bone);
}

template <typename Take>
void FeatureTerm::walk(const FitState<double>& state, MatrixRm64* J, const Take& take) const {
  std::vector<Seen> seen;
  for (int v = 0; v < static_cast<int>(views_.size()); ++v) seen.push_back(see(state, v));
  Eigen::Vector2d point;
  for (const PointObservation& o : points) {
    if (point_rows(seen[static_cast<std::size_t>(o.view)], state, o, point, J)) {
      take(point, o.weight);
    }
  }
  Eigen::Matrix<double, 5, 1> ellipse;
  for (const EllipseObservation& o : ellipses) {
    if (ellipse_rows(seen[static_cast<std::size_t>(o.view)], state, o, ellipse, J)) {
      take(ellipse, o.weight);
    }
  }
}

void FeatureTerm::linearize(const FitState<double>& state) {
  const GemanMcClureLoss loss{kFeatureLossScale};
  rows_.reset(state.num_params());
  cost_ = 0.0;
  walk(state, &jacobian_, [&](const auto& residual, double weight) {
    const double s = residual.squaredNorm();
    rows_.add(jacobian_, residual, weight * loss.weight(s));
    cost_ += weight * loss.rho(s);
  });
  rows_.multiply();
}

void FeatureTerm::add_to(NormalEquations& sums) const {
  rows_.add_to(sums);
  sums.cost += cost_;
}

double FeatureTerm::cost(const FitState<double>& state) const {
  const GemanMcClureLoss loss{kFeatureLossScale};
  double total = 0.0;
  walk(state, nullptr, [&](const auto& residual, double weight) {
    total += weight * loss.rho(residual.squaredNorm());
  });
  return total;
}

}  // namespace osteoform
