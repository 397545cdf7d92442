// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pybind11/eigen.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "osteoform/base/error.hpp"
#include "osteoform/geometry/rigid3.hpp"
#include "osteoform/image/foreign_rims.hpp"
#include "osteoform/xray/view.hpp"

namespace osteoform {

namespace py = pybind11;
using namespace py::literals;

// NumPy is row-major; Eigen is told so wherever a matrix crosses.
template <typename Scalar, int Cols>
using Rows = Eigen::Matrix<Scalar, Eigen::Dynamic, Cols, Eigen::RowMajor>;
using MatrixRm = Rows<double, Eigen::Dynamic>;
using Image = Rows<float, Eigen::Dynamic>;

inline Rigid3<double> rigid_from_matrix(const Eigen::Matrix4d& matrix, const char* name) {
  require(matrix.allFinite(), std::string(name) + " must be finite");
  const Eigen::Matrix3d R = matrix.topLeftCorner<3, 3>();
  require((R * R.transpose() - Eigen::Matrix3d::Identity()).cwiseAbs().maxCoeff() < 1e-4 &&
              R.determinant() > 0.0,
          std::string(name) + " must hold a rotation: R R^T = 1 and det R = +1");
  require(matrix.row(3).isApprox(Eigen::RowVector4d(0, 0, 0, 1), 1e-9),
          std::string(name) + " must have the last row 0 0 0 1");
  return {R, matrix.topRightCorner<3, 1>()};
}

inline Eigen::Matrix4d matrix_from_rigid(const Rigid3<double>& rigid) {
  Eigen::Matrix4d matrix = Eigen::Matrix4d::Identity();
  matrix.topLeftCorner<3, 3>() = rigid.rotation;
  matrix.topRightCorner<3, 1>() = rigid.translation;
  return matrix;
}

/// @param rows  u, v and the outward unit normal
inline std::vector<ForeignRim> to_rims(const Rows<float, 4>& rows) {
  require(rows.allFinite(), "foreign_rims must be finite");
  std::vector<ForeignRim> rims;
  for (const auto& row : rows.rowwise()) rims.push_back({{row[0], row[1]}, {row[2], row[3]}});
  return rims;
}

}  // namespace osteoform
