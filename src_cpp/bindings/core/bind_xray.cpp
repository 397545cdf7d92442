// SPDX-License-Identifier: Apache-2.0
#include <tuple>

#include "convert.hpp"

namespace osteoform {
namespace {

ConeView<double> make_cone_view(const Eigen::Matrix3d& K, const Eigen::Matrix4d& matrix) {
  require(K.allFinite(), "K must be finite");
  require(K(0, 0) > 0.0 && K(1, 1) > 0.0, "K must have positive focal lengths");
  require(K(0, 1) == 0.0 && K(1, 0) == 0.0 && K.row(2) == Eigen::RowVector3d(0, 0, 1),
          "K must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]");
  ConeView<double> view;
  view.view_from_world = rigid_from_matrix(matrix, "view_from_world");
  view.focal_px = {K(0, 0), K(1, 1)};
  view.principal_px = {K(0, 2), K(1, 2)};
  return view;
}

SlotView<double> make_slot_view(double focal_px,
                                double principal_u_px,
                                double row_pitch_mm,
                                double first_row_mm,
                                const Eigen::Matrix4d& matrix) {
  require(std::isfinite(focal_px) && focal_px > 0.0, "focal_px must be positive");
  require(std::isfinite(row_pitch_mm) && row_pitch_mm != 0.0, "row_pitch_mm must not be zero");
  require(std::isfinite(principal_u_px) && std::isfinite(first_row_mm),
          "principal_u_px and first_row_mm must be finite");
  return {rigid_from_matrix(matrix, "view_from_world"),
          focal_px,
          principal_u_px,
          row_pitch_mm,
          first_row_mm};
}

// What pickles hold: the arguments of the constructors.
using ConeState = std::tuple<Eigen::Matrix3d, Eigen::Matrix4d>;
using SlotState = std::tuple<double, double, double, double, Eigen::Matrix4d>;

Eigen::Matrix3d intrinsics(const ConeView<double>& view) {
  Eigen::Matrix3d K = Eigen::Matrix3d::Identity();
  K.diagonal().head<2>() = view.focal_px;
  K.col(2).head<2>() = view.principal_px;
  return K;
}

template <typename V>
Rows<double, 2> project_points(const V& view, const Rows<double, 3>& points) {
  Rows<double, 2> pixels(points.rows(), 2);
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    pixels.row(i) = view.project(points.row(i).transpose()).transpose();
  }
  return pixels;
}

template <typename V>
Rows<double, 3> rays(const V& view, const Rows<double, 3>& points) {
  Rows<double, 3> result(points.rows(), 3);
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    result.row(i) = view.ray(points.row(i).transpose()).transpose();
  }
  return result;
}

template <typename V>
void bind_geometry(py::class_<V>& cls) {
  cls.def("project", &project_points<V>, "points"_a, "Pixels (N, 2) of world points (N, 3) [mm].")
      .def(
          "project_jacobian",
          [](const V& view, const Eigen::Vector3d& point) -> Rows<double, 3> {
            return view.project_jacobian(point);
          },
          "point"_a,
          "d(u, v) / d(point), (2, 3) [px/mm], at one world point.")
      .def("rays", &rays<V>, "points"_a, "Rays (N, 3) through world points, not normalised [mm].")
      .def_property_readonly(
          "view_from_world",
          [](const V& view) -> MatrixRm { return matrix_from_rigid(view.view_from_world); },
          "World to view frame, (4, 4) [mm].");
}

}  // namespace

void bind_xray(py::module_& m) {
  py::class_<ConeView<double>> cone(
      m, "ConeView", py::is_final(), "Cone-beam X-ray geometry: point source, flat detector.");
  cone.def(py::init(&make_cone_view), py::kw_only(), "K"_a, "view_from_world"_a)
      .def_property_readonly("focal_px", [](const ConeView<double>& v) { return v.focal_px; })
      .def_property_readonly("principal_px",
                             [](const ConeView<double>& v) { return v.principal_px; })
      .def(py::pickle(
          [](const ConeView<double>& v) -> ConeState {
            return {intrinsics(v), matrix_from_rigid(v.view_from_world)};
          },
          [](const ConeState& state) { return std::apply(make_cone_view, state); }));
  bind_geometry(cone);

  py::class_<SlotView<double>> slot(
      m, "SlotView", py::is_final(), "Slot-scanner X-ray geometry (EOS-like pushbroom).");
  slot.def(py::init(&make_slot_view),
           py::kw_only(),
           "focal_px"_a,
           "principal_u_px"_a,
           "row_pitch_mm"_a,
           "first_row_mm"_a,
           "view_from_world"_a)
      .def_readonly("focal_px", &SlotView<double>::focal_px)
      .def_readonly("principal_u_px", &SlotView<double>::principal_u_px)
      .def_readonly("row_pitch_mm", &SlotView<double>::row_pitch_mm)
      .def_readonly("first_row_mm", &SlotView<double>::first_row_mm)
      .def(py::pickle(
          [](const SlotView<double>& v) -> SlotState {
            return {v.focal_px,
                    v.principal_u_px,
                    v.row_pitch_mm,
                    v.first_row_mm,
                    matrix_from_rigid(v.view_from_world)};
          },
          [](const SlotState& state) { return std::apply(make_slot_view, state); }));
  bind_geometry(slot);
}

}  // namespace osteoform
