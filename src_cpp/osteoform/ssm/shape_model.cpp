// SPDX-License-Identifier: Apache-2.0
#include "osteoform/ssm/shape_model.hpp"

#include <algorithm>
#include <string>

#include "osteoform/base/clones.hpp"
#include "osteoform/base/error.hpp"

namespace osteoform {
namespace {

/// Dot products with kModeStride running sums: the compiler may keep them in one register
/// without being allowed to reorder additions.
OSTEOFORM_CLONES void add_row_products(
    const float* mean, const float* modes, const float* b, int stride, int num_rows, float* out) {
  for (int row = 0; row < num_rows; ++row, modes += stride) {
    float sums[kModeStride] = {};
    for (int k = 0; k < stride; k += kModeStride) {
      for (int lane = 0; lane < kModeStride; ++lane) sums[lane] += modes[k + lane] * b[k + lane];
    }
    out[row] = mean[row] + (((sums[0] + sums[4]) + (sums[1] + sums[5])) +
                            ((sums[2] + sums[6]) + (sums[3] + sums[7])));
  }
}

}  // namespace

void ShapeModel::check() const {
  const Eigen::Index n = mean.rows();
  const std::string points = std::to_string(n);
  require(n >= 4, "mean must hold at least 4 points, found " + points);
  require(num_modes >= 0 && num_modes <= kMaxModes,
          "modes must hold at most " + std::to_string(kMaxModes) + " modes, found " +
              std::to_string(num_modes));
  require(modes.rows() == 3 * n, "modes must have shape (K, " + points + ", 3) like mean");
  require(inadequacy_mm.size() == n, "inadequacy_mm must have shape (" + points + ",) like mean");
  require(mean.allFinite() && modes.allFinite(), "mean and modes must be finite");
  require(inadequacy_mm.allFinite() && (inadequacy_mm.array() >= 0.0F).all(),
          "inadequacy_mm must be finite and not negative");
  check_faces(faces, static_cast<int>(n));
  const FeatureModel& f = features;
  require(f.point_modes.rows() == 3 * f.num_points() && f.point_modes.cols() == num_modes,
          "point_modes must have shape (K, F, 3) like point_mean");
  require(f.ellipsoid_modes.rows() == 3 * f.num_ellipsoids() &&
              f.ellipsoid_modes.cols() == num_modes &&
              static_cast<int>(f.ellipsoid_shape.size()) == f.num_ellipsoids() &&
              f.ellipsoid_scale_modes.rows() == f.num_ellipsoids() &&
              f.ellipsoid_scale_modes.cols() == num_modes,
          "ellipsoid arrays must agree in E and K");
  require(f.point_mean.allFinite() && f.point_modes.allFinite() && f.ellipsoid_mean.allFinite() &&
              f.ellipsoid_modes.allFinite() && f.ellipsoid_scale_modes.allFinite(),
          "features must be finite");
}

void pad_coefficients(const Eigen::VectorXd& b, std::vector<float>& padded) {
  const auto rest = std::transform(
      b.begin(), b.end(), padded.begin(), [](double value) { return static_cast<float>(value); });
  std::fill(rest, padded.end(), 0.0F);
}

void instance_rows(const ShapeModel& model, const float* b, int first, int last, Points& vertices) {
  add_row_products(model.mean.data() + first,
                   model.modes.data() + static_cast<std::ptrdiff_t>(first) * model.stride(),
                   b,
                   model.stride(),
                   last - first,
                   vertices.data() + first);
}

float instance_coordinate(const ShapeModel& model, const float* b, int row) {
  float value = 0.0F;
  add_row_products(model.mean.data() + row,
                   model.modes.data() + static_cast<std::ptrdiff_t>(row) * model.stride(),
                   b,
                   model.stride(),
                   1,
                   &value);
  return value;
}

}  // namespace osteoform
