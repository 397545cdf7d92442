// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "osteoform/fit/initial_pose.hpp"
#include "osteoform/fit/options.hpp"
#include "osteoform/image/edge_image.hpp"
#include "osteoform/image/foreign_rims.hpp"
#include "osteoform/silhouette/silhouette.hpp"

namespace osteoform {

/// Silhouette points of one view and the boundary points found from them; NaN where none was.
struct alignas(kCacheLine) BoundaryReport {
  std::vector<SilhouettePoint> silhouette;
  std::vector<float> found_px;  ///< 2 per point
  double rms_mm = 0.0;          ///< over points with an edge within 5 mm; NaN without any
};

struct StageTimes {
  double match_ms = 0.0;
  double prepare_ms = 0.0;
  double search_ms = 0.0;
  double solve_ms = 0.0;
  double summary_ms = 0.0;
};

/// One fitted bone, also when the fit is no good: `status` says.
struct BoneFit {
  FitStatus status = FitStatus::kNotFound;
  Rigid3<double> world_from_bone;
  Eigen::VectorXd b;
  std::vector<Correction<double>> corrections;
  Points vertices;               ///< N x 3, world [mm]
  Eigen::VectorXf vertex_sd_mm;  ///< N, along the normal; empty unless asked for
  std::vector<int> readings;     ///< which reading of each view was taken; empty without features
  std::vector<BoundaryReport> boundaries;  ///< one per view
  double boundary_rms_mm = 0.0;  ///< over silhouette points in the image with an edge within 5 mm
  double boundary_found = 0.0;   ///< their share
  double match_quality = 0.0;
  double num_matched = 0.0;
  double start_sd_mm = 0.0;  ///< of the start by its features, see StartPosterior; 0: it was given
  double cost = 0.0;
  int iterations = 0;
  StageTimes times;
};

/// Where features put a bone, or a start that was given with the features that go with it.
struct Alignments {
  std::vector<Alignment> answers;  ///< different ones, best first; at least one
  bool from_start = false;         ///< the fit keeps to a start that was given
};

/// The first half of `fit_bone`: matches and aligns.
Alignments align_bone(const ShapeModel& model,
                      const std::vector<View>& views,
                      const std::vector<Readings>& readings,
                      const std::optional<Rigid3<double>>& start,
                      const FitOptions& options);

/// The second half of `fit_bone`: searches and solves from coarse to fine.
BoneFit fit_aligned(const ShapeModel& model,
                    const std::vector<View>& views,
                    const std::vector<XrayImage>& images,
                    const Alignments& aligned,
                    const std::vector<std::vector<ForeignRim>>& foreign,
                    const FitOptions& options);

/// Fits one bone to its X-rays: match, align, then search and solve from coarse to fine.
/// @param images    one per view
/// @param readings  one per view, each with at least one (perhaps empty) reading
/// @param foreign   rims of other bones, whose edges are not this one's: one list per view, or none
/// @param start     pose to start from; without it the features decide
BoneFit fit_bone(const ShapeModel& model,
                 const std::vector<View>& views,
                 const std::vector<XrayImage>& images,
                 const std::vector<Readings>& readings,
                 const std::vector<std::vector<ForeignRim>>& foreign,
                 const std::optional<Rigid3<double>>& start,
                 const FitOptions& options);

}  // namespace osteoform
