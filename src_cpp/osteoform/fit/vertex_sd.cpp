// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/vertex_sd.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "osteoform/base/clones.hpp"
#include "osteoform/base/lanes.hpp"
#include "osteoform/fit/block_product.hpp"
#include "osteoform/fit/cholesky.hpp"

namespace osteoform {
namespace {

constexpr int kVerticesPerBlock = 64;

/// Solves U'Y = J in place for kVerticesPerBlock columns, and sums their squares. The rows above
/// leave their part of four at once; these are eliminated among themselves.
/// @param U  width x width, row by row
/// @param J  width rows of kVerticesPerBlock
OSTEOFORM_CLONES void whiten(const float* U, int width, float* J, float* squares) {
  std::fill(squares, squares + kVerticesPerBlock, 0.0F);
  for (int r = 0; r < width; r += 4) {
    float above[4 * kVerticesPerBlock];
    for (int c = 0; c < kVerticesPerBlock; c += 16) {
      block_product<Float8, 2>(RowsOf<const float>{U + r, width},
                               RowsOf<const float>{J + c, kVerticesPerBlock},
                               r,
                               RowsOf<float>{above + c, kVerticesPerBlock});
    }
    for (int k = 0; k < 4; ++k) {
      float* y = J + static_cast<std::ptrdiff_t>(r + k) * kVerticesPerBlock;
      const float* from_above = above + k * kVerticesPerBlock;
      for (int i = 0; i < kVerticesPerBlock; ++i) y[i] -= from_above[i];
      for (int j = 0; j < k; ++j) {
        const float factor = U[static_cast<std::ptrdiff_t>(r + j) * width + r + k];
        const float* solved = y - (k - j) * kVerticesPerBlock;
        for (int i = 0; i < kVerticesPerBlock; ++i) y[i] -= factor * solved[i];
      }
      const float scale = 1.0F / U[static_cast<std::ptrdiff_t>(r + k) * width + r + k];
      for (int i = 0; i < kVerticesPerBlock; ++i) {
        y[i] *= scale;
        squares[i] += y[i] * y[i];
      }
    }
  }
}

/// Derivative of a vertex' position along its own normal, one column of J.
void normal_derivative(const ShapeModel& model,
                       const FitState<double>& state,
                       const Points& vertices,
                       const Points& normals,
                       int i,
                       float* column) {
  const Eigen::Vector3d x = vertices.row(i).transpose().cast<double>();
  const Eigen::Vector3d n = normals.row(i).transpose().cast<double>();
  const Eigen::Matrix3d& R = state.world_from_bone.rotation;
  const Eigen::Vector3d torque = R * x.cross(n);
  const Eigen::Vector3d force = R * n;
  for (int k = 0; k < 3; ++k) {
    column[k * kVerticesPerBlock] = static_cast<float>(torque[k]);
    column[(3 + k) * kVerticesPerBlock] = static_cast<float>(force[k]);
  }
  const float* modes = model.modes.row(3 * i).data();
  const int stride = model.stride();
  column += kPoseDim * kVerticesPerBlock;
  for (Eigen::Index k = 0; k < state.b.size(); ++k) {
    const float* m = modes + k;
    column[k * kVerticesPerBlock] =
        normals(i, 0) * m[0] + normals(i, 1) * m[stride] + normals(i, 2) * m[2 * stride];
  }
}

}  // namespace

Eigen::VectorXf vertex_sd_mm(const ShapeModel& model,
                             const FitState<double>& state,
                             const Points& vertices,
                             const Points& normals,
                             const Eigen::MatrixXd& H,
                             ThreadPool& pool) {
  const int num_points = model.num_points();
  Eigen::VectorXf sd(num_points);
  // What is added leaves a pose that no data hold back finite, if huge.
  Cholesky cholesky;
  if (!cholesky.factor(H, Eigen::VectorXd::Constant(H.rows(), 1e-9))) {
    sd.setConstant(std::numeric_limits<float>::infinity());
    return sd;
  }
  // Float is enough: a standard deviation needs no more than three digits.
  const std::vector<float> U(cholesky.upper().begin(), cholesky.upper().end());
  pool.run((num_points + kVerticesPerBlock - 1) / kVerticesPerBlock, [&](int block) {
    const int first = block * kVerticesPerBlock;
    const int count = std::min(kVerticesPerBlock, num_points - first);
    MatrixRm32 J = MatrixRm32::Zero(cholesky.width(), kVerticesPerBlock);
    float squares[kVerticesPerBlock];
    for (int k = 0; k < count; ++k) {
      normal_derivative(model, state, vertices, normals, first + k, J.data() + k);
    }
    whiten(U.data(), cholesky.width(), J.data(), squares);
    for (int k = 0; k < count; ++k) {
      const double tau = model.inadequacy_mm[first + k];
      sd[first + k] = static_cast<float>(std::sqrt(static_cast<double>(squares[k]) + tau * tau));
    }
  });
  return sd;
}

}  // namespace osteoform
