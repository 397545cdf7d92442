// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/fit_bone.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "osteoform/base/error.hpp"
#include "osteoform/base/stopwatch.hpp"
#include "osteoform/fit/levenberg_marquardt.hpp"
#include "osteoform/fit/rival_starts.hpp"
#include "osteoform/fit/search.hpp"
#include "osteoform/fit/terms/prior_term.hpp"
#include "osteoform/fit/vertex_sd.hpp"
#include "osteoform/silhouette/coverage.hpp"

namespace osteoform {
namespace {

constexpr int kFeatureSteps = 5;         // all modes, features alone, before the first search
constexpr int kFinalSearches = 5;        // at the narrowest window
constexpr int kRowsPerBlock = 1536;      // of the 3N coordinates
constexpr double kLossOverWindow = 0.7;  // robust scale as a share of the search window
constexpr double kRefineFrom_mm = 4.0;   // the first search after rivals were settled
constexpr double kLossScale = 3.0;       // of the narrowest search, in units of boundary_sigma_mm
constexpr double kMinMatched = 4.0;      // pairings below which a start is not believed
constexpr double kMinQuality = 0.3;
constexpr int kAllPoints = 1 << 20;
constexpr double kCell_mm = 0.5;  // of the coverage grid, at the bone

/// Everything that pulls the bone: features, boundary, priors.
struct BoneProblem {
  FeatureTerm features;
  BoundaryTerm boundary;
  PriorTerm prior;

  void accumulate(const FitState<double>& state, NormalEquations& sums) {
    features.accumulate(state, sums);
    boundary.accumulate(state, sums);
    prior.accumulate(state, sums);
  }
  double cost(const FitState<double>& state) {
    return features.cost(state) + boundary.cost(state) + prior.cost(state);
  }
};

class BoneFitter {
 public:
  BoneFitter(const ShapeModel& model, const std::vector<View>& views, const FitOptions& options)
      : model_(model),
        views_(views),
        options_(options),
        pool_(options.num_threads),
        problem_{{model, views}, {model, views, options.points_per_view, pool_}, {}},
        vertices_(model.mean),
        silhouettes_(views.size()),
        caps_(views.size(), 0.0F),
        padded_b_(static_cast<std::size_t>(model.stride())) {
    problem_.boundary.sigma_mm = options.boundary_sigma_mm;
    solver_.max_b = options.max_b;
    set_priors();
  }

  BoneFit fit(const std::vector<XrayImage>& images,
              const std::vector<Readings>& readings,
              const std::optional<Rigid3<double>>& start) {
    BoneFit result;
    result.boundaries.resize(views_.size());
    align(readings, start, result);
    if (!start && !trustworthy(result)) {
      result.status = FitStatus::kNotFound;
      finish(result);
      return result;
    }
    fit_features();
    prepare(images, result);
    if (!start && settle_rivals(images, result)) {
      fit_boundary(kRefineFrom_mm, options_.iterations, result);
    } else {
      fit_boundary(options_.search_start_mm, options_.iterations, result);
    }
    if (options_.covariance) {
      result.vertex_sd_mm =
          vertex_sd_mm(model_, state_, vertices_, normals_, solver_.sums.H, pool_);
    }
    report(result);
    finish(result);
    result.times.summary_ms = watch_.lap_ms();
    return result;
  }

 private:
  /// Further views may be off by a small motion; one view gets a prior on its depth instead.
  void set_priors() {
    PriorTerm& prior = problem_.prior;
    prior.shape_weight = options_.shape_prior;
    if (corrects_calibration()) {
      const double sd_rad = options_.calibration_sd_deg * std::numbers::pi / 180.0;
      prior.correction_weight_rad = 1.0 / (sd_rad * sd_rad);
      prior.correction_weight_mm = 1.0 / (options_.calibration_sd_mm * options_.calibration_sd_mm);
    }
    if (views_.size() == 1 && options_.depth_sd_mm > 0.0) {
      prior.depth_weight = 1.0 / (options_.depth_sd_mm * options_.depth_sd_mm);
      prior.depth_axis = view_from_world(views_[0]).rotation.row(2).transpose();
    }
  }

  bool corrects_calibration() const {
    return options_.calibration_sd_mm > 0.0 && options_.calibration_sd_deg > 0.0;
  }

  /// Starts from a state of the first modes at least, with the calibration as it was given.
  void open_at(const FitState<double>& start) {
    state_.world_from_bone = start.world_from_bone;
    state_.b = Eigen::VectorXd::Zero(model_.num_modes);
    state_.b.head(start.b.size()) = start.b;
    state_.corrections.assign(corrects_calibration() ? views_.size() - 1 : 0, {});
    std::fill(caps_.begin(), caps_.end(), 0.0F);
    update_shape();
  }

  void align(const std::vector<Readings>& readings,
             const std::optional<Rigid3<double>>& start,
             BoneFit& result) {
    if (start) {
      alignments_ = {match_from_start(model_, views_, readings, options_, *start)};
    } else {
      alignments_ = align_from_features(model_, views_, readings, options_);
    }
    take(alignments_.front(), result);
    result.times.match_ms = watch_.lap_ms();
  }

