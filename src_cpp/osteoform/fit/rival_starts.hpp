// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <vector>

#include "osteoform/fit/terms/feature_term.hpp"
#include "osteoform/fit/terms/prior_term.hpp"
#include "osteoform/image/edge_image.hpp"

namespace osteoform {

/// How far the features and the prior leave a start open. A motion is the root mean square one of
/// the feature points that lie in an image, seen or not.
struct StartPosterior {
  Eigen::MatrixXd steps;      ///< columns: a standard deviation along independent directions
  Eigen::VectorXd motion_mm;  ///< of each, the largest first

  /// Of all directions together; infinite where no feature point lies in an image.
  double sd_mm() const {
    const double sd = motion_mm.norm();
    return sd > 0.0 ? sd : std::numeric_limits<double>::infinity();
  }
};

/// @param in_image  per feature point of the model: whether it lies in an image
/// @param state     the aligned start, with the modes alignment moved
StartPosterior start_posterior(const ShapeModel& model,
                               FeatureTerm& features,
                               const PriorTerm& prior,
                               const std::vector<bool>& in_image,
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

/// Which feature points of the model are projected into at least one image.
std::vector<bool> points_in_images(const ShapeModel& model,
                                   const std::vector<View>& views,
                                   const std::vector<XrayImage>& images,
                                   const FitState<double>& state);

}  // namespace osteoform
