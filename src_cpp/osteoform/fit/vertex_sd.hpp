// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "osteoform/base/parallel.hpp"
#include "osteoform/fit/fit_state.hpp"
#include "osteoform/ssm/shape_model.hpp"

namespace osteoform {

/// Standard deviation of every vertex along its normal [mm]: Laplace covariance of pose and shape,
/// plus what the model cannot express: sd^2 = j H^-1 j' + inadequacy^2, j = d(n . x) / d
/// parameters.
/// @param vertices, normals  in the bone frame
/// @param H                  normal matrix at the solution, lower triangle
Eigen::VectorXf vertex_sd_mm(const ShapeModel& model,
                             const FitState<double>& state,
                             const Points& vertices,
                             const Points& normals,
                             const Eigen::MatrixXd& H,
                             ThreadPool& pool);

}  // namespace osteoform
