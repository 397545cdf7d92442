// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <unsupported/Eigen/AutoDiff>

#include "osteoform/fit/fit_state.hpp"

namespace osteoform::test {

using Dual = Eigen::AutoDiffScalar<Eigen::VectorXd>;
template <int Rows>
using DualVector = Eigen::Matrix<Dual, Rows, 1>;

/// The state as a function of a step dx, at dx = 0: derivatives are those the solver needs.
inline FitState<Dual> dual_state(const FitState<double>& state) {
  const int num_params = state.num_params();
  FitState<Dual> dual;
  dual.world_from_bone = state.world_from_bone.cast<Dual>();
  dual.b = state.b.cast<Dual>();
  for (const Correction<double>& c : state.corrections) {
    dual.corrections.push_back({c.rotation.cast<Dual>(), c.translation.cast<Dual>()});
  }
  FitState<Dual>::Vector dx(num_params);
  for (int k = 0; k < num_params; ++k) dx[k] = Dual(0.0, num_params, k);
  dual.step(dx);
  return dual;
}

/// Largest gap between a row of derivatives and those of a dual number, relative to the row.
template <typename Row>
double gap(const Dual& value, const Row& row) {
  return (value.derivatives().transpose() - row).cwiseAbs().maxCoeff() /
         std::max(1.0, row.cwiseAbs().maxCoeff());
}

}  // namespace osteoform::test
