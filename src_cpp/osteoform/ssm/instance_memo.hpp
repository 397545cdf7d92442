// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <vector>

#include "osteoform/base/parallel.hpp"
#include "osteoform/ssm/shape_model.hpp"

namespace osteoform {

/// Vertices and normals of the last two instances asked for: a solver goes to and fro between a
/// state and its trial, and every term asks for the same two.
class InstanceMemo {
 public:
  InstanceMemo(const ShapeModel& model, ThreadPool& pool);

  /// Vertices in the bone frame at these coefficients, the first or all of the model's; valid until
  /// the next are asked for.
  const Points& vertices(const Eigen::VectorXd& b);

  /// Unit normals of these vertices.
  const Points& normals(const Eigen::VectorXd& b);

 private:
  struct Instance {
    Eigen::VectorXd b;
    Points vertices;
    Points normals;
    bool has_normals = false;

    bool is_at(const Eigen::VectorXd& other) const;
  };

  const ShapeModel& model_;
  ThreadPool& pool_;
  std::vector<float> padded_b_;
  Instance last_, before_;
};

}  // namespace osteoform
