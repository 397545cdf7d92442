// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/initial_pose.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "osteoform/fit/levenberg_marquardt.hpp"
#include "osteoform/fit/starts.hpp"
#include "osteoform/fit/terms/prior_term.hpp"

namespace osteoform {
namespace {

constexpr int kMaxCombinations = 16;
constexpr double kGoodQuality = 0.75;  // a triangulated start this good needs no rivals
constexpr std::array<double, 4> kQuickSpread_mm = {30.0, 15.0, 8.0, 4.0};
constexpr std::array<double, 7> kSpread_mm = {24.0, 15.0, 10.0, 6.5, 4.0, 2.5, 0.0};

/// Features and priors together: what alignment minimises.
struct AlignmentProblem {
  FeatureTerm features;
  PriorTerm prior;

  void accumulate(const FitState<double>& state, NormalEquations& sums) {
    features.accumulate(state, sums);
    prior.accumulate(state, sums);
    for (int k = 0; k < kPoseDim; ++k) sums.H(k, k) += 1e-9;  // no feature left: stay
  }
  double cost(const FitState<double>& state) const {
    return features.cost(state) + prior.cost(state);
  }
};

class Aligner {
 public:
  Aligner(const ShapeModel& model,
          const std::vector<View>& views,
          const FitOptions& options,
          ThreadPool& pool)
      : model_(model),
        views_(views),
        options_(options),
        pool_(pool),
        problem_{{model, views}, {}},
        matches_(views.size()) {
    problem_.prior.shape_weight = options.shape_prior;
    solver_.max_b = options.max_b;
    match_options_.slack_cost = options.slack_cost;
  }

  /// Alternates assignment and least squares while the assumed spread shrinks.
  template <std::size_t N>
  Alignment refine(const std::vector<const ViewFeatures*>& features,
                   FitState<double> state,
                   const std::array<double, N>& spread_mm) {
    Alignment result;
    FitState<double> trial;
    for (const double spread : spread_mm) {
      problem_.features.points.clear();
      problem_.features.ellipses.clear();
      result.quality = assign(features, state, spread, result.num_matched);
      solver_.damping = 1e-6;
      for (int step = 0; step < 3; ++step) {
        if (!take_step(problem_, solver_, state, trial)) break;
      }
    }
    problem_.features.points.clear();
    problem_.features.ellipses.clear();
    result.quality = assign(features, state, 0.0, result.num_matched);
    result.points = problem_.features.points;
    result.ellipses = problem_.features.ellipses;
    result.state = std::move(state);
    return result;
  }

 private:
  /// Doubly stochastic assignment in every view; fills the feature term. Returns the quality.
  double assign(const std::vector<const ViewFeatures*>& features,
                const FitState<double>& state,
                double spread_mm,
                double& num_matched) {
    pool_.run(static_cast<int>(views_.size()), [&](int v) {
      match_view(v, *features[static_cast<std::size_t>(v)], state, spread_mm);
    });
    double gain = 0.0;
    double num_detections = 0.0;
    num_matched = 0.0;
    for (std::size_t v = 0; v < views_.size(); ++v) {
      const ViewMatch& match = matches_[v];
      num_matched += match.match.sum();
      num_detections += static_cast<double>(match.cost.rows());
      gain += match.gain;
      add_observations(static_cast<int>(v), *features[v], match, spread_mm);
    }
    return num_detections > 0.0 ? std::max(0.0, gain / (num_detections * options_.slack_cost))
                                : 0.0;
  }

  /// One view's assignment.
  struct alignas(kCacheLine) ViewMatch {
    MatchMatrix cost, match;
    double gain = 0.0;       ///< what pairing saves over slack
    double px_per_mm = 1.0;  ///< at the bone
  };

  void match_view(int v,
                  const ViewFeatures& seen,
                  const FitState<double>& state,
                  double spread_mm) {
    const auto k = static_cast<std::size_t>(v);
    ViewMatch& match = matches_[k];
    match.px_per_mm = px_per_mm(views_[k], state.world_from_bone.translation);
    build_cost(v, seen, state, spread_mm, match);
    soft_match(match.cost, match_options_, match.match);
    match.gain = 0.0;
    for (Eigen::Index i = 0; i < match.cost.rows(); ++i) {
      const double free_energy =
          -std::log(std::exp(-options_.slack_cost) + (-match.cost.row(i).array()).exp().sum());
      match.gain += options_.slack_cost - free_energy;
    }
  }

