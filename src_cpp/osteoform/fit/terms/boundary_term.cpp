// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/terms/boundary_term.hpp"

#include <algorithm>
#include <cmath>

#include "osteoform/base/clones.hpp"
#include "osteoform/base/lanes.hpp"
#include "osteoform/fit/elements/boundary_element.hpp"
#include "osteoform/fit/rank_update.hpp"
#include "osteoform/fit/robust_loss.hpp"

namespace osteoform {
namespace {

constexpr int kExtraColumns = 16;  // pose 6, correction 6, residual 1, padding 3
constexpr int kResidualColumn = 12;

OSTEOFORM_CLONES void scale_rows(
    const float* rows, const float* weights, int num_rows, int width, float* weighted) {
  for (int q = 0; q < num_rows; ++q) {
    const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(q) * width;
    for (int k = 0; k < width; ++k) weighted[at + k] = weights[q] * rows[at + k];
  }
}

/// Writes (begin) or adds an upper triangle, whole columns of 8.
OSTEOFORM_CLONES void add_to(const float* values, int width, bool begin, double* totals) {
  for (int r = 0; r < width; ++r) {
    const int first = r / kRankUpdateColumns * kRankUpdateColumns;
    const float* from = values + static_cast<std::ptrdiff_t>(r) * width;
    double* to = totals + static_cast<std::ptrdiff_t>(r) * width;
    if (begin) {
      for (int c = first; c < width; ++c) to[c] = static_cast<double>(from[c]);
    } else {
      for (int c = first; c < width; ++c) to[c] += static_cast<double>(from[c]);
    }
  }
}

/// out[k] = w . displacement by mode k of the point between two vertices
/// @param mi, mj  three rows of modes each, one per coordinate
OSTEOFORM_CLONES void shape_row(
    const float* mi, const float* mj, float alpha, const float w[3], int stride, float* out) {
  float wi[3], wj[3];
  for (int a = 0; a < 3; ++a) {
    wi[a] = w[a] * (1.0F - alpha);
    wj[a] = w[a] * alpha;
  }
  for (int k = 0; k < stride; ++k) {
    out[k] = (wi[0] * mi[k] + wj[0] * mj[k]) + (wi[1] * mi[stride + k] + wj[1] * mj[stride + k]) +
             (wi[2] * mi[2 * stride + k] + wj[2] * mj[2 * stride + k]);
  }
}

Eigen::Vector3d point_in_bone(const Points& vertices, const SilhouettePoint& point) {
  const double alpha = point.alpha;
  return (1.0 - alpha) * vertices.row(point.i).transpose().cast<double>() +
         alpha * vertices.row(point.j).transpose().cast<double>();
}

}  // namespace

BoundaryTerm::BoundaryTerm(const ShapeModel& model,
                           const std::vector<View>& views,
                           int max_points,
                           InstanceMemo& instances,
                           ThreadPool& pool)
    : boundaries(views.size()),
      model_(model),
      views_(views),
      instances_(instances),
      pool_(pool),
      width_(model.stride() + kExtraColumns),
      totals_(views.size()) {
  const int blocks_per_view = (max_points + kBlockSize - 1) / kBlockSize;
  blocks_.resize(views.size() * static_cast<std::size_t>(blocks_per_view));
  for (Block& block : blocks_) {
    block.rows.resize(static_cast<std::size_t>(kBlockSize) * width_);
    block.weighted.resize(block.rows.size());
    block.sums.resize(static_cast<std::size_t>(width_) * width_);
  }
  for (ViewBoundary& boundary : boundaries) boundary.observations.reserve(max_points);
  for (std::vector<double>& totals : totals_) {
    totals.resize(static_cast<std::size_t>(width_) * width_);
  }
}

int BoundaryTerm::lay_out_blocks() {
  int num_blocks = 0;
  for (std::size_t v = 0; v < boundaries.size(); ++v) {
    const int n = static_cast<int>(boundaries[v].observations.size());
    for (int first = 0; first < n; first += kBlockSize) {
      Block& block = blocks_[static_cast<std::size_t>(num_blocks++)];
      block.view = static_cast<int>(v);
      block.first = first;
      block.last = std::min(first + kBlockSize, n);
    }
  }
  return num_blocks;
}

void BoundaryTerm::linearize_block(const FitState<double>& state,
                                   const Points& vertices,
                                   Block& block) {
  const ViewBoundary& boundary = boundaries[static_cast<std::size_t>(block.view)];
  const View view = view_of_bone(views_[static_cast<std::size_t>(block.view)],
                                 state.world_from_bone_for(block.view));
  const MotionFrames<double> frames(state, block.view);
  const GemanMcClureLoss loss{loss_scale};
  const double whiten = 1.0 / (boundary.px_per_mm * sigma_mm);
  const int stride = model_.stride();
  const float* modes = model_.modes.data();
  const auto modes_of = [&](std::int32_t i) { return modes + std::ptrdiff_t{3} * i * stride; };
  float weights[kBlockSize] = {};  // rows of points that do not count keep what they held
  block.cost = 0.0;

  std::visit(
      [&](const auto& geometry) {
        for (int q = block.first; q < block.last; ++q) {
          const BoundaryObservation& o = boundary.observations[static_cast<std::size_t>(q)];
          const Eigen::Vector3d x = point_in_bone(vertices, o.point);
          if (o.weight <= 0.0F || !geometry.sees(x)) continue;
          Eigen::Vector3d gradient;
          const double r = whiten * boundary_element<double>(
                                        geometry,
                                        x,
                                        Eigen::Vector2d(o.found_px[0], o.found_px[1]),
                                        Eigen::Vector2d(o.point.normal[0], o.point.normal[1]),
                                        gradient);
          gradient *= whiten;
          const double trust = o.weight;
          weights[q - block.first] = static_cast<float>(trust * loss.weight(r * r));
          block.cost += trust * loss.rho(r * r);

          float* row = block.rows.data() + static_cast<std::ptrdiff_t>(q - block.first) * width_;
          const float w[3] = {static_cast<float>(gradient[0]),
                              static_cast<float>(gradient[1]),
                              static_cast<float>(gradient[2])};
          shape_row(modes_of(o.point.i), modes_of(o.point.j), o.point.alpha, w, stride, row);
          const Eigen::Vector3d torque = x.cross(gradient);
          Eigen::Map<Eigen::Matrix<float, 12, 1>> motion(row + stride);
          motion.segment<3>(0) = (frames.pose_from_torque * torque).cast<float>();
          motion.segment<3>(3) = (frames.pose_from_force * gradient).cast<float>();
          motion.segment<3>(6) = (frames.correction_from_torque * torque).cast<float>();
          motion.segment<3>(9) = motion.segment<3>(3);
          row[stride + kResidualColumn] = static_cast<float>(r);
        }
      },
      view);
  const int num_rows = block.last - block.first;
  scale_rows(block.rows.data(), weights, num_rows, width_, block.weighted.data());
  rank_update(block.weighted.data(), block.rows.data(), num_rows, width_, block.sums.data());
}

void BoundaryTerm::scatter(const FitState<double>& state, int view, NormalEquations& sums) const {
  const int stride = model_.stride();
  const int num_modes = static_cast<int>(state.b.size());
  const int residual = stride + kResidualColumn;
  const std::vector<double>& totals = totals_[static_cast<std::size_t>(view)];
  const auto at = [&](int r, int c) {
    return totals[static_cast<std::size_t>(std::min(r, c)) * width_ +
                  static_cast<std::size_t>(std::max(r, c))];
  };
  // Modes, the bulk, in one run each; then the motion columns against everything.
  for (int k = 0; k < num_modes; ++k) {
    const double* row = totals.data() + static_cast<std::ptrdiff_t>(k) * width_;
    double* column = &sums.H(kPoseDim, kPoseDim + k);
    for (int l = k; l < num_modes; ++l) column[l] += row[l];
    sums.g[kPoseDim + k] += row[residual];
  }
  const int num_motions = state.corrects(view) ? 2 * kPoseDim : kPoseDim;
  const auto param_of = [&](int motion) {
    return motion < kPoseDim ? motion : state.correction_offset(view) + motion - kPoseDim;
  };
  for (int m = 0; m < num_motions; ++m) {
    const int p = param_of(m);
    for (int k = 0; k < num_modes; ++k) {
      sums.H(std::max(p, kPoseDim + k), std::min(p, kPoseDim + k)) += at(k, stride + m);
    }
    for (int l = 0; l <= m; ++l) sums.H(p, param_of(l)) += at(stride + l, stride + m);
    sums.g[p] += at(stride + m, residual);
  }
}

void BoundaryTerm::accumulate(const FitState<double>& state,
                              NormalEquations& sums,
                              std::span<const Work> beside) {
  const int num_blocks = lay_out_blocks();
  const Points& vertices = instances_.vertices(state.b);
  pool_.run(beside, num_blocks, [&](int k) {
    linearize_block(state, vertices, blocks_[static_cast<std::size_t>(k)]);
  });
  const int num_views = static_cast<int>(views_.size());
  pool_.run(num_views, [&](int view) { total_up(view, num_blocks); });
  for (int k = 0; k < num_blocks; ++k) sums.cost += blocks_[static_cast<std::size_t>(k)].cost;
  for (int view = 0; view < num_views; ++view) {
    if (!boundaries[static_cast<std::size_t>(view)].observations.empty()) {
      scatter(state, view, sums);
    }
  }
}

void BoundaryTerm::total_up(int view, int num_blocks) {
  double* totals = totals_[static_cast<std::size_t>(view)].data();
  bool begin = true;
  for (int k = 0; k < num_blocks; ++k) {
    const Block& block = blocks_[static_cast<std::size_t>(k)];
    if (block.view != view) continue;
    add_to(block.sums.data(), width_, begin, totals);
    begin = false;
  }
}

double BoundaryTerm::cost_of_block(const FitState<double>& state,
                                   const Points& vertices,
                                   const Block& block) const {
  const ViewBoundary& boundary = boundaries[static_cast<std::size_t>(block.view)];
  const View view = view_of_bone(views_[static_cast<std::size_t>(block.view)],
                                 state.world_from_bone_for(block.view));
  const GemanMcClureLoss loss{loss_scale};
  const double whiten = 1.0 / (boundary.px_per_mm * sigma_mm);
  double cost = 0.0;
  std::visit(
      [&](const auto& geometry) {
        for (int q = block.first; q < block.last; ++q) {
          const BoundaryObservation& o = boundary.observations[static_cast<std::size_t>(q)];
          const Eigen::Vector3d x = point_in_bone(vertices, o.point);
          if (o.weight <= 0.0F || !geometry.sees(x)) continue;
          const double r = whiten * boundary_residual<double>(
                                        geometry,
                                        x,
                                        Eigen::Vector2d(o.found_px[0], o.found_px[1]),
                                        Eigen::Vector2d(o.point.normal[0], o.point.normal[1]));
          cost += o.weight * loss.rho(r * r);
        }
      },
      view);
  return cost;
}

double BoundaryTerm::cost(const FitState<double>& state, std::span<const Work> beside) {
  const int num_blocks = lay_out_blocks();
  const Points& vertices = instances_.vertices(state.b);
  pool_.run(beside, num_blocks, [&](int k) {
    Block& block = blocks_[static_cast<std::size_t>(k)];
    block.cost = cost_of_block(state, vertices, block);
  });
  double total = 0.0;
  for (int k = 0; k < num_blocks; ++k) total += blocks_[static_cast<std::size_t>(k)].cost;
  return total;
}

}  // namespace osteoform
