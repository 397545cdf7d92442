// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/boundary_searcher.hpp"

#include <algorithm>
#include <cmath>

namespace osteoform {
namespace {

constexpr int kAllPoints = 1 << 20;
constexpr double kCell_mm = 0.5;  // of the coverage grid, at the bone
const std::vector<ForeignRim> kNoRims;

/// Root of the mean of so many squares; NaN of none.
double root_mean(double sum_squares, int num) {
  return num > 0 ? std::sqrt(sum_squares / num) : std::nan("");
}

}  // namespace

BoundarySearcher::BoundarySearcher(const ShapeModel& model,
                                   const std::vector<View>& views,
                                   const FitOptions& options,
                                   ThreadPool& pool)
    : model_(model), views_(views), options_(options), pool_(pool), searches_(views.size()) {}

View BoundarySearcher::bone_view(const FitState<double>& state, std::size_t v) const {
  return view_of_bone(views_[v], state.world_from_bone_for(static_cast<int>(v)));
}

void BoundarySearcher::prepare(const std::vector<XrayImage>& images,
                               const std::vector<std::vector<ForeignRim>>& foreign,
                               const FitState<double>& state,
                               const Points& vertices,
                               std::span<const Work> beside) {
  pool_.run(beside, static_cast<int>(views_.size()), [&](int k) {
    const auto v = static_cast<std::size_t>(k);
    const std::vector<ForeignRim>& rims = foreign.empty() ? kNoRims : foreign[v];
    searches_[v].scales = prepare_scales(images[v], bone_view(state, v), vertices, rims, options_);
  });
}

void BoundarySearcher::start_over() {
  for (ViewSearch& search : searches_) search.cap = 0.0F;
}

void BoundarySearcher::extract_rims(const View& view,
                                    const Points& vertices,
                                    const Points& normals,
                                    int max_points,
                                    ViewSearch& search,
                                    std::vector<SilhouettePoint>& points) const {
  if (options_.rims == Rims::kAll) {
    extract_silhouette(view, vertices, normals, model_.edges, max_points, search.workspace, points);
    return;
  }
  // Select after the test, not before: most rims of an opaque body may be inner ones.
  extract_silhouette(view, vertices, normals, model_.edges, kAllPoints, search.workspace, points);
  cover(view, vertices, model_.faces, kCell_mm * search.scales.px_per_mm, search.coverage);
  keep_outer_rims(search.coverage, points);
  thin_out(max_points, points);
}

void BoundarySearcher::lay_out_blocks() {
  blocks_.clear();
  for (std::size_t v = 0; v < searches_.size(); ++v) {
    const int num_points = static_cast<int>(searches_[v].silhouette.size());
    for (int first = 0; first < num_points; first += kBlockSize) {
      blocks_.push_back({v, first, std::min(first + kBlockSize, num_points)});
    }
  }
}

void BoundarySearcher::search(const FitState<double>& state,
                              const Points& vertices,
                              const Points& normals,
                              double half_width_mm,
                              std::vector<ViewBoundary>& boundaries) {
  pool_.run(static_cast<int>(views_.size()), [&](int k) {
    const auto v = static_cast<std::size_t>(k);
    ViewSearch& search = searches_[v];
    search.silhouette.clear();
    if (search.in_image()) {
      extract_rims(bone_view(state, v),
                   vertices,
                   normals,
                   options_.points_per_view,
                   search,
                   search.silhouette);
    }
    search.edges.resize(search.silhouette.size());
  });
  kernels_.clear();
  for (const ViewSearch& search : searches_) {
    kernels_.push_back(
        search_kernel(search.scales.scale_for(half_width_mm), half_width_mm, search.cap));
  }
  lay_out_blocks();
  pool_.run(static_cast<int>(blocks_.size()), [&](int k) {
    const Block& block = blocks_[static_cast<std::size_t>(k)];
    ViewSearch& search = searches_[block.view];
    search_points(search.scales.scale_for(half_width_mm),
                  search.silhouette,
                  block.first,
                  block.last,
                  kernels_[block.view],
                  search.edges);
  });
  pool_.run(static_cast<int>(views_.size()), [&](int k) {
    const auto v = static_cast<std::size_t>(k);
    ViewSearch& search = searches_[v];
    observe(search.scales,
            search.silhouette,
            search.edges,
            half_width_mm,
            options_,
            search.cap,
            boundaries[v]);
  });
}

void BoundarySearcher::report(const FitState<double>& state,
                              const Points& vertices,
                              const Points& normals,
                              BoneFit& result) {
  pool_.run(static_cast<int>(views_.size()), [&](int k) {
    const auto v = static_cast<std::size_t>(k);
    ViewSearch& search = searches_[v];
    BoundaryReport& boundary = result.boundaries[v];
    search.num_inside = 0;
    search.offsets_mm.clear();
    if (!search.in_image()) return;
    extract_rims(bone_view(state, v), vertices, normals, kAllPoints, search, boundary.silhouette);
    report_view(search.scales,
                boundary.silhouette,
                options_,
                search.offsets_mm,
                boundary.found_px,
                search.num_inside);
  });
  double sum_squares = 0.0;
  int num_found = 0;
  int num_inside = 0;
  for (std::size_t v = 0; v < searches_.size(); ++v) {
    num_inside += searches_[v].num_inside;
    double sum_of_view = 0.0;
    int found_in_view = 0;
    for (const float offset : searches_[v].offsets_mm) {
      if (std::isnan(offset)) continue;
      sum_of_view += static_cast<double>(offset) * offset;
      ++found_in_view;
    }
    result.boundaries[v].rms_mm = root_mean(sum_of_view, found_in_view);
    sum_squares += sum_of_view;
    num_found += found_in_view;
  }
  result.boundary_rms_mm = root_mean(sum_squares, num_found);
  result.boundary_found = num_inside > 0 ? static_cast<double>(num_found) / num_inside : 0.0;
}

}  // namespace osteoform
