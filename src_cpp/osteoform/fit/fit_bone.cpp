// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/fit_bone.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>

#include "osteoform/base/error.hpp"
#include "osteoform/base/stopwatch.hpp"
#include "osteoform/fit/boundary_searcher.hpp"
#include "osteoform/fit/levenberg_marquardt.hpp"
#include "osteoform/fit/rival_starts.hpp"
#include "osteoform/fit/terms/prior_term.hpp"
#include "osteoform/fit/vertex_sd.hpp"
#include "osteoform/ssm/instance_memo.hpp"

namespace osteoform {
namespace {

constexpr int kFeatureSteps = 5;         // all modes, features alone, before the first search
constexpr int kFinalSearches = 5;        // at the narrowest window
constexpr double kLossOverWindow = 0.7;  // robust scale as a share of the search window
constexpr double kRefineFrom_mm = 4.0;   // the first search after rivals were settled
constexpr double kLossScale = 3.0;       // of the narrowest search, in units of boundary_sigma_mm
constexpr double kMinMatched = 4.0;      // pairings below which a start is not believed
constexpr double kMinQuality = 0.3;

/// Features and priors: what pulls the bone before the first search.
struct FeatureProblem {
  FeatureTerm& features;
  const PriorTerm& prior;

  void accumulate(const FitState<double>& state, NormalEquations& sums) {
    features.accumulate(state, sums);
    prior.accumulate(state, sums);
  }
  double cost(const FitState<double>& state) { return features.cost(state) + prior.cost(state); }
};

/// Everything that pulls the bone: features, boundary, priors.
struct BoneProblem {
  InstanceMemo& instances;
  FeatureTerm features;
  BoundaryTerm boundary;
  PriorTerm prior;

  void accumulate(const FitState<double>& state, NormalEquations& sums) {
    const Work beside[] = {[&] { features.linearize(state); }};
    boundary.accumulate(state, sums, beside);
    features.add_to(sums);
    prior.accumulate(state, sums);
  }
  double cost(const FitState<double>& state) {
    double of_features = 0.0;
    const Work beside[] = {
        [&] { instances.normals(state.b); },  // the next search asks for them
        [&] { of_features = features.cost(state); },
    };
    const double of_boundary = boundary.cost(state, beside);
    return of_features + of_boundary + prior.cost(state);
  }
};

class BoneFitter {
 public:
  BoneFitter(const ShapeModel& model,
             const std::vector<View>& views,
             const std::vector<std::vector<ForeignRim>>& foreign,
             const FitOptions& options)
      : model_(model),
        views_(views),
        foreign_(foreign),
        options_(options),
        pool_(options.num_threads),
        instances_(model, pool_),
        problem_{instances_,
                 {model, views},
                 {model, views, options.points_per_view, instances_, pool_},
                 {}},
        searcher_(model, views, options, pool_) {
    problem_.boundary.sigma_mm = options.boundary_sigma_mm;
    solver_.max_b = options.max_b;
    set_priors();
  }

  BoneFit fit(const std::vector<XrayImage>& images, const Alignments& aligned) {
    BoneFit result;
    result.boundaries.resize(views_.size());
    take(aligned.answers.front(), result);
    if (!aligned.from_start && !trustworthy(result)) {
      result.status = FitStatus::kNotFound;
      finish(result);
      return result;
    }
    const Work beside[] = {[&] { fit_features(); }};
    prepare(images, result, beside);
    if (!aligned.from_start && settle_rivals(images, aligned.answers, result)) {
      fit_boundary(kRefineFrom_mm, options_.iterations, result);
    } else {
      fit_boundary(options_.search_start_mm, options_.iterations, result);
    }
    if (options_.covariance) {
      Eigen::MatrixXd information = solver_.sums.H;
      // The depth of a start that features told is held, not known.
      if (!aligned.from_start) {
        problem_.prior.weigh_depth(-problem_.prior.depth_weight, information);
      }
      result.vertex_sd_mm = vertex_sd_mm(model_, state_, vertices(), normals(), information, pool_);
    }
    searcher_.report(state_, vertices(), normals(), result);
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
    searcher_.start_over();
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
    FeatureProblem problem{problem_.features, problem_.prior};
    solver_.damping = 1e-6;
    for (int k = 0; k < kFeatureSteps; ++k) {
      if (!take_step(problem, solver_, state_, trial_)) break;
    }
  }

