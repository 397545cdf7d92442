// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>

namespace osteoform {

/// Sums of a Gauss-Newton system: H = sum w J'J, g = sum w J'r, cost = sum rho.
/// Only the lower triangle of H is kept.
struct NormalEquations {
  Eigen::MatrixXd H;
  Eigen::VectorXd g;
  double cost = 0.0;

  void reset(int num_params) {
    H.setZero(num_params, num_params);
    g.setZero(num_params);
    cost = 0.0;
  }
};

}  // namespace osteoform
