// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <vector>

#include "osteoform/features/ellipse.hpp"
#include "osteoform/fit/fit_state.hpp"
#include "osteoform/fit/normal_equations.hpp"
#include "osteoform/fit/row_sums.hpp"
#include "osteoform/ssm/shape_model.hpp"
#include "osteoform/xray/view.hpp"

namespace osteoform {

inline constexpr double kFeatureLossScale = 4.0;  ///< Geman-McClure, in standard deviations

/// A detected point paired with one of the model's, as far as `weight` (0 to 1) believes it.
struct PointObservation {
  int view = 0;
  int point = 0;
  Eigen::Vector2d px;
  double sigma_px = 1.0;
  double weight = 1.0;
};

/// A detected feature ellipse of one of the model's ellipsoids.
struct EllipseObservation {
  int view = 0;
  int ellipsoid = 0;
  Ellipse<double> ellipse;
  double sigma_px = 1.0;
  double weight = 1.0;
};

/// Where the model's feature point lies in the bone frame. b may hold the first modes alone.
Eigen::Vector3d feature_point(const FeatureModel& features, int point, const Eigen::VectorXd& b);

/// The model's ellipsoid in the bone frame: its radius follows b, its axes keep their directions.
Ellipsoid<double> feature_ellipsoid(const FeatureModel& features,
                                    int ellipsoid,
                                    const Eigen::VectorXd& b);

/// Pulls projected feature points and ellipsoids towards what was detected.
class FeatureTerm {
 public:
  FeatureTerm(const ShapeModel& model, const std::vector<View>& views)
      : model_(model), views_(views) {}

  std::vector<PointObservation> points;
  std::vector<EllipseObservation> ellipses;

  /// Adds the term at `state`. Observations behind a source do not count.
  void accumulate(const FitState<double>& state, NormalEquations& sums) {
    linearize(state);
    add_to(sums);
  }
  /// The same in two steps: the first may run beside other work.
  void linearize(const FitState<double>& state);
  void add_to(NormalEquations& sums) const;
  double cost(const FitState<double>& state) const;

  /// Whitened residual (2) and Jacobian (2 x P) of one point; false if it does not count.
  bool linearize_point(const FitState<double>& state,
                       const PointObservation& observation,
                       Eigen::Vector2d& r,
                       MatrixRm64* J) const;
  /// Whitened residual (5) and Jacobian (5 x P) of one ellipse; false if it does not count.
  bool linearize_ellipse(const FitState<double>& state,
                         const EllipseObservation& observation,
                         Eigen::Matrix<double, 5, 1>& r,
                         MatrixRm64* J) const;

 private:
  /// A view as the state sees it, and its motion frames: shared by all observations of the view.
  struct Seen {
    View view_of_bone;
    MotionFrames<double> frames;
  };
  Seen see(const FitState<double>& state, int view) const;
  /// Calls take(residual, weight) for every observation that counts; J (null: not wanted) then
  /// holds its rows.
  template <typename Take>
  void walk(const FitState<double>& state, MatrixRm64* J, const Take& take) const;
  bool point_rows(const Seen& seen,
                  const FitState<double>& state,
                  const PointObservation& observation,
                  Eigen::Vector2d& r,
                  MatrixRm64* J) const;
  bool ellipse_rows(const Seen& seen,
                    const FitState<double>& state,
                    const EllipseObservation& observation,
                    Eigen::Matrix<double, 5, 1>& r,
                    MatrixRm64* J) const;

  const ShapeModel& model_;
  const std::vector<View>& views_;
  RowSums rows_;
  MatrixRm64 jacobian_;
  double cost_ = 0.0;
};

}  // namespace osteoform
