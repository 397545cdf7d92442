// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>

#include "osteoform/base/hd.hpp"
#include "osteoform/geometry/rigid3.hpp"

namespace osteoform {

/// Slot-scanner view (EOS-like pushbroom): the source travels with the row.
///
/// Perspective across the slot, parallel along the scan: u = f x/z + cu, v = (y - y0) / pitch.
/// View frame as for ConeView; y runs along the scan, in mm.
template <typename Scalar>
struct SlotView {
  using Vec2 = Eigen::Matrix<Scalar, 2, 1>;
  using Vec3 = Eigen::Matrix<Scalar, 3, 1>;
  using Mat23 = Eigen::Matrix<Scalar, 2, 3>;

  Rigid3<Scalar> view_from_world;
  Scalar focal_px = Scalar(1000);  ///< source-detector distance / column pitch
  Scalar principal_u_px = Scalar(0);
  Scalar row_pitch_mm = Scalar(1);  ///< scan distance between rows
  Scalar first_row_mm = Scalar(0);  ///< y of row 0

  /// True if the point lies in front of the source.
  OSTEOFORM_HD bool sees(const Vec3& x_in_world) const {
    return (view_from_world * x_in_world).z() > Scalar(1e-6);
  }

  /// Pixel (u, v) of a world point.
  OSTEOFORM_HD Vec2 project(const Vec3& x_in_world) const {
    const Vec3 x = view_from_world * x_in_world;
    return Vec2(focal_px * x.x() / x.z() + principal_u_px, (x.y() - first_row_mm) / row_pitch_mm);
  }

  /// d(u, v) / d(x_in_world).
  OSTEOFORM_HD Mat23 project_jacobian(const Vec3& x_in_world) const {
    const Vec3 x = view_from_world * x_in_world;
    const Scalar fu = focal_px / x.z();
    Mat23 J;
    J << fu, Scalar(0), -fu * x.x() / x.z(), Scalar(0), Scalar(1) / row_pitch_mm, Scalar(0);
    return J * view_from_world.rotation;
  }

  /// Ray through a world point, in the world: it lies in the plane of its row [mm].
  OSTEOFORM_HD Vec3 ray(const Vec3& x_in_world) const {
    Vec3 x = view_from_world * x_in_world;
    x.y() = Scalar(0);
    return view_from_world.rotation.transpose() * x;
  }

  /// World point at pixel (u, v) and view depth z [mm].
  OSTEOFORM_HD Vec3 back_project(const Vec2& px, const Scalar& depth_mm) const {
    const Vec3 x((px.x() - principal_u_px) / focal_px * depth_mm,
                 px.y() * row_pitch_mm + first_row_mm,
                 depth_mm);
    return view_from_world.inverse() * x;
  }

  template <typename Other>
  OSTEOFORM_HD SlotView<Other> cast() const {
    SlotView<Other> view;
    view.view_from_world = view_from_world.template cast<Other>();
    view.focal_px = Other(focal_px);
    view.principal_u_px = Other(principal_u_px);
    view.row_pitch_mm = Other(row_pitch_mm);
    view.first_row_mm = Other(first_row_mm);
    return view;
  }
};

}  // namespace osteoform
