// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>

#include "osteoform/base/hd.hpp"

namespace osteoform {

/// Projected feature point minus where it was detected [px].
/// @param view      geometry whose world is the bone frame
/// @param jacobian  [out] d residual / d x_in_bone
template <typename Scalar, typename V>
OSTEOFORM_HD Eigen::Matrix<Scalar, 2, 1> point_element(
    const V& view,
    const Eigen::Matrix<Scalar, 3, 1>& x_in_bone,
    const Eigen::Matrix<Scalar, 2, 1>& observed_px,
    Eigen::Matrix<Scalar, 2, 3>& jacobian) {
  jacobian = view.project_jacobian(x_in_bone);
  return view.project(x_in_bone) - observed_px;
}

}  // namespace osteoform