  /// C_ij = d^2 / 2 sigma^2 - log p_i(j).
  void build_cost(int v,
                  const ViewFeatures& seen,
                  const FitState<double>& state,
                  double spread_mm,
                  ViewMatch& match) const {
    const int num_points = model_.features.num_points();
    match.cost.resize(seen.px.rows(), num_points);
    const View view =
        view_of_bone(views_[static_cast<std::size_t>(v)], state.world_from_bone_for(v));
    std::visit(
        [&](const auto& geometry) {
          for (int j = 0; j < num_points; ++j) {
            const Eigen::Vector3d x = feature_point(model_.features, j, state.b);
            const bool seen_by = geometry.sees(x);
            const Eigen::Vector2d px =
                seen_by ? Eigen::Vector2d(geometry.project(x)) : Eigen::Vector2d::Constant(1e6);
            for (Eigen::Index i = 0; i < seen.px.rows(); ++i) {
              const double sigma = observation_sigma(seen.sigma_px[i], spread_mm, match.px_per_mm);
              const double d2 = (seen.px.row(i).transpose() - px).squaredNorm() / (sigma * sigma);
              const double p = std::max(seen.class_probability(i, j), 1e-6);
              match.cost(i, j) = std::min(0.5 * d2 - std::log(p), 1e6);
            }
          }
        },
        view);
  }

  double observation_sigma(double detected_px, double spread_mm, double scale) const {
    const double definition_px = options_.feature_sigma_mm * scale;
    const double spread_px = spread_mm * scale;
    return std::sqrt(detected_px * detected_px + definition_px * definition_px +
                     spread_px * spread_px);
  }

  void add_observations(int v, const ViewFeatures& seen, const ViewMatch& match, double spread_mm) {
    const double scale = match.px_per_mm;
    for (Eigen::Index i = 0; i < match.match.rows(); ++i) {
      const double sigma_px = observation_sigma(seen.sigma_px[i], spread_mm, scale);
      for (int j = 0; j < model_.features.num_points(); ++j) {
        const double weight = match.match(i, j);
        if (weight < 0.01) continue;
        problem_.features.points.push_back({v, j, seen.px.row(i).transpose(), sigma_px, weight});
      }
    }
    for (EllipseObservation ellipse : seen.ellipses) {
      ellipse.view = v;
      ellipse.sigma_px =
          std::hypot(ellipse.sigma_px, (spread_mm + options_.feature_sigma_mm) * scale);
      problem_.features.ellipses.push_back(ellipse);
    }
  }

