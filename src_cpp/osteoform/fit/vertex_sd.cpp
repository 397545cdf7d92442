// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/vertex_sd.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <limits>

namespace osteoform {
namespace {

constexpr int kVerticesPerBlock = 64;

/// Derivative of a vertex' position along its own normal.
void normal_derivative(const ShapeModel& model,
                       const FitState<double>& state,
                       const Points& vertices,
                       const Points& normals,
                       int i,
                       Eigen::Ref<Eigen::VectorXd> j) {
  const Eigen::Vector3d x = vertices.row(i).transpose().cast<double>();
  const Eigen::Vector3d n = normals.row(i).transpose().cast<double>();
  const Eigen::Matrix3d& R = state.world_from_bone.rotation;
  j.setZero();
  j.head<3>() = R * x.cross(n);
  j.segment<3>(3) = R * n;
  const Eigen::RowVector3f weights = normals.row(i);
  j.segment(kPoseDim, state.b.size()) = (weights * model.modes.middleRows(3 * i, 3))
                                            .leftCols(state.b.size())
                                            .transpose()
                                            .cast<double>();
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
  pool.run((num_points + kVerticesPerBlock - 1) / kVerticesPerBlock, [&](int block) {
    const int first = block * kVerticesPerBlock;
    const int count = std::min(kVerticesPerBlock, num_points - first);
    Eigen::MatrixXd J(state.num_params(), count);
    for (int k = 0; k < count; ++k) {
      normal_derivative(model, state, vertices, normals, first + k, J.col(k));
    }
    factor.matrixL().solveInPlace(J);
    for (int k = 0; k < count; ++k) {
      const double tau = model.inadequacy_mm[first + k];
      sd[first + k] = static_cast<float>(std::sqrt(J.col(k).squaredNorm() + tau * tau));
    }
  });
  return sd;
}

}  // namespace osteoform
