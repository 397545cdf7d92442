// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>

#include "osteoform/base/hd.hpp"

namespace osteoform {

/// Distance from a projected bone point to its boundary point along the image normal [px].
/// @param view  geometry whose world is the bone frame
template <typename Scalar, typename V>
OSTEOFORM_HD Scalar boundary_residual(const V& view,
                                      const Eigen::Matrix<Scalar, 3, 1>& x_in_bone,
                                      const Eigen::Matrix<Scalar, 2, 1>& found_px,
                                      const Eigen::Matrix<Scalar, 2, 1>& normal) {
  return normal.dot(view.project(x_in_bone) - found_px);
}

/// The same with its derivative.
/// @param gradient  [out] d residual / d x_in_bone
/// No derivative of the silhouette itself is needed: it slides along the ray, which the projection
/// does not see (to first order).
template <typename Scalar, typename V>
OSTEOFORM_HD Scalar boundary_element(const V& view,
                                     const Eigen::Matrix<Scalar, 3, 1>& x_in_bone,
                                     const Eigen::Matrix<Scalar, 2, 1>& found_px,
                                     const Eigen::Matrix<Scalar, 2, 1>& normal,
                                     Eigen::Matrix<Scalar, 3, 1>& gradient) {
  gradient = view.project_jacobian(x_in_bone).transpose() * normal;
  return boundary_residual(view, x_in_bone, found_px, normal);
}

}  // namespace osteoform
