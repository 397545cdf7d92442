// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "osteoform/fit/fit_state.hpp"
#include "osteoform/fit/normal_equations.hpp"

namespace osteoform {

/// What is believed before looking: b ~ N(0, I), corrections ~ N(0, sd^2), and for one view, where
/// size and depth are one unknown, the depth of the start.
struct PriorTerm {
  double shape_weight = 1.0;
  double correction_weight_rad = 0.0;  ///< 1 / sd^2
  double correction_weight_mm = 0.0;
  double depth_weight = 0.0;
  Eigen::Vector3d depth_axis = Eigen::Vector3d::UnitZ();  ///< beam direction, world
  Eigen::Vector3d start = Eigen::Vector3d::Zero();        ///< bone origin at the start, world [mm]

  void accumulate(const FitState<double>& state, NormalEquations& sums) const {
    for (Eigen::Index k = 0; k < state.b.size(); ++k) {
      sums.H(kPoseDim + k, kPoseDim + k) += shape_weight;
      sums.g[kPoseDim + k] += shape_weight * state.b[k];
    }
    for (std::size_t v = 0; v < state.corrections.size(); ++v) {
      const int at = state.correction_offset(static_cast<int>(v) + 1);
      for (int k = 0; k < 3; ++k) {
        sums.H(at + k, at + k) += correction_weight_rad;
        sums.g[at + k] += correction_weight_rad * state.corrections[v].rotation[k];
        sums.H(at + 3 + k, at + 3 + k) += correction_weight_mm;
        sums.g[at + 3 + k] += correction_weight_mm * state.corrections[v].translation[k];
      }
    }
    const double depth = depth_axis.dot(state.world_from_bone.translation - start);
    sums.g.segment<3>(3) += depth_weight * depth * depth_axis;
    weigh_depth(depth_weight, sums.H);
    sums.cost += cost(state);
  }

  /// Adds the information of a depth known with this weight.
  void weigh_depth(double weight, Eigen::MatrixXd& H) const {
    H.block<3, 3>(3, 3).triangularView<Eigen::Lower>() +=
        weight * depth_axis * depth_axis.transpose();
  }

  double cost(const FitState<double>& state) const {
    double total = shape_weight * state.b.squaredNorm();
    for (const Correction<double>& c : state.corrections) {
      total += correction_weight_rad * c.rotation.squaredNorm() +
               correction_weight_mm * c.translation.squaredNorm();
    }
    const double depth = depth_axis.dot(state.world_from_bone.translation - start);
    return total + depth_weight * depth * depth;
  }
};

}  // namespace osteoform