  /// Makes an alignment the state, its pairings the feature term and its depth the prior's.
  void take(const Alignment& alignment, BoneFit& result) {
    result.readings = alignment.readings;
    result.match_quality = alignment.quality;
    result.num_matched = alignment.num_matched;
    open_at(alignment.state);
    problem_.prior.start = state_.world_from_bone.translation;
    problem_.features.points = alignment.points;
    problem_.features.ellipses = alignment.ellipses;
  }

  static bool trustworthy(const BoneFit& result) {
    return result.num_matched >= kMinMatched && result.match_quality >= kMinQuality;
  }

  void fit_features() {
    if (problem_.features.points.empty() && problem_.features.ellipses.empty()) return;
    solver_.damping = 1e-6;
    for (int k = 0; k < kFeatureSteps; ++k) {
      if (!take_step(problem_, solver_, state_, trial_)) break;
    }
  }

  void prepare(const std::vector<XrayImage>& images, BoneFit& result) {
    update_shape();
    scales_.resize(views_.size());
    pool_.run(static_cast<int>(views_.size()), [&](int k) {
      const auto v = static_cast<std::size_t>(k);
      scales_[v] = prepare_scales(images[v], bone_view(v), vertices_, options_);
    });
    result.times.prepare_ms += watch_.lap_ms();
  }

  View bone_view(std::size_t v) const {
    return view_of_bone(views_[v], state_.world_from_bone_for(static_cast<int>(v)));
  }

  /// Vertices and normals in the bone frame.
  void update_shape() {
    pad_coefficients(state_.b, padded_b_);
    const int num_rows = 3 * model_.num_points();
    pool_.run((num_rows + kRowsPerBlock - 1) / kRowsPerBlock, [&](int block) {
      instance_rows(model_,
                    padded_b_.data(),
                    block * kRowsPerBlock,
                    std::min((block + 1) * kRowsPerBlock, num_rows),
                    vertices_);
    });
    vertex_normals(vertices_, model_.faces, normals_);
  }

  /// Where features leave the start open, tries what they allow and keeps what the image supports
  /// best. Returns false, and leaves the state alone, where there is nothing to try.
  bool settle_rivals(const std::vector<XrayImage>& images, BoneFit& result) {
    const FitState<double> first = with_first_modes(alignments_.front().state);
    std::vector<FitState<double>> starts =
        rival_starts(model_,
                     problem_.features,
                     problem_.prior,
                     points_in_images(model_, views_, images, first),
                     first);
    if (alignments_.size() == 1 && starts.empty()) return false;
    starts.insert(starts.begin(), first);

    FitState<double> best;
    std::size_t best_alignment = 0;
    double best_support = -std::numeric_limits<double>::infinity();
    for (std::size_t k = 0; k < alignments_.size(); ++k) {
      take(alignments_[k], result);
      if (k > 0) {  // other answers are tried as they are
        if (!trustworthy(result)) continue;
        starts = {with_first_modes(alignments_[k].state)};
        prepare(images, result);
      }
      for (const FitState<double>& start : starts) {
        open_at(start);
        fit_boundary(options_.search_start_mm, options_.iterations / 2, result);
        const double support = image_support(result);
        if (support <= best_support) continue;
        best_support = support;
        best_alignment = k;
        best = state_;
      }
    }
    take(alignments_[best_alignment], result);
    state_ = std::move(best);
    prepare(images, result);
    return true;
  }

  static FitState<double> with_first_modes(const FitState<double>& state) {
    FitState<double> first = state;
    first.b = state.b.head(std::min<Eigen::Index>(kAlignmentModes, state.b.size()));
    return first;
  }

  /// How well the images agree with the state, as a log-likelihood: a rim with an edge on it counts
  /// for what the robust loss would charge for one without, a pairing for the slack it saves;
  /// what features and priors cost counts against.
  double image_support(const BoneFit& result) {
    search(options_.search_end_mm);
    const double edge_worth = 0.5 * kLossScale * kLossScale;
    double support = options_.slack_cost * result.num_matched -
                     0.5 * (problem_.features.cost(state_) + problem_.prior.cost(state_));
    for (const ViewBoundary& boundary : problem_.boundary.boundaries) {
      for (const BoundaryObservation& o : boundary.observations) {
        const double du = o.found_px[0] - o.point.px[0];
        const double dv = o.found_px[1] - o.point.px[1];
        const double r = std::hypot(du, dv) / (boundary.px_per_mm * options_.boundary_sigma_mm);
        support += edge_worth * boundary.view_weight * o.salience * std::exp(-0.5 * r * r);
      }
    }
    return support;
  }

  double window_mm(double start_mm, int num_iterations, int iteration) const {
    const int narrowing =
        std::max(1, num_iterations - std::min(kFinalSearches, num_iterations / 4));
    const double share = std::min(1.0, static_cast<double>(iteration) / narrowing);
    return start_mm * std::pow(options_.search_end_mm / start_mm, share);
  }

