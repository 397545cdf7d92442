// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <concepts>
#include <variant>

#include "osteoform/xray/cone_view.hpp"
#include "osteoform/xray/slot_view.hpp"

namespace osteoform {

/// What every X-ray geometry answers.
template <typename V>
concept XrayGeometry = requires(const V& view, const Eigen::Vector3d& x_in_world) {
  { view.sees(x_in_world) } -> std::same_as<bool>;
  { view.project(x_in_world) } -> std::convertible_to<Eigen::Vector2d>;
  { view.project_jacobian(x_in_world) } -> std::convertible_to<Eigen::Matrix<double, 2, 3>>;
  { view.ray(x_in_world) } -> std::convertible_to<Eigen::Vector3d>;
};
static_assert(XrayGeometry<ConeView<double>> && XrayGeometry<SlotView<double>>);

/// One of the two geometries; loops visit once, outside.
using View = std::variant<ConeView<double>, SlotView<double>>;

inline const Rigid3<double>& view_from_world(const View& view) {
  return std::visit([](const auto& v) -> const Rigid3<double>& { return v.view_from_world; }, view);
}

/// Image scale at a world point: pixels per mm across the ray, mean over directions.
inline double px_per_mm(const View& view, const Eigen::Vector3d& x_in_world) {
  return std::visit(
      [&](const auto& v) { return std::sqrt(0.5 * v.project_jacobian(x_in_world).squaredNorm()); },
      view);
}

/// The same view of a world that is itself placed by world_from_bone: its world is then the bone.
inline View view_of_bone(const View& view, const Rigid3<double>& world_from_bone) {
  return std::visit(
      [&](auto v) -> View {
        v.view_from_world = v.view_from_world * world_from_bone;
        return v;
      },
      view);
}

}  // namespace osteoform
