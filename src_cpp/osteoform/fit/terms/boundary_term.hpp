// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "osteoform/base/parallel.hpp"
#include "osteoform/fit/fit_state.hpp"
#include "osteoform/fit/normal_equations.hpp"
#include "osteoform/silhouette/silhouette.hpp"
#include "osteoform/ssm/instance_memo.hpp"
#include "osteoform/ssm/shape_model.hpp"
#include "osteoform/xray/view.hpp"

namespace osteoform {

/// Points are summed in blocks of this size and the blocks are added in order: any number of
/// threads rounds in the same way.
inline constexpr int kBlockSize = 64;

/// A silhouette point and the boundary point that was found from it.
struct BoundaryObservation {
  SilhouettePoint point;
  float found_px[2] = {0.0F, 0.0F};
  float weight = 0.0F;    ///< trust in the edge, 0 to 1; less where neighbours repeat it
  float salience = 0.0F;  ///< how far it stands out of the image, likewise
};

/// What one view's silhouette found, held fixed while the solver moves.
struct alignas(kCacheLine) ViewBoundary {
  std::vector<BoundaryObservation> observations;
  double px_per_mm = 1.0;      ///< at the bone: residuals are whitened in mm
  std::vector<float> scratch;  ///< of the search
};

/// Pulls the silhouette towards the X-ray boundary, in all views.
///
/// Rows are float and hold, in order: modes (padded), pose (6), correction of this view (6),
/// residual; a block's sums are float, their total is double.
class BoundaryTerm {
 public:
  BoundaryTerm(const ShapeModel& model,
               const std::vector<View>& views,
               int max_points,
               InstanceMemo& instances,
               ThreadPool& pool);

  std::vector<ViewBoundary> boundaries;  ///< one per view
  double sigma_mm = 1.0;
  double loss_scale = 3.0;  ///< Geman-McClure, in units of sigma_mm

  /// Adds the term at `state`.
  /// @param beside  other work for the threads meanwhile
  void accumulate(const FitState<double>& state,
                  NormalEquations& sums,
                  std::span<const Work> beside = {});
  double cost(const FitState<double>& state, std::span<const Work> beside = {});

 private:
  struct alignas(kCacheLine) Block {
    std::vector<float> rows;      ///< kBlockSize x width
    std::vector<float> weighted;  ///< the same times their weights
    std::vector<float> sums;      ///< width x width, upper triangle
    double cost = 0.0;
    int view = 0;
    int first = 0;
    int last = 0;
  };

  int lay_out_blocks();
  void linearize_block(const FitState<double>& state, const Points& vertices, Block& block);
  double cost_of_block(const FitState<double>& state,
                       const Points& vertices,
                       const Block& block) const;
  void total_up(int view, int num_blocks);
  void scatter(const FitState<double>& state, int view, NormalEquations& sums) const;

  const ShapeModel& model_;
  const std::vector<View>& views_;
  InstanceMemo& instances_;
  ThreadPool& pool_;
  int width_ = 0;
  std::vector<Block> blocks_;
  std::vector<std::vector<double>> totals_;  ///< each view's sums
};

}  // namespace osteoform
