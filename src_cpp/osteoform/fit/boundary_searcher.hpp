// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "osteoform/base/parallel.hpp"
#include "osteoform/fit/fit_bone.hpp"
#include "osteoform/fit/fit_state.hpp"
#include "osteoform/fit/options.hpp"
#include "osteoform/fit/scales.hpp"
#include "osteoform/fit/search.hpp"
#include "osteoform/fit/terms/boundary_term.hpp"
#include "osteoform/silhouette/coverage.hpp"
#include "osteoform/silhouette/silhouette.hpp"
#include "osteoform/ssm/shape_model.hpp"
#include "osteoform/xray/view.hpp"

namespace osteoform {

/// Finds, in all views, the X-ray boundary that a bone's silhouette should lie on.
///
/// Vertices and normals are in the bone frame. Work is shared per view and per block of points; no
/// result depends on which thread did it.
class BoundarySearcher {
 public:
  BoundarySearcher(const ShapeModel& model,
                   const std::vector<View>& views,
                   const FitOptions& options,
                   ThreadPool& pool);

  /// Smooths what the bone at `state` can reach of each image.
  /// @param foreign  rims of other bones: one list per view, or none at all
  /// @param beside   other work for the threads meanwhile
  void prepare(const std::vector<XrayImage>& images,
               const std::vector<std::vector<ForeignRim>>& foreign,
               const FitState<double>& state,
               const Points& vertices,
               std::span<const Work> beside = {});

  /// Forgets how strong the last edges were.
  void start_over();

  /// @param boundaries  [out] one per view
  void search(const FitState<double>& state,
              const Points& vertices,
              const Points& normals,
              double half_width_mm,
              std::vector<ViewBoundary>& boundaries);

  /// Fills the boundary report: every rim in the image, whatever the fit made of it.
  void report(const FitState<double>& state,
              const Points& vertices,
              const Points& normals,
              BoneFit& result);

 private:
  /// One view's buffers, kept between calls.
  struct alignas(kCacheLine) ViewSearch {
    ViewScales scales;
    std::vector<SilhouettePoint> silhouette;
    std::vector<BoundaryPoint> edges;
    std::vector<float> offsets_mm;
    SilhouetteWorkspace workspace;
    Coverage coverage;
    float cap = 0.0F;
    int num_inside = 0;

    bool in_image() const { return scales.fine.image.patch.width > 0; }
  };

  /// Some points of one view.
  struct Block {
    std::size_t view;
    int first;
    int last;
  };

  View bone_view(const FitState<double>& state, std::size_t v) const;
  void extract_rims(const View& view,
                    const Points& vertices,
                    const Points& normals,
                    int max_points,
                    ViewSearch& search,
                    std::vector<SilhouettePoint>& points) const;
  void lay_out_blocks();

  const ShapeModel& model_;
  const std::vector<View>& views_;
  const FitOptions& options_;
  ThreadPool& pool_;
  std::vector<ViewSearch> searches_;  ///< one per view
  std::vector<SearchKernel> kernels_;
  std::vector<Block> blocks_;
};

}  // namespace osteoform
