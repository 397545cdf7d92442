// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "osteoform/base/parallel.hpp"
#include "osteoform/features/soft_match.hpp"
#include "osteoform/fit/options.hpp"
#include "osteoform/fit/terms/feature_term.hpp"

namespace osteoform {

/// What was detected in one view. Labels are probabilities, not certainties.
struct ViewFeatures {
  Eigen::Matrix<double, Eigen::Dynamic, 2, Eigen::RowMajor> px;  ///< n x 2
  Eigen::VectorXd sigma_px;                                      ///< n
  MatchMatrix class_probability;                                 ///< n x F
  std::vector<EllipseObservation> ellipses;                      ///< labelled by ellipsoid
};

/// Alternative readings of one view (an image may be turned), best first.
using Readings = std::vector<ViewFeatures>;

/// The model brought to the detected features.
struct Alignment {
  FitState<double> state;
  std::vector<PointObservation> points;  ///< with the probability of each pairing as weight
  std::vector<EllipseObservation> ellipses;
  std::vector<int> readings;  ///< which one was taken, per view
  double quality = 0.0;       ///< 0: as good as unmatched; 1: every detection where its label says
  double num_matched = 0.0;   ///< sum of the doubly stochastic matrix over all views
};

/// Number of leading modes that alignment may move: size and gross proportions.
inline constexpr int kAlignmentModes = 5;

/// Alignments that differ by more than this are different answers.
inline constexpr double kSameAlignment_mm = 15.0;
inline constexpr double kSameAlignment_rad = 0.25;
inline constexpr int kMaxAlignments = 4;

/// Pose, size and first modes from features alone, best first: several starts (triangulated where
/// two views share labels, else turns of the bone before the first view), each refined by
/// alternating the doubly stochastic assignment and weighted least squares while the assignment
/// sharpens. Never empty: without features it holds the mean shape at the origin, with quality 0.
std::vector<Alignment> align_from_features(const ShapeModel& model,
                                           const std::vector<View>& views,
                                           const std::vector<Readings>& readings,
                                           const FitOptions& options,
                                           ThreadPool& pool);

/// The same from one given start: only the assignment and the fit.
Alignment match_from_start(const ShapeModel& model,
                           const std::vector<View>& views,
                           const std::vector<Readings>& readings,
                           const FitOptions& options,
                           const Rigid3<double>& world_from_bone,
                           ThreadPool& pool);

}  // namespace osteoform
