// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>

#include "osteoform/features/ellipse.hpp"

namespace osteoform {

inline constexpr int kEllipseDim = 5;

template <typename Scalar>
using EllipseVector = Eigen::Matrix<Scalar, kEllipseDim, 1>;

/// Five numbers of an ellipse that all read as pixels: centre, and the shape matrix over twice the
/// mean observed semi-axis, off-diagonal with sqrt 2. Smooth through circles, where an angle is
/// not.
template <typename Scalar>
OSTEOFORM_HD EllipseVector<Scalar> ellipse_vector(const Ellipse<Scalar>& e,
                                                  const Scalar& semi_axis_px) {
  const Scalar scale = Scalar(1) / (Scalar(2) * semi_axis_px);
  EllipseVector<Scalar> v;
  v << e.center.x(), e.center.y(), scale * e.shape(0, 0), scale * e.shape(1, 1),
      scale * Scalar(1.4142135623730951) * e.shape(0, 1);
  return v;
}

/// Outline of the bone's ellipsoid minus the detected feature ellipse [px].
/// @param view  geometry whose world is the bone frame
template <typename Scalar, typename V>
OSTEOFORM_HD EllipseVector<Scalar> ellipse_element(const V& view,
                                                   const Ellipsoid<Scalar>& in_bone,
                                                   const Ellipse<Scalar>& observed,
                                                   const Scalar& semi_axis_px) {
  return ellipse_vector(project_ellipsoid(view, in_bone), semi_axis_px) -
         ellipse_vector(observed, semi_axis_px);
}

/// Derivative of the residual for one motion of the ellipsoid in the bone frame.
template <typename Scalar, typename V>
OSTEOFORM_HD EllipseVector<Scalar> ellipse_element_derivative(const V& view,
                                                              const Ellipsoid<Scalar>& in_bone,
                                                              const Ellipsoid<Scalar>& motion,
                                                              const Scalar& semi_axis_px) {
  return ellipse_vector(project_ellipsoid_derivative(view, in_bone, motion), semi_axis_px);
}

}  // namespace osteoform
