// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <vector>

#include "osteoform/fit/terms/feature_term.hpp"
#include "osteoform/fit/terms/prior_term.hpp"
#include "osteoform/image/edge_image.hpp"

namespace osteoform {

/// How far the features and the prior leave a start open. A motion is the root mean square one of
/// the feature points, detected or not, as far as the images can show it: see `visible_parts`.
struct StartPosterior {
  Eigen::MatrixXd steps;      ///< columns: a standard deviation along independent directions
  Eigen::VectorXd motion_mm;  ///< of each, the largest first

  /// Of all directions together; infinite where no image can show any.
  double sd_mm() const {
    const double sd = motion_mm.norm();
    return sd > 0.0 ? sd : std::numeric_limits<double>::infinity();
  }
};

/// @param visible  per feature point of the model: see `visible_parts`
/// @param state    the aligned start, with the modes alignment moved
StartPosterior start_posterior(const ShapeModel& model,
                               FeatureTerm& features,
                               const PriorTerm& prior,
                               const std::vector<Eigen::Matrix3d>& visible,
                               const FitState<double>& state);

/// Other starts the features leave open: steps of up to +-kRivalStep standard deviations along the
/// directions that move the bone most. Those that move it less than kRivalMotion_mm are settled: a
/// boundary search bridges them. Steps are at most kRivalSpacing_mm apart.
inline constexpr double kRivalStep = 1.3;
inline constexpr double kRivalMotion_mm = 2.0;
inline constexpr double kRivalSpacing_mm = 12.0;
inline constexpr int kMaxRivalSteps = 3;  ///< per direction and sign
inline constexpr int kMaxRivalDirections = 3;

std::vector<FitState<double>> rival_starts(const StartPosterior& posterior,
                                           const FitState<double>& state);

/// Per feature point of the model, which part of its motion in the world the images can show: none
/// of a point outside all of them, that across the ray with one view, or else all of it.
std::vector<Eigen::Matrix3d> visible_parts(const ShapeModel& model,
                                           const std::vector<View>& views,
                                           const std::vector<XrayImage>& images,
                                           const FitState<double>& state);

}  // namespace osteoform
