// SPDX-License-Identifier: Apache-2.0
#include "osteoform/ssm/instance_memo.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace osteoform {
namespace {

constexpr int kRowsPerBlock = 1536;  // of the 3N coordinates

}  // namespace

/// Bit by bit, so that what is not a number equals itself.
bool InstanceMemo::Instance::is_at(const Eigen::VectorXd& other) const {
  const auto size = static_cast<std::size_t>(b.size()) * sizeof(double);
  return b.size() == other.size() && (size == 0 || std::memcmp(b.data(), other.data(), size) == 0);
}

InstanceMemo::InstanceMemo(const ShapeModel& model, ThreadPool& pool)
    : model_(model), pool_(pool), padded_b_(static_cast<std::size_t>(model.stride())) {
  for (Instance* instance : {&last_, &before_}) {
    instance->b = Eigen::VectorXd::Zero(model.num_modes);
    instance->vertices = model.mean;
  }
}

const Points& InstanceMemo::vertices(const Eigen::VectorXd& b) {
  if (last_.is_at(b)) return last_.vertices;
  std::swap(last_, before_);
  if (last_.is_at(b)) return last_.vertices;

  pad_coefficients(b, padded_b_);
  const int num_rows = 3 * model_.num_points();
  pool_.run((num_rows + kRowsPerBlock - 1) / kRowsPerBlock, [&](int block) {
    instance_rows(model_,
                  padded_b_.data(),
                  block * kRowsPerBlock,
                  std::min((block + 1) * kRowsPerBlock, num_rows),
                  last_.vertices);
  });
  last_.b = b;
  last_.has_normals = false;
  return last_.vertices;
}

const Points& InstanceMemo::normals(const Eigen::VectorXd& b) {
  vertices(b);
  if (!last_.has_normals) {
    vertex_normals(last_.vertices, model_.faces, last_.normals);
    last_.has_normals = true;
  }
  return last_.normals;
}

}  // namespace osteoform
