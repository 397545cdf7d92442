// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>

#include "osteoform/base/hd.hpp"
#include "osteoform/xray/cone_view.hpp"
#include "osteoform/xray/slot_view.hpp"

namespace osteoform {

/// Ellipse in the image: centre [px] and symmetric matrix whose eigenvalues are the squared
/// semi-axes [px^2].
template <typename Scalar>
struct Ellipse {
  Eigen::Matrix<Scalar, 2, 1> center;
  Eigen::Matrix<Scalar, 2, 2> shape;
};

/// Ellipsoid: centre and symmetric matrix whose eigenvalues are the squared semi-axes [mm^2].
/// As a motion it holds their derivatives.
template <typename Scalar>
struct Ellipsoid {
  Eigen::Matrix<Scalar, 3, 1> center;
  Eigen::Matrix<Scalar, 3, 3> shape;
};

namespace detail {

template <typename Scalar>
OSTEOFORM_HD Ellipsoid<Scalar> in_view(const Rigid3<Scalar>& view_from_world,
                                       const Ellipsoid<Scalar>& e) {
  const auto& R = view_from_world.rotation;
  return {view_from_world * e.center, R * e.shape * R.transpose()};
}

}  // namespace detail

/// Outline of an ellipsoid in a cone view. With the dual quadric A - c c^T in the view frame the
/// dual conic is D = K (A - c c^T) K^T; its centre is D_13,23 / D_33 and its shape is
/// centre centre^T - D_2x2 / D_33 (Hartley and Zisserman 2004, sec. 8.3).
template <typename Scalar>
OSTEOFORM_HD Ellipse<Scalar> project_ellipsoid(const ConeView<Scalar>& view,
                                               const Ellipsoid<Scalar>& ellipsoid) {
  const Ellipsoid<Scalar> e = detail::in_view(view.view_from_world, ellipsoid);
  const Eigen::Matrix<Scalar, 3, 3> D = e.shape - e.center * e.center.transpose();
  const Eigen::Matrix<Scalar, 2, 1> center = D.template topRightCorner<2, 1>() / D(2, 2);
  const Eigen::Matrix<Scalar, 2, 2> shape =
      center * center.transpose() - D.template topLeftCorner<2, 2>() / D(2, 2);
  Ellipse<Scalar> ellipse;  // K is diagonal but for the principal point: scale, then shift
  ellipse.center = center.cwiseProduct(view.focal_px) + view.principal_px;
  ellipse.shape = view.focal_px.asDiagonal() * shape * view.focal_px.asDiagonal();
  return ellipse;
}

/// Derivative of project_ellipsoid for a motion (d centre, d shape) of the ellipsoid in the world.
template <typename Scalar>
OSTEOFORM_HD Ellipse<Scalar> project_ellipsoid_derivative(const ConeView<Scalar>& view,
                                                          const Ellipsoid<Scalar>& ellipsoid,
                                                          const Ellipsoid<Scalar>& motion) {
  using Mat3 = Eigen::Matrix<Scalar, 3, 3>;
  const auto& R = view.view_from_world.rotation;
  const Ellipsoid<Scalar> e = detail::in_view(view.view_from_world, ellipsoid);
  const Eigen::Matrix<Scalar, 3, 1> dc = R * motion.center;
  const Mat3 outer = dc * e.center.transpose();
  const Mat3 D = e.shape - e.center * e.center.transpose();
  const Mat3 dD = R * motion.shape * R.transpose() - outer - outer.transpose();
  const Scalar inverse = Scalar(1) / D(2, 2);
  const Eigen::Matrix<Scalar, 2, 1> center = D.template topRightCorner<2, 1>() * inverse;
  const Eigen::Matrix<Scalar, 2, 1> dcenter =
      (dD.template topRightCorner<2, 1>() - center * dD(2, 2)) * inverse;
  const Eigen::Matrix<Scalar, 2, 2> ratio = D.template topLeftCorner<2, 2>() * inverse;
  const Eigen::Matrix<Scalar, 2, 2> dratio =
      (dD.template topLeftCorner<2, 2>() - ratio * dD(2, 2)) * inverse;
  const Eigen::Matrix<Scalar, 2, 2> cross = dcenter * center.transpose();
  Ellipse<Scalar> result;
  result.center = dcenter.cwiseProduct(view.focal_px);
  result.shape = view.focal_px.asDiagonal() * (cross + cross.transpose() - dratio) *
                 view.focal_px.asDiagonal();
  return result;
}

/// Outline of an ellipsoid in a slot view, to first order: J A J^T about the projected centre.
/// The exact outline is no conic; for a femoral head the gap is below 0.13 mm.
template <typename Scalar>
OSTEOFORM_HD Ellipse<Scalar> project_ellipsoid(const SlotView<Scalar>& view,
                                               const Ellipsoid<Scalar>& ellipsoid) {
  const Eigen::Matrix<Scalar, 2, 3> J = view.project_jacobian(ellipsoid.center);
  return {view.project(ellipsoid.center), J * ellipsoid.shape * J.transpose()};
}

template <typename Scalar>
OSTEOFORM_HD Ellipse<Scalar> project_ellipsoid_derivative(const SlotView<Scalar>& view,
                                                          const Ellipsoid<Scalar>& ellipsoid,
                                                          const Ellipsoid<Scalar>& motion) {
  const Eigen::Matrix<Scalar, 3, 1> x = view.view_from_world * ellipsoid.center;
  const Eigen::Matrix<Scalar, 3, 1> dx = view.view_from_world.rotation * motion.center;
  const Scalar f = view.focal_px;
  const Scalar z2 = x.z() * x.z();
  Eigen::Matrix<Scalar, 2, 3> dJ_in_view = Eigen::Matrix<Scalar, 2, 3>::Zero();
  dJ_in_view(0, 0) = -f * dx.z() / z2;
  dJ_in_view(0, 2) = -f * dx.x() / z2 + Scalar(2) * f * x.x() * dx.z() / (z2 * x.z());
  const Eigen::Matrix<Scalar, 2, 3> J = view.project_jacobian(ellipsoid.center);
  const Eigen::Matrix<Scalar, 2, 3> dJ = dJ_in_view * view.view_from_world.rotation;
  const Eigen::Matrix<Scalar, 2, 2> cross = dJ * ellipsoid.shape * J.transpose();
  return {J * motion.center, J * motion.shape * J.transpose() + cross + cross.transpose()};
}

}  // namespace osteoform
