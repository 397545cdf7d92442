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

/// Adds an upper triangle, whole columns of 8.
OSTEOFORM_CLONES void add_to(const float* values, int width, double* totals) {
  for (int r = 0; r < width; ++r) {
    const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(r) * width;
    for (int c = r / kRankUpdateColumns * kRankUpdateColumns; c < width; ++c) {
      totals[at + c] += static_cast<double>(values[at + c]);
    }
  }
}

/// What moves the point between two vertices: three rows of modes, interpolated.
OSTEOFORM_CLONES void modes_between(
    const float* mi, const float* mj, float alpha, int stride, float* modes) {
  for (int k = 0; k < 3 * stride; ++k) modes[k] = mi[k] + alpha * (mj[k] - mi[k]);
}

/// The three rows of modes times b.
OSTEOFORM_CLONES void move(const float* modes, const float* b, int stride, float out[3]) {
  Float8 sums[3] = {};
  for (int k = 0; k < stride; k += 8) {
    const Float8 w = lanes<Float8>(b + k);
    for (int a = 0; a < 3; ++a) sums[a] += w * lanes<Float8>(modes + a * stride + k);
  }
  for (int a = 0; a < 3; ++a) {
    float s[8];
    lanes<Float8>(s) = sums[a];
    out[a] = ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
  }
}

/// out[k] = w . modes of column k
OSTEOFORM_CLONES void shape_row(const float* modes, const float w[3], int stride, float* out) {
  for (int k = 0; k < stride; ++k) {
    out[k] = w[0] * modes[k] + w[1] * modes[stride + k] + w[2] * modes[2 * stride + k];
  }
}

/// @param modes  [out] room for the point's own three rows of modes
Eigen::Vector3d point_in_bone(const ShapeModel& model,
                              const float* b,
                              const SilhouettePoint& point,
                              float* modes) {
  const int stride = model.stride();
  const float* all = model.modes.data();
  modes_between(all + static_cast<std::ptrdiff_t>(3) * point.i * stride,
                all + static_cast<std::ptrdiff_t>(3) * point.j * stride,
                point.alpha,
                stride,
                modes);
  float moved[3];
  move(modes, b, stride, moved);
  Eigen::Vector3d x;
  for (int k = 0; k < 3; ++k) {
    const float mean =
        (1.0F - point.alpha) * model.mean(point.i, k) + point.alpha * model.mean(point.j, k);
    x[k] = mean + moved[k];
  }
  return x;
}

}  // namespace

