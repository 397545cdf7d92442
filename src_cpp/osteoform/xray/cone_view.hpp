// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>

#include "osteoform/base/hd.hpp"
#include "osteoform/geometry/rigid3.hpp"

namespace osteoform {

/// Cone-beam X-ray view: a point source and a flat detector (C-arm, digital radiography).
///
/// View frame: the source is the origin, +z meets the detector at the principal point, x runs
/// along image columns and y along image rows. Lengths in mm; u = fx x/z + cx, v = fy y/z + cy.
template <typename Scalar>
struct ConeView {
  using Vec2 = Eigen::Matrix<Scalar, 2, 1>;
  using Vec3 = Eigen::Matrix<Scalar, 3, 1>;
  using Mat23 = Eigen::Matrix<Scalar, 2, 3>;

  Rigid3<Scalar> view_from_world;
  Vec2 focal_px = Vec2::Constant(Scalar(1000));  ///< source-detector distance / pixel pitch
  Vec2 principal_px = Vec2::Zero();              ///< foot of the perpendicular from the source

  /// True if the point lies in front of the source.
  OSTEOFORM_HD bool sees(const Vec3& x_in_world) const {
    return (view_from_world * x_in_world).z() > Scalar(1e-6);
  }

  /// Pixel (u, v) of a world point.
  OSTEOFORM_HD Vec2 project(const Vec3& x_in_world) const {
    const Vec3 x = view_from_world * x_in_world;
    return Vec2(focal_px.x() * x.x() / x.z() + principal_px.x(),
                focal_px.y() * x.y() / x.z() + principal_px.y());
  }

  /// d(u, v) / d(x_in_world).
  OSTEOFORM_HD Mat23 project_jacobian(const Vec3& x_in_world) const {
    const Vec3 x = view_from_world * x_in_world;
    const Scalar fu = focal_px.x() / x.z();
    const Scalar fv = focal_px.y() / x.z();
    Mat23 J;
    J << fu, Scalar(0), -fu * x.x() / x.z(), Scalar(0), fv, -fv * x.y() / x.z();
    return J * view_from_world.rotation;
  }

  /// Ray through a world point, in the world, from its source; not normalised [mm].
  OSTEOFORM_HD Vec3 ray(const Vec3& x_in_world) const {
    return x_in_world + view_from_world.rotation.transpose() * view_from_world.translation;
  }

  /// World point at pixel (u, v) and view depth z [mm].
  OSTEOFORM_HD Vec3 back_project(const Vec2& px, const Scalar& depth_mm) const {
    const Vec3 x((px.x() - principal_px.x()) / focal_px.x() * depth_mm,
                 (px.y() - principal_px.y()) / focal_px.y() * depth_mm,
                 depth_mm);
    return view_from_world.inverse() * x;
  }

  template <typename Other>
  OSTEOFORM_HD ConeView<Other> cast() const {
    ConeView<Other> view;
    view.view_from_world = view_from_world.template cast<Other>();
    view.focal_px = focal_px.template cast<Other>();
    view.principal_px = principal_px.template cast<Other>();
    return view;
  }
};

}  // namespace osteoform
