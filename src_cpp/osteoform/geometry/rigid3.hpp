// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <Eigen/Geometry>
#include <cmath>

#include "osteoform/base/hd.hpp"

namespace osteoform {

/// Cross-product matrix: skew(a) * b == a x b.
template <typename Scalar>
OSTEOFORM_HD Eigen::Matrix<Scalar, 3, 3> skew(const Eigen::Matrix<Scalar, 3, 1>& a) {
  Eigen::Matrix<Scalar, 3, 3> m;
  m << Scalar(0), -a.z(), a.y(), a.z(), Scalar(0), -a.x(), -a.y(), a.x(), Scalar(0);
  return m;
}

/// Rotation by the angle |w| about the axis w (Rodrigues).
template <typename Scalar>
OSTEOFORM_HD Eigen::Matrix<Scalar, 3, 3> so3_exp(const Eigen::Matrix<Scalar, 3, 1>& w) {
  using std::cos;
  using std::sin;
  using std::sqrt;
  const Scalar theta2 = w.squaredNorm();
  const Eigen::Matrix<Scalar, 3, 3> W = skew<Scalar>(w);
  Scalar a = Scalar(1) - theta2 / Scalar(6);  // Taylor series near zero
  Scalar b = Scalar(0.5) - theta2 / Scalar(24);
  if (theta2 > Scalar(1e-8)) {
    const Scalar theta = sqrt(theta2);
    a = sin(theta) / theta;
    b = (Scalar(1) - cos(theta)) / theta2;
  }
  return Eigen::Matrix<Scalar, 3, 3>::Identity() + a * W + b * W * W;
}

/// Rigid transform. Name every instance target_from_source: x_in_b = b_from_a * x_in_a.
template <typename Scalar>
struct Rigid3 {
  using Vec3 = Eigen::Matrix<Scalar, 3, 1>;
  using Mat3 = Eigen::Matrix<Scalar, 3, 3>;

  Mat3 rotation = Mat3::Identity();
  Vec3 translation = Vec3::Zero();

  OSTEOFORM_HD Vec3 operator*(const Vec3& x) const { return rotation * x + translation; }
  OSTEOFORM_HD Rigid3 operator*(const Rigid3& other) const {
    return {rotation * other.rotation, rotation * other.translation + translation};
  }
  OSTEOFORM_HD Rigid3 inverse() const {
    return {rotation.transpose(), -(rotation.transpose() * translation)};
  }
  template <typename Other>
  OSTEOFORM_HD Rigid3<Other> cast() const {
    return {rotation.template cast<Other>(), translation.template cast<Other>()};
  }
};

}  // namespace osteoform
