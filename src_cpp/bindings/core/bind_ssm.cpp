// SPDX-License-Identifier: Apache-2.0
#include <pybind11/numpy.h>

#include "convert.hpp"
#include "osteoform/ssm/shape_model.hpp"

namespace osteoform {
namespace {

template <typename T>
using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;

void require_shape(const py::array& array,
                   const std::vector<py::ssize_t>& shape,
                   const char* name) {
  const std::vector<py::ssize_t> found(array.shape(), array.shape() + array.ndim());
  const auto text = [](const std::vector<py::ssize_t>& s) {
    std::string result = "(";
    for (const py::ssize_t n : s) result += std::to_string(n) + ", ";
    return result + ")";
  };
  require(found == shape,
          std::string(name) + " must have shape " + text(shape) + ", found " + text(found));
}

/// (K, N, 3) -> 3N x columns, transposed to vertex-major rows.
template <typename Matrix>
void fill_modes(const Array<double>& modes, Matrix& out) {
  const auto m = modes.unchecked<3>();
  for (py::ssize_t k = 0; k < m.shape(0); ++k) {
    for (py::ssize_t i = 0; i < m.shape(1); ++i) {
      for (py::ssize_t a = 0; a < 3; ++a) {
        out(3 * i + a, k) = static_cast<typename Matrix::Scalar>(m(k, i, a));
      }
    }
  }
}

ShapeModel make_shape_model(const Points& mean,
                            const Array<double>& modes,
                            const Faces& faces,
                            const Eigen::VectorXf& inadequacy_mm,
                            const Points64& point_mean,
                            const Array<double>& point_modes,
                            const Points64& ellipsoid_mean,
                            const Array<double>& ellipsoid_modes,
                            const Array<double>& ellipsoid_shape,
                            const MatrixRm& ellipsoid_scale_modes) {
  ShapeModel model;
  require(modes.ndim() == 3, "modes must have shape (K, N, 3)");
  const py::ssize_t num_modes = modes.shape(0);
  const py::ssize_t num_ellipsoids = ellipsoid_mean.rows();
  require_shape(modes, {num_modes, mean.rows(), 3}, "modes");
  require_shape(point_modes, {num_modes, point_mean.rows(), 3}, "point_modes");
  require_shape(ellipsoid_modes, {num_modes, num_ellipsoids, 3}, "ellipsoid_modes");
  require_shape(ellipsoid_shape, {num_ellipsoids, 3, 3}, "ellipsoid_shape");
  require(
      ellipsoid_scale_modes.rows() == num_modes && ellipsoid_scale_modes.cols() == num_ellipsoids,
      "ellipsoid_scale_modes must have shape (K, E)");

  model.num_modes = static_cast<int>(num_modes);
  model.mean = mean;
  model.faces = faces;
  model.inadequacy_mm = inadequacy_mm;
  const py::ssize_t stride =
      std::max<py::ssize_t>(1, (num_modes + kModeStride - 1) / kModeStride) * kModeStride;
  model.modes.setZero(3 * mean.rows(), stride);
  fill_modes(modes, model.modes);
  FeatureModel& f = model.features;
  f.point_mean = point_mean;
  f.point_modes.setZero(3 * point_mean.rows(), num_modes);
  fill_modes(point_modes, f.point_modes);
  f.ellipsoid_mean = ellipsoid_mean;
  f.ellipsoid_modes.setZero(3 * num_ellipsoids, num_modes);
  fill_modes(ellipsoid_modes, f.ellipsoid_modes);
  f.ellipsoid_scale_modes = ellipsoid_scale_modes.transpose();
  const auto shape = ellipsoid_shape.unchecked<3>();
  for (py::ssize_t e = 0; e < num_ellipsoids; ++e) {
    Eigen::Matrix3d A;
    for (int r = 0; r < 3; ++r) {
      for (int c = 0; c < 3; ++c) A(r, c) = shape(e, r, c);
    }
    require(A.allFinite() && A.isApprox(A.transpose(), 1e-6) && A.diagonal().minCoeff() > 0.0,
            "ellipsoid_shape must hold symmetric positive matrices");
    f.ellipsoid_shape.push_back(A);
  }
  model.check();
  model.edges = unique_edges(faces);
  return model;
}

}  // namespace

void bind_ssm(py::module_& m) {
  py::class_<ShapeModel>(m, "ShapeModel", py::is_final(), "Shape model of one bone, immutable.")
      .def(py::init(&make_shape_model),
           py::kw_only(),
           "mean"_a,
           "modes"_a,
           "faces"_a,
           "inadequacy_mm"_a,
           "point_mean"_a,
           "point_modes"_a,
           "ellipsoid_mean"_a,
           "ellipsoid_modes"_a,
           "ellipsoid_shape"_a,
           "ellipsoid_scale_modes"_a)
      .def_property_readonly("num_points", &ShapeModel::num_points)
      .def_readonly("num_modes", &ShapeModel::num_modes)
      .def(
          "instance",
          [](const ShapeModel& model, const Eigen::VectorXf& b) {
            require(b.size() == model.num_modes && b.allFinite(),
                    "b must be finite and have shape (" + std::to_string(model.num_modes) + ",)");
            Eigen::VectorXf padded = Eigen::VectorXf::Zero(model.stride());
            padded.head(b.size()) = b;
            Points vertices(model.num_points(), 3);
            instance_rows(model, padded.data(), 0, 3 * model.num_points(), vertices);
            return vertices;
          },
          "b"_a,
          "Vertices (N, 3) [mm] in the bone frame for coefficients b (K,).");
}

}  // namespace osteoform