  /// @param beside  other work meanwhile, which may move the state
  void prepare(const std::vector<XrayImage>& images,
               BoneFit& result,
               std::span<const Work> beside = {}) {
    const FitState<double> state = state_;
    searcher_.prepare(images, foreign_, state, instances_.vertices(state.b), beside);
    result.times.prepare_ms += watch_.lap_ms();
  }

  /// In the bone frame.
  const Points& vertices() { return instances_.vertices(state_.b); }
  const Points& normals() { return instances_.normals(state_.b); }

  /// Where features leave the start open, tries what they allow and keeps what the image supports
  /// best. Returns false, and leaves the state alone, where there is nothing to try.
  bool settle_rivals(const std::vector<XrayImage>& images,
                     const std::vector<Alignment>& answers,
                     BoneFit& result) {
    const FitState<double> first = with_first_modes(answers.front().state);
    const StartPosterior posterior = start_posterior(model_,
                                                     problem_.features,
                                                     problem_.prior,
                                                     visible_parts(model_, views_, images, first),
                                                     first);
    result.start_sd_mm = posterior.sd_mm();
    std::vector<FitState<double>> starts = rival_starts(posterior, first);
    if (answers.size() == 1 && starts.empty()) return false;
    starts.insert(starts.begin(), first);

    FitState<double> best;
    std::size_t best_alignment = 0;
    double best_support = -std::numeric_limits<double>::infinity();
    for (std::size_t k = 0; k < answers.size(); ++k) {
      take(answers[k], result);
      if (k > 0) {  // other answers are tried as they are
        if (!trustworthy(result)) continue;
        starts = {with_first_modes(answers[k].state)};
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
    take(answers[best_alignment], result);
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
        support += edge_worth * o.salience * std::exp(-0.5 * r * r);
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

  void search(double half_width_mm) {
    searcher_.search(state_, vertices(), normals(), half_width_mm, problem_.boundary.boundaries);
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

  void finish(BoneFit& result) {
    result.world_from_bone = state_.world_from_bone;
    result.b = state_.b;
    result.corrections = state_.corrections;
    const Eigen::Matrix3f R = state_.world_from_bone.rotation.cast<float>();
    const Eigen::RowVector3f t = state_.world_from_bone.translation.cast<float>().transpose();
    result.vertices = (vertices() * R.transpose()).rowwise() + t;
  }

  const ShapeModel& model_;
  const std::vector<View>& views_;
  const std::vector<std::vector<ForeignRim>>& foreign_;
  const FitOptions& options_;
  ThreadPool pool_;
  InstanceMemo instances_;
  BoneProblem problem_;
  BoundarySearcher searcher_;
  LevenbergMarquardt solver_;
  FitState<double> state_, trial_;
  Stopwatch watch_;
};

}  // namespace

Alignments align_bone(const ShapeModel& model,
                      const std::vector<View>& views,
                      const std::vector<Readings>& readings,
                      const std::optional<Rigid3<double>>& start,
                      const FitOptions& options) {
  options.check();
  require(!views.empty(), "views must hold at least one view, found none");
  require(readings.size() == views.size(), "readings must hold one entry per view");
  ThreadPool pool(options.num_threads);
  if (start) return {{match_from_start(model, views, readings, options, *start, pool)}, true};
  return {align_from_features(model, views, readings, options, pool), false};
}

BoneFit fit_aligned(const ShapeModel& model,
                    const std::vector<View>& views,
                    const std::vector<XrayImage>& images,
                    const Alignments& aligned,
                    const std::vector<std::vector<ForeignRim>>& foreign,
                    const FitOptions& options) {
  options.check();
  require(!views.empty(), "views must hold at least one view, found none");
  require(images.size() == views.size(), "images must hold one entry per view");
  require(!aligned.answers.empty() && aligned.answers.front().readings.size() == views.size(),
          "the alignment must be one to these views");
  require(foreign.empty() || foreign.size() == views.size(),
          "foreign rims must hold one entry per view, or none");
  return BoneFitter(model, views, foreign, options).fit(images, aligned);
}

BoneFit fit_bone(const ShapeModel& model,
                 const std::vector<View>& views,
                 const std::vector<XrayImage>& images,
                 const std::vector<Readings>& readings,
                 const std::vector<std::vector<ForeignRim>>& foreign,
                 const std::optional<Rigid3<double>>& start,
                 const FitOptions& options) {
  Stopwatch watch;
  const Alignments aligned = align_bone(model, views, readings, start, options);
  const double match_ms = watch.lap_ms();
  BoneFit result = fit_aligned(model, views, images, aligned, foreign, options);
  result.times.match_ms = match_ms;
  return result;
}

}  // namespace osteoform
