// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/vertex_sd.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <limits>

#include "osteoform/base/clones.hpp"

namespace osteoform {
namespace {

constexpr int kVerticesPerBlock = 64;

/// Solves L Y = J in place for kVerticesPerBlock columns, and sums their squares.
/// @param L  num x num, row by row
/// @param J  num rows of kVerticesPerBlock
OSTEOFORM_CLONES void whiten(const float* L, int num, float* J, float* squares) {
  std::fill(squares, squares + kVerticesPerBlock, 0.0F);
  for (int r = 0; r < num; ++r) {
    float* y = J + static_cast<std::ptrdiff_t>(r) * kVerticesPerBlock;
    const float* row = L + static_cast<std::ptrdiff_t>(r) * num;
    float sums[kVerticesPerBlock];
    for (int k = 0; k < kVerticesPerBlock; ++k) sums[k] = y[k];
    const float* solved = J;
    for (int c = 0; c < r; ++c, solved += kVerticesPerBlock) {
      for (int k = 0; k < kVerticesPerBlock; ++k) sums[k] -= row[c] * solved[k];
    }
    const float scale = 1.0F / row[r];
    for (int k = 0; k < kVerticesPerBlock; ++k) {
      y[k] = scale * sums[k];
      squares[k] += y[k] * y[k];
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
  Eigen::MatrixXd regular = H;
  regular.diagonal().array() += 1e-9;  // a pose no data hold back is finite, if huge
  const Eigen::LLT<Eigen::MatrixXd> factor(regular);
  if (factor.info() != Eigen::Success) {
    sd.setConstant(std::numeric_limits<float>::infinity());
    return sd;
  }
  // Float is enough: a standard deviation needs no more than three digits.
  const MatrixRm32 L = MatrixRm64(factor.matrixL()).cast<float>();
  pool.run((num_points + kVerticesPerBlock - 1) / kVerticesPerBlock, [&](int block) {
    const int first = block * kVerticesPerBlock;
    const int count = std::min(kVerticesPerBlock, num_points - first);
    MatrixRm32 J = MatrixRm32::Zero(state.num_params(), kVerticesPerBlock);
    float squares[kVerticesPerBlock];
    for (int k = 0; k < count; ++k) {
      normal_derivative(model, state, vertices, normals, first + k, J.data() + k);
    }
    whiten(L.data(), state.num_params(), J.data(), squares);
    for (int k = 0; k < count; ++k) {
      const double tau = model.inadequacy_mm[first + k];
      sd[first + k] = static_cast<float>(std::sqrt(static_cast<double>(squares[k]) + tau * tau));
    }
  });
  return sd;
}

}  // namespace osteoform
