// SPDX-License-Identifier: Apache-2.0
#pragma once

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

}  // namespace osteoform
