// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <vector>

#include "osteoform/geometry/triangle_mesh.hpp"

namespace osteoform {

using Points64 = Eigen::Matrix<double, Eigen::Dynamic, 3, Eigen::RowMajor>;
using MatrixRm64 = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using MatrixRm32 = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

inline constexpr int kMaxModes = 256;
inline constexpr int kModeStride = 8;  ///< rows of modes are padded to a multiple of this

/// A bone's named feature points and ellipsoids, linear in the shape coefficients.
struct FeatureModel {
  Points64 point_mean;                           ///< F x 3 [mm]
  MatrixRm64 point_modes;                        ///< 3F x K
  Points64 ellipsoid_mean;                       ///< E x 3, centres [mm]
  MatrixRm64 ellipsoid_modes;                    ///< 3E x K
  std::vector<Eigen::Matrix3d> ellipsoid_shape;  ///< E, squared semi-axes as eigenvalues [mm^2]
  MatrixRm64 ellipsoid_scale_modes;              ///< E x K, d log(radius) / d b

  int num_points() const { return static_cast<int>(point_mean.rows()); }
  int num_ellipsoids() const { return static_cast<int>(ellipsoid_mean.rows()); }
};

/// Mean and modes of one bone in its own frame [mm]: x(b) = mean + modes b, b ~ N(0, I).
///
/// A mode is the displacement at b = 1: kernel modes and imported bases are not orthonormal, so
/// the standard deviation is folded in. Vertex-major rows serve the instance (all rows) and the
/// silhouette (a few rows) alike.
struct ShapeModel {
  Points mean;                    ///< N x 3
  MatrixRm32 modes;               ///< 3N x padded K, zeros beyond K
  Faces faces;                    ///< M x 3
  Edges edges;                    ///< every edge once
  Eigen::VectorXf inadequacy_mm;  ///< N, sd of what the model cannot express
  FeatureModel features;
  int num_modes = 0;

  int num_points() const { return static_cast<int>(mean.rows()); }
  int stride() const { return static_cast<int>(modes.cols()); }

  /// Throws InputError unless shapes agree and everything is finite.
  void check() const;
};

/// Copies b, K long, into `padded`, stride() long, zeros beyond.
void pad_coefficients(const Eigen::VectorXd& b, std::vector<float>& padded);

/// Writes rows [first, last) of the 3N coordinates of the instance.
/// @param b         padded coefficients, model.stride() long
/// @param vertices  [out] N x 3
void instance_rows(const ShapeModel& model, const float* b, int first, int last, Points& vertices);

/// One coordinate row of an instance: mean + modes.row(row) . b
float instance_coordinate(const ShapeModel& model, const float* b, int row);

}  // namespace osteoform
