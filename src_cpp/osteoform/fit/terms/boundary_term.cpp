// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/terms/boundary_term.hpp"

#include <algorithm>
#include <cmath>

#include "osteoform/base/clones.hpp"
#include "osteoform/fit/elements/boundary_element.hpp"
#include "osteoform/fit/robust_loss.hpp"

namespace osteoform {
namespace {

constexpr int kExtraColumns = 16;  // pose 6, correction 6, residual 1, padding 3
constexpr int kResidualColumn = 12;

/// out[k] = wi . modes of vertex i + wj . modes of vertex j; w = gradient times share of the vertex
OSTEOFORM_CLONES void shape_row(const float* mi,
                                const float* mj,
                                int stride,
                                const float wi[3],
                                const float wj[3],
                                float* out) {
  for (int k = 0; k < stride; ++k) {
    out[k] = wi[0] * mi[k] + wi[1] * mi[stride + k] + wi[2] * mi[2 * stride + k] + wj[0] * mj[k] +
             wj[1] * mj[stride + k] + wj[2] * mj[2 * stride + k];
  }
}

/// sums += rows' diag(weights) rows, upper triangle from the 8-column block of the diagonal on.
/// Four rows at a time keep the sums in registers longer; num_rows is padded with zero weights.
OSTEOFORM_CLONES void rank_update(
    const float* rows, const float* weights, int num_rows, int width, float* sums) {
  for (int r = 0; r < width; ++r) {
    float* out = sums + static_cast<std::ptrdiff_t>(r) * width;
    const int first = r / 8 * 8;
    for (int q = 0; q < num_rows; q += 4) {
      const float* a = rows + static_cast<std::ptrdiff_t>(q) * width;
      const float* b = a + width;
      const float* c = b + width;
      const float* d = c + width;
      const float wa = weights[q] * a[r];
      const float wb = weights[q + 1] * b[r];
      const float wc = weights[q + 2] * c[r];
      const float wd = weights[q + 3] * d[r];
      for (int k = first; k < width; ++k) {
        out[k] += (wa * a[k] + wb * b[k]) + (wc * c[k] + wd * d[k]);
      }
    }
  }
}

Eigen::Vector3d point_in_bone(const ShapeModel& model,
                              const float* b,
                              const SilhouettePoint& point) {
  Eigen::Vector3d x;
  for (int k = 0; k < 3; ++k) {
    const float xi = instance_coordinate(model, b, 3 * point.i + k);
    const float xj = instance_coordinate(model, b, 3 * point.j + k);
    x[k] = (1.0F - point.alpha) * xi + point.alpha * xj;
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
      b_(static_cast<std::size_t>(model.stride())) {
  const int blocks_per_view = (max_points + kBlockSize - 1) / kBlockSize;
  blocks_.resize(views.size() * static_cast<std::size_t>(blocks_per_view));
  for (Block& block : blocks_) {
    block.rows.resize(static_cast<std::size_t>(kBlockSize) * width_);
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

void BoundaryTerm::pad_coefficients(const FitState<double>& state) {
  std::fill(b_.begin(), b_.end(), 0.0F);
  for (Eigen::Index k = 0; k < state.b.size(); ++k) b_[k] = static_cast<float>(state.b[k]);
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
  std::fill(block.rows.begin(), block.rows.end(), 0.0F);
  std::fill(block.sums.begin(), block.sums.end(), 0.0F);
  block.cost = 0.0;

  std::visit(
      [&](const auto& geometry) {
        for (int q = block.first; q < block.last; ++q) {
          const BoundaryObservation& o = boundary.observations[static_cast<std::size_t>(q)];
          const Eigen::Vector3d x = point_in_bone(model_, b_.data(), o.point);
          if (o.weight <= 0.0F || !geometry.sees(x)) continue;
          Eigen::Vector3d gradient;
          const double r = whiten * boundary_element<double>(
                                        geometry,
                                        x,
                                        Eigen::Vector2d(o.found_px[0], o.found_px[1]),
                                        Eigen::Vector2d(o.point.normal[0], o.point.normal[1]),
                                        gradient);
          gradient *= whiten;
          const double w = o.weight * boundary.view_weight;
          weights[q - block.first] = static_cast<float>(w * loss.weight(r * r));
          block.cost += w * loss.rho(r * r);

          float* row = block.rows.data() + static_cast<std::ptrdiff_t>(q - block.first) * width_;
          float wi[3], wj[3];
          for (int k = 0; k < 3; ++k) {
            const float g = static_cast<float>(gradient[k]);
            wi[k] = (1.0F - o.point.alpha) * g;
            wj[k] = o.point.alpha * g;
          }
          const float* modes = model_.modes.data();
          shape_row(modes + static_cast<std::ptrdiff_t>(3) * o.point.i * stride,
                    modes + static_cast<std::ptrdiff_t>(3) * o.point.j * stride,
                    stride,
                    wi,
                    wj,
                    row);
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
  const int num_rows = (block.last - block.first + 3) / 4 * 4;
  rank_update(block.rows.data(), weights, num_rows, width_, block.sums.data());
}

void BoundaryTerm::scatter(const FitState<double>& state,
                           const Block& block,
                           NormalEquations& sums) const {
  const int stride = model_.stride();
  const int num_modes = static_cast<int>(state.b.size());
  const int residual = stride + kResidualColumn;
  const bool corrected = state.corrects(block.view);
  const auto at = [&](int r, int c) {
    return static_cast<double>(block.sums[static_cast<std::size_t>(std::min(r, c)) * width_ +
                                          static_cast<std::size_t>(std::max(r, c))]);
  };
  // Modes, the bulk, in one run each; then the motion columns against everything.
  for (int k = 0; k < num_modes; ++k) {
    for (int l = 0; l <= k; ++l) sums.H(kPoseDim + k, kPoseDim + l) += at(l, k);
    sums.g[kPoseDim + k] += at(k, residual);
  }
  const int num_motions = corrected ? 2 * kPoseDim : kPoseDim;
  const auto param_of = [&](int motion) {
    return motion < kPoseDim ? motion : state.correction_offset(block.view) + motion - kPoseDim;
  };
  for (int m = 0; m < num_motions; ++m) {
    const int p = param_of(m);
    for (int k = 0; k < num_modes; ++k) {
      sums.H(std::max(p, kPoseDim + k), std::min(p, kPoseDim + k)) += at(k, stride + m);
    }
    for (int l = 0; l <= m; ++l) sums.H(p, param_of(l)) += at(stride + l, stride + m);
    sums.g[p] += at(stride + m, residual);
  }
  sums.cost += block.cost;
}

void BoundaryTerm::accumulate(const FitState<double>& state, NormalEquations& sums) {
  pad_coefficients(state);
  const int num_blocks = lay_out_blocks();
  pool_.run(num_blocks,
            [&](int k) { linearize_block(state, blocks_[static_cast<std::size_t>(k)]); });
  for (int k = 0; k < num_blocks; ++k) scatter(state, blocks_[static_cast<std::size_t>(k)], sums);
}

void BoundaryTerm::cost_of_block(const FitState<double>& state, Block& block) const {
  const ViewBoundary& boundary = boundaries[static_cast<std::size_t>(block.view)];
  const View view = view_of_bone(views_[static_cast<std::size_t>(block.view)],
                                 state.world_from_bone_for(block.view));
  const GemanMcClureLoss loss{loss_scale};
  const double whiten = 1.0 / (boundary.px_per_mm * sigma_mm);
  block.cost = 0.0;
  std::visit(
      [&](const auto& geometry) {
        for (int q = block.first; q < block.last; ++q) {
          const BoundaryObservation& o = boundary.observations[static_cast<std::size_t>(q)];
          const Eigen::Vector3d x = point_in_bone(model_, b_.data(), o.point);
          if (o.weight <= 0.0F || !geometry.sees(x)) continue;
          const Eigen::Vector2d gap =
              geometry.project(x) - Eigen::Vector2d(o.found_px[0], o.found_px[1]);
          const double r = whiten * (o.point.normal[0] * gap.x() + o.point.normal[1] * gap.y());
          block.cost += o.weight * boundary.view_weight * loss.rho(r * r);
        }
      },
      view);
}

double BoundaryTerm::cost(const FitState<double>& state) {
  pad_coefficients(state);
  const int num_blocks = lay_out_blocks();
  pool_.run(num_blocks, [&](int k) { cost_of_block(state, blocks_[static_cast<std::size_t>(k)]); });
  double total = 0.0;
  for (int k = 0; k < num_blocks; ++k) total += blocks_[static_cast<std::size_t>(k)].cost;
  return total;
}

}  // namespace osteoform