BoundaryTerm::BoundaryTerm(const ShapeModel& model,
                           const std::vector<View>& views,
                           int max_points,
                           ThreadPool& pool)
    : boundaries(views.size()),
      model_(model),
      views_(views),
      pool_(pool),
      width_(model.stride() + kExtraColumns),
      b_(static_cast<std::size_t>(model.stride())),
      totals_(static_cast<std::size_t>(width_) * width_) {
  const int blocks_per_view = (max_points + kBlockSize - 1) / kBlockSize;
  blocks_.resize(views.size() * static_cast<std::size_t>(blocks_per_view));
  for (Block& block : blocks_) {
    block.rows.resize(static_cast<std::size_t>(kBlockSize) * width_);
    block.weighted.resize(block.rows.size());
    block.sums.resize(static_cast<std::size_t>(width_) * width_);
  }
  for (ViewBoundary& boundary : boundaries) boundary.observations.reserve(max_points);
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

void BoundaryTerm::linearize_block(const FitState<double>& state, Block& block) {
  const ViewBoundary& boundary = boundaries[static_cast<std::size_t>(block.view)];
  const View view = view_of_bone(views_[static_cast<std::size_t>(block.view)],
                                 state.world_from_bone_for(block.view));
  const MotionFrames<double> frames(state, block.view);
  const GemanMcClureLoss loss{loss_scale};
  const double whiten = 1.0 / (boundary.px_per_mm * sigma_mm);
  const int stride = model_.stride();
  float weights[kBlockSize] = {};
  float modes[3 * kMaxModes];
  std::fill(block.rows.begin(), block.rows.end(), 0.0F);
  block.cost = 0.0;

  std::visit(
      [&](const auto& geometry) {
        for (int q = block.first; q < block.last; ++q) {
          const BoundaryObservation& o = boundary.observations[static_cast<std::size_t>(q)];
          const Eigen::Vector3d x = point_in_bone(model_, b_.data(), o.point, modes);
          if (o.weight <= 0.0F || !geometry.sees(x)) continue;
          Eigen::Vector3d gradient;
          const double r = whiten * boundary_element<double>(
                                        geometry,
                                        x,
                                        Eigen::Vector2d(o.found_px[0], o.found_px[1]),
                                        Eigen::Vector2d(o.point.normal[0], o.point.normal[1]),
                                        gradient);
          gradient *= whiten;
          const double trust = o.weight * boundary.view_weight;
          weights[q - block.first] = static_cast<float>(trust * loss.weight(r * r));
          block.cost += trust * loss.rho(r * r);

          float* row = block.rows.data() + static_cast<std::ptrdiff_t>(q - block.first) * width_;
          const float w[3] = {static_cast<float>(gradient[0]),
                              static_cast<float>(gradient[1]),
                              static_cast<float>(gradient[2])};
          shape_row(modes, w, stride, row);
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
  const auto at = [&](int r, int c) {
    return totals_[static_cast<std::size_t>(std::min(r, c)) * width_ +
                   static_cast<std::size_t>(std::max(r, c))];
  };
  // Modes, the bulk, in one run each; then the motion columns against everything.
  for (int k = 0; k < num_modes; ++k) {
    const double* row = totals_.data() + static_cast<std::ptrdiff_t>(k) * width_;
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

void BoundaryTerm::accumulate(const FitState<double>& state, NormalEquations& sums) {
  pad_coefficients(state.b, b_);
  const int num_blocks = lay_out_blocks();
  pool_.run(num_blocks,
            [&](int k) { linearize_block(state, blocks_[static_cast<std::size_t>(k)]); });
  for (int k = 0; k < num_blocks;) {
    const int view = blocks_[static_cast<std::size_t>(k)].view;
    std::fill(totals_.begin(), totals_.end(), 0.0);
    for (; k < num_blocks && blocks_[static_cast<std::size_t>(k)].view == view; ++k) {
      const Block& block = blocks_[static_cast<std::size_t>(k)];
      add_to(block.sums.data(), width_, totals_.data());
      sums.cost += block.cost;
    }
    scatter(state, view, sums);
  }
}

void BoundaryTerm::cost_of_block(const FitState<double>& state, Block& block) const {
  const ViewBoundary& boundary = boundaries[static_cast<std::size_t>(block.view)];
  const View view = view_of_bone(views_[static_cast<std::size_t>(block.view)],
                                 state.world_from_bone_for(block.view));
  const GemanMcClureLoss loss{loss_scale};
  const double whiten = 1.0 / (boundary.px_per_mm * sigma_mm);
  float modes[3 * kMaxModes];
  block.cost = 0.0;
  std::visit(
      [&](const auto& geometry) {
        for (int q = block.first; q < block.last; ++q) {
          const BoundaryObservation& o = boundary.observations[static_cast<std::size_t>(q)];
          const Eigen::Vector3d x = point_in_bone(model_, b_.data(), o.point, modes);
          if (o.weight <= 0.0F || !geometry.sees(x)) continue;
          const double r = whiten * boundary_residual<double>(
                                        geometry,
                                        x,
                                        Eigen::Vector2d(o.found_px[0], o.found_px[1]),
                                        Eigen::Vector2d(o.point.normal[0], o.point.normal[1]));
          block.cost += o.weight * boundary.view_weight * loss.rho(r * r);
        }
      },
      view);
}

double BoundaryTerm::cost(const FitState<double>& state) {
  pad_coefficients(state.b, b_);
  const int num_blocks = lay_out_blocks();
  pool_.run(num_blocks, [&](int k) { cost_of_block(state, blocks_[static_cast<std::size_t>(k)]); });
  double total = 0.0;
  for (int k = 0; k < num_blocks; ++k) total += blocks_[static_cast<std::size_t>(k)].cost;
  return total;
}

}  // namespace osteoform