  const ShapeModel& model_;
  const std::vector<View>& views_;
  const FitOptions& options_;
  ThreadPool& pool_;
  AlignmentProblem problem_;
  LevenbergMarquardt solver_;
  MatchOptions match_options_;
  std::vector<ViewMatch> matches_;
};

/// The mean shape; alignment moves the first modes alone, so it carries no others.
FitState<double> state_at(const ShapeModel& model, const Rigid3<double>& world_from_bone) {
  FitState<double> state;
  state.world_from_bone = world_from_bone;
  state.b = Eigen::VectorXd::Zero(std::min(kAlignmentModes, model.num_modes));
  return state;
}

Alignment with_all_modes(const ShapeModel& model, Alignment alignment) {
  const Eigen::VectorXd first = alignment.state.b;
  alignment.state.b = Eigen::VectorXd::Zero(model.num_modes);
  alignment.state.b.head(first.size()) = first;
  return alignment;
}

/// Every choice of one reading per view, best first, at most kMaxCombinations.
std::vector<std::vector<int>> combinations(const std::vector<Readings>& readings) {
  std::vector<std::vector<int>> result = {{}};
  for (const Readings& view : readings) {
    std::vector<std::vector<int>> longer;
    for (const std::vector<int>& head : result) {
      for (int r = 0; r < static_cast<int>(view.size()); ++r) {
        longer.push_back(head);
        longer.back().push_back(r);
      }
    }
    result = std::move(longer);
  }
  const auto rank = [](const std::vector<int>& c) {
    int sum = 0;
    for (const int r : c) sum += r;
    return sum;
  };
  std::stable_sort(result.begin(), result.end(), [&](const auto& a, const auto& b) {
    return rank(a) < rank(b);
  });
  if (result.size() > kMaxCombinations) result.resize(kMaxCombinations);
  return result;
}

std::vector<const ViewFeatures*> chosen(const std::vector<Readings>& readings,
                                        const std::vector<int>& combination) {
  std::vector<const ViewFeatures*> features;
  for (std::size_t v = 0; v < readings.size(); ++v) {
    features.push_back(&readings[v][static_cast<std::size_t>(combination[v])]);
  }
  return features;
}

/// Quality alone would favour a reading with few detections: what counts is how much is explained.
double explained(const Alignment& alignment) { return alignment.quality * alignment.num_matched; }

bool same_answer(const Alignment& a, const Alignment& b) {
  const Rigid3<double>& p = a.state.world_from_bone;
  const Rigid3<double>& q = b.state.world_from_bone;
  const double cosine = 0.5 * ((p.rotation.transpose() * q.rotation).trace() - 1.0);
  return (p.translation - q.translation).norm() < kSameAlignment_mm &&
         cosine > std::cos(kSameAlignment_rad);
}

/// Keeps the best of each answer, best first, at most kMaxAlignments.
void keep(Alignment candidate, std::vector<Alignment>& best) {
  const auto same = std::find_if(
      best.begin(), best.end(), [&](const Alignment& a) { return same_answer(a, candidate); });
  if (same != best.end()) {
    if (explained(candidate) > explained(*same)) *same = std::move(candidate);
  } else {
    best.push_back(std::move(candidate));
  }
  std::stable_sort(best.begin(), best.end(), [](const Alignment& a, const Alignment& b) {
    return explained(a) > explained(b);
  });
  if (best.size() > static_cast<std::size_t>(kMaxAlignments)) best.pop_back();
}

/// Turns of the bone before the view that sees most, the promising ones refined in full.
void try_turns(Aligner& aligner,
               const ShapeModel& model,
               const std::vector<View>& views,
               const std::vector<Readings>& readings,
               const std::vector<int>& combination,
               std::vector<Alignment>& best) {
  constexpr std::size_t kFinalists = 4;
  const std::vector<const ViewFeatures*> features = chosen(readings, combination);
  std::vector<Alignment> quick;
  for (const Rigid3<double>& start : turned_starts(model, views, features)) {
    quick.push_back(aligner.refine(features, state_at(model, start), kQuickSpread_mm));
  }
  std::stable_sort(quick.begin(), quick.end(), [](const Alignment& a, const Alignment& b) {
    return explained(a) > explained(b);
  });
  if (quick.size() > kFinalists) quick.resize(kFinalists);
  for (const Alignment& start : quick) {
    Alignment full = aligner.refine(features, start.state, kSpread_mm);
    full.readings = combination;
    keep(std::move(full), best);
  }
}

}  // namespace

std::vector<Alignment> align_from_features(const ShapeModel& model,
                                           const std::vector<View>& views,
                                           const std::vector<Readings>& readings,
                                           const FitOptions& options,
                                           ThreadPool& pool) {
  Aligner aligner(model, views, options, pool);
  std::vector<Alignment> best;
  const std::vector<std::vector<int>> all = combinations(readings);
  for (const std::vector<int>& combination : all) {
    const std::vector<const ViewFeatures*> features = chosen(readings, combination);
    Rigid3<double> start;
    if (!triangulated_start(model, views, features, start)) continue;
    Alignment candidate = aligner.refine(features, state_at(model, start), kSpread_mm);
    candidate.readings = combination;
    keep(std::move(candidate), best);
  }
  if (best.empty() || best.front().quality < kGoodQuality) {
    for (std::size_t c = 0; c < std::min<std::size_t>(all.size(), 4); ++c) {
      try_turns(aligner, model, views, readings, all[c], best);
    }
  }
  if (best.empty()) {
    best.emplace_back();
    best.front().state = state_at(model, {});
    best.front().readings.assign(views.size(), 0);
  }
  for (Alignment& alignment : best) alignment = with_all_modes(model, std::move(alignment));
  return best;
}

Alignment match_from_start(const ShapeModel& model,
                           const std::vector<View>& views,
                           const std::vector<Readings>& readings,
                           const FitOptions& options,
                           const Rigid3<double>& world_from_bone,
                           ThreadPool& pool) {
  Aligner aligner(model, views, options, pool);
  Alignment best;
  best.state = state_at(model, world_from_bone);
  best.readings.assign(views.size(), 0);
  for (const std::vector<int>& combination : combinations(readings)) {
    constexpr std::array<double, 2> near_mm = {6.0, 0.0};
    Alignment candidate =
        aligner.refine(chosen(readings, combination), state_at(model, world_from_bone), near_mm);
    if (explained(candidate) <= explained(best)) continue;
    best = std::move(candidate);
    best.readings = combination;
  }
  return with_all_modes(model, std::move(best));
}

}  // namespace osteoform
