// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <vector>

#include "osteoform/geometry/so3.hpp"

namespace osteoform {

inline constexpr int kPoseDim = 6;  ///< rotation (3) then translation (3)

/// Small motion by which one view sees the bone away from where the calibration says; about the
/// bone's own origin, so that a degree stays a degree wherever the source is.
template <typename Scalar>
struct Correction {
  Eigen::Matrix<Scalar, 3, 1> rotation = Eigen::Matrix<Scalar, 3, 1>::Zero();     ///< vector [rad]
  Eigen::Matrix<Scalar, 3, 1> translation = Eigen::Matrix<Scalar, 3, 1>::Zero();  ///< [mm]
};

/// What the solver moves. Parameters in order: pose (6), shape coefficients b (K), then 6 for
/// every view but the first if the calibration is corrected.
template <typename Scalar>
struct FitState {
  using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;

  Rigid3<Scalar> world_from_bone;
  Vector b;
  std::vector<Correction<Scalar>> corrections;  ///< of views 1, 2, ...; empty: calibration trusted

  int num_params() const {
    return kPoseDim + static_cast<int>(b.size()) + kPoseDim * static_cast<int>(corrections.size());
  }
  int correction_offset(int view) const {
    return kPoseDim + static_cast<int>(b.size()) + kPoseDim * (view - 1);
  }
  bool corrects(int view) const { return view > 0 && view <= static_cast<int>(corrections.size()); }

  /// The bone where view `view` sees it.
  Rigid3<Scalar> world_from_bone_for(int view) const {
    if (!corrects(view)) return world_from_bone;
    const Correction<Scalar>& c = corrections[static_cast<std::size_t>(view - 1)];
    return {so3_exp<Scalar>(c.rotation) * world_from_bone.rotation,
            world_from_bone.translation + c.translation};
  }

  /// Rotation steps multiply from the left, about the bone's origin; the rest adds.
  void step(const Vector& dx) {
    const Eigen::Matrix<Scalar, 3, 1> w = dx.template head<3>();
    world_from_bone.rotation = so3_exp<Scalar>(w) * world_from_bone.rotation;
    world_from_bone.translation += dx.template segment<3>(3);
    b += dx.segment(kPoseDim, b.size());
    for (std::size_t v = 0; v < corrections.size(); ++v) {
      const Eigen::Index at = correction_offset(static_cast<int>(v) + 1);
      corrections[v].rotation += dx.template segment<3>(at);
      corrections[v].translation += dx.template segment<3>(at + 3);
    }
  }
};

/// Turns a gradient at a bone point into derivatives for pose and correction: with x in the bone
/// frame and w = d residual / dx, the torque is x cross w and the force w, each rotated into the
/// frame its parameter lives in.
template <typename Scalar>
struct MotionFrames {
  using Mat3 = Eigen::Matrix<Scalar, 3, 3>;
  Mat3 pose_from_torque;        ///< R
  Mat3 pose_from_force;         ///< R_v R
  Mat3 correction_from_torque;  ///< J_left(phi)^T R_v R

  MotionFrames(const FitState<Scalar>& state, int view) {
    pose_from_torque = state.world_from_bone.rotation;
    pose_from_force = state.world_from_bone_for(view).rotation;
    correction_from_torque = pose_from_force;
    if (state.corrects(view)) {
      const auto& phi = state.corrections[static_cast<std::size_t>(view - 1)].rotation;
      correction_from_torque = so3_left_jacobian<Scalar>(phi).transpose() * pose_from_force;
    }
  }
};

}  // namespace osteoform
