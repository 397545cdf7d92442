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
/// Blocks of 4 x 16 sums stay in registers while all rows pass; width is a multiple of 8.
OSTEOFORM_CLONES void rank_update(const float* rows,
                                  const float* weights,
                                  int num_rows,
                                  int width,
                                  float* weighted,
                                  float* sums) {
  for (int q = 0; q < num_rows; ++q) {
    const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(q) * width;
    for (int k = 0; k < width; ++k) weighted[at + k] = weights[q] * rows[at + k];
  }
  for (int r = 0; r < width; r += 4) {
    for (int c = r / 8 * 8; c < width; c += 8) {
      float s0[8] = {}, s1[8] = {}, s2[8] = {}, s3[8] = {};
      const float* a = weighted + r;
      const float* b = rows + c;
      for (int q = 0; q < num_rows; ++q, a += width, b += width) {
        for (int k = 0; k < 8; ++k) {
          s0[k] += a[0] * b[k];
          s1[k] += a[1] * b[k];
          s2[k] += a[2] * b[k];
          s3[k] += a[3] * b[k];
        }
      }
      float* out = sums + static_cast<std::ptrdiff_t>(r) * width + c;
      for (int k = 0; k < 8; ++k) {
        out[k] = s0[k];
        out[width + k] = s1[k];
        out[2 * width + k] = s2[k];
        out[3 * width + k] = s3[k];
      }
    }
  }
}

OSTEOFORM_CLONES void add_to(const float* values, int n, double* totals) {
  for (int i = 0; i < n; ++i) totals[i] += static_cast<double>(values[i]);
}

/// Dot products of b with the three rows of modes that lie between two vertices.
OSTEOFORM_CLONES void move_between(
    const float* mi, const float* mj, const float* b, float alpha, int stride, float out[3]) {
  float x[8] = {}, y[8] = {}, z[8] = {};
  for (int k = 0; k < stride; k += 8) {
    for (int lane = 0; lane < 8; ++lane) {
      const int at = k + lane;
      const float w = b[at];
      x[lane] += w * (mi[at] + alpha * (mj[at] - mi[at]));
      y[lane] += w * (mi[stride + at] + alpha * (mj[stride + at] - mi[stride + at]));
      z[lane] += w * (mi[2 * stride + at] + alpha * (mj[2 * stride + at] - mi[2 * stride + at]));
    }
  }
  for (int lane = 4; lane < 8; ++lane) {
    x[lane - 4] += x[lane];
    y[lane - 4] += y[lane];
    z[lane - 4] += z[lane];
  }
  out[0] = (x[0] + x[2]) + (x[1] + x[3]);
  out[1] = (y[0] + y[2]) + (y[1] + y[3]);
  out[2] = (z[0] + z[2]) + (z[1] + z[3]);
}

Eigen::Vector3d point_in_bone(const ShapeModel& model,
                              const float* b,
                              const SilhouettePoint& point) {
  const int stride = model.stride();
  const float* modes = model.modes.data();
  float moved[3];
  move_between(modes + static_cast<std::ptrdiff_t>(3) * point.i * stride,
               modes + static_cast<std::ptrdiff_t>(3) * point.j * stride,
               b,
               point.alpha,
               stride,
               moved);
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
  rank_update(block.rows.data(),
              weights,
              block.last - block.first,
              width_,
              block.weighted.data(),
              block.sums.data());
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
  pad_coefficients(state);
  const int num_blocks = lay_out_blocks();
  pool_.run(num_blocks,
            [&](int k) { linearize_block(state, blocks_[static_cast<std::size_t>(k)]); });
  for (int k = 0; k < num_blocks;) {
    const int view = blocks_[static_cast<std::size_t>(k)].view;
    std::fill(totals_.begin(), totals_.end(), 0.0);
    for (; k < num_blocks && blocks_[static_cast<std::size_t>(k)].view == view; ++k) {
      const Block& block = blocks_[static_cast<std::size_t>(k)];
      add_to(block.sums.data(), static_cast<int>(totals_.size()), totals_.data());
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
