// SPDX-License-Identifier: Apache-2.0
#include "convert.hpp"
#include "osteoform/geometry/closest_point.hpp"

namespace osteoform {
namespace {

py::tuple find_all(const ClosestPointTree& tree, const Rows<double, 3>& points) {
  require(points.allFinite(), "points must be finite, found NaN or infinity");
  Rows<double, 3> positions(points.rows(), 3);
  Eigen::VectorXd distances(points.rows());
  Eigen::Matrix<std::int32_t, Eigen::Dynamic, 1> face_ids(points.rows());
  {
    const py::gil_scoped_release release;
    for (Eigen::Index i = 0; i < points.rows(); ++i) {
      const ClosestPoint closest = tree.find(points.row(i).transpose());
      positions.row(i) = closest.position.transpose();
      distances(i) = closest.distance_mm;
      face_ids(i) = closest.face;
    }
  }
  return py::make_tuple(std::move(positions), std::move(distances), std::move(face_ids));
}

}  // namespace

void bind_geometry(py::module_& m) {
  py::class_<ClosestPointTree>(m,
                               "ClosestPointTree",
                               py::is_final(),
                               "Finds the nearest point of a triangle surface; built once.")
      .def(py::init<const Points&, const Faces&>(),
           py::kw_only(),
           "vertices"_a,
           "faces"_a,
           py::call_guard<py::gil_scoped_release>())
      .def("find",
           &find_all,
           "points"_a,
           "Nearest points (N, 3) to points (N, 3), distances (N,) [mm] and face indices (N,).");
  m.def(
      "closest_points",
      [](const Rows<double, 3>& points, const Points& vertices, const Faces& faces) {
        return find_all(ClosestPointTree(vertices, faces), points);
      },
      py::kw_only(),
      "points"_a,
      "vertices"_a,
      "faces"_a,
      "ClosestPointTree.find for a surface that is asked once.");
}

}  // namespace osteoform
