// SPDX-License-Identifier: Apache-2.0
#include "convert.hpp"
#include "osteoform/geometry/closest_point.hpp"

namespace osteoform {
namespace {

py::tuple closest_points(const Rows<double, 3>& points,
                         const Points& vertices,
                         const Faces& faces) {
  require(points.allFinite(), "points must be finite, found NaN or infinity");
  Rows<double, 3> positions(points.rows(), 3);
  Eigen::VectorXd distances(points.rows());
  Eigen::Matrix<std::int32_t, Eigen::Dynamic, 1> face_ids(points.rows());
  {
    const py::gil_scoped_release release;
    const ClosestPointTree tree(vertices, faces);
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
  m.def("closest_points",
        &closest_points,
        py::kw_only(),
        "points"_a,
        "vertices"_a,
        "faces"_a,
        "Nearest points (N, 3) of a surface to points (N, 3), their distances (N,) [mm] and "
        "face indices (N,).");
}

}  // namespace osteoform
