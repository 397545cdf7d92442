// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "osteoform/geometry/rigid3.hpp"

namespace osteoform {

/// Left Jacobian of SO(3): exp(w + dw) ~ exp(J dw) exp(w) (Barfoot 2017, eq. 7.77).
template <typename Scalar>
OSTEOFORM_HD Eigen::Matrix<Scalar, 3, 3> so3_left_jacobian(const Eigen::Matrix<Scalar, 3, 1>& w) {
  using std::cos;
  using std::sin;
  using std::sqrt;
  const Scalar theta2 = w.squaredNorm();
  const Eigen::Matrix<Scalar, 3, 3> W = skew<Scalar>(w);
  Scalar a = Scalar(0.5) - theta2 / Scalar(24);  // Taylor series near zero
  Scalar b = Scalar(1) / Scalar(6) - theta2 / Scalar(120);
  if (theta2 > Scalar(1e-8)) {
    const Scalar theta = sqrt(theta2);
    a = (Scalar(1) - cos(theta)) / theta2;
    b = (theta - sin(theta)) / (theta2 * theta);
  }
  return Eigen::Matrix<Scalar, 3, 3>::Identity() + a * W + b * W * W;
}

}  // namespace osteoform