  void extract_rims(std::size_t v, int max_points, std::vector<SilhouettePoint>& points) {
    const View view = bone_view(v);
    if (options_.rims == Rims::kAll) {
      extract_silhouette(
          view, vertices_, normals_, model_.edges, max_points, silhouette_workspace_, points);
      return;
    }
    // Select after the test, not before: most rims of an opaque body may be inner ones.
    extract_silhouette(
        view, vertices_, normals_, model_.edges, kAllPoints, silhouette_workspace_, points);
    cover(view, vertices_, model_.faces, kCell_mm * scales_[v].px_per_mm, coverage_);
    keep_outer_rims(coverage_, points);
    thin_out(max_points, points);
  }

  void search(double half_width_mm) {
    for (std::size_t v = 0; v < views_.size(); ++v) {
      if (scales_[v].fine.patch.width == 0) {
        problem_.boundary.boundaries[v].observations.clear();
        continue;
      }
      extract_rims(v, options_.points_per_view, silhouettes_[v]);
      search_view(scales_[v],
                  silhouettes_[v],
                  half_width_mm,
                  options_,
                  pool_,
                  edges_,
                  caps_[v],
                  problem_.boundary.boundaries[v]);
    }
    problem_.boundary.loss_scale =
        std::max(kLossScale, kLossOverWindow * half_width_mm / options_.boundary_sigma_mm);
  }

  /// Search is discrete, a step is smooth: the step is judged on the search result it was made for.
  void fit_boundary(double start_mm, int num_iterations, BoneFit& result) {
    result.status = FitStatus::kIterationLimit;
    solver_.damping = 1e-6;
    for (int iteration = 0; iteration < num_iterations; ++iteration) {
      const double half_width_mm = window_mm(start_mm, num_iterations, iteration);
      search(half_width_mm);
      result.times.search_ms += watch_.lap_ms();
      const bool fell = take_step(problem_, solver_, state_, trial_);
      update_shape();
      result.times.solve_ms += watch_.lap_ms();
      result.iterations = iteration + 1;
      const bool narrow = half_width_mm <= 1.001 * options_.search_end_mm;
      if (!narrow) continue;
      if (!fell) {
        result.status = FitStatus::kStalled;
        break;
      }
      if (solver_.dx.segment<3>(3).norm() < options_.step_tolerance_mm) {
        result.status = FitStatus::kConverged;
        break;
      }
    }
    if (result.iterations == 0) {  // nothing was solved: the covariance still needs the sums
      solver_.sums.reset(state_.num_params());
      problem_.accumulate(state_, solver_.sums);
    }
    result.cost = solver_.cost;
  }

  void report(BoneFit& result) {
    double sum_squares = 0.0;
    int num_found = 0;
    int num_inside = 0;
    std::vector<float> offsets_mm;
    for (std::size_t v = 0; v < views_.size(); ++v) {
      if (scales_[v].fine.patch.width == 0) continue;
      BoundaryReport& boundary = result.boundaries[v];
      extract_rims(v, kAllPoints, boundary.silhouette);
      int inside = 0;
      report_view(scales_[v], boundary.silhouette, options_, offsets_mm, boundary.found_px, inside);
      num_inside += inside;
      for (const float offset : offsets_mm) {
        if (std::isnan(offset)) continue;
        sum_squares += static_cast<double>(offset) * offset;
        ++num_found;
      }
    }
    result.boundary_rms_mm = num_found > 0 ? std::sqrt(sum_squares / num_found) : std::nan("");
    result.boundary_found = num_inside > 0 ? static_cast<double>(num_found) / num_inside : 0.0;
  }

  void finish(BoneFit& result) {
    result.world_from_bone = state_.world_from_bone;
    result.b = state_.b;
    result.corrections = state_.corrections;
    const Eigen::Matrix3f R = state_.world_from_bone.rotation.cast<float>();
    const Eigen::RowVector3f t = state_.world_from_bone.translation.cast<float>().transpose();
    result.vertices = (vertices_ * R.transpose()).rowwise() + t;
  }

  const ShapeModel& model_;
  const std::vector<View>& views_;
  const FitOptions& options_;
  ThreadPool pool_;
  BoneProblem problem_;
  LevenbergMarquardt solver_;
  FitState<double> state_, trial_;
  Points vertices_, normals_;
  SilhouetteWorkspace silhouette_workspace_;
  Coverage coverage_;
  std::vector<std::vector<SilhouettePoint>> silhouettes_;
  std::vector<BoundaryPoint> edges_;
  std::vector<ViewScales> scales_;
  std::vector<float> caps_;
  std::vector<float> padded_b_;
  std::vector<Alignment> alignments_;  // different answers, best first
  Stopwatch watch_;
};

}  // namespace

BoneFit fit_bone(const ShapeModel& model,
                 const std::vector<View>& views,
                 const std::vector<XrayImage>& images,
                 const std::vector<Readings>& readings,
                 const std::optional<Rigid3<double>>& start,
                 const FitOptions& options) {
  options.check();
  require(!views.empty(), "views must hold at least one view, found none");
  require(images.size() == views.size() && readings.size() == views.size(),
          "images and readings must hold one entry per view");
  return BoneFitter(model, views, options).fit(images, readings, start);
}

}  // namespace osteoform
