// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "osteoform/fit/terms/feature_term.hpp"
#include "osteoform/fit/terms/prior_term.hpp"

namespace osteoform {

/// Other starts the features leave open: steps of +-kRivalStep standard deviations along the
/// directions in which the features' posterior lets the bone move most, measured as the root mean
/// square motion of its feature points. Directions that move it less than kRivalMotion_mm are
/// settled: a boundary search bridges them.
inline constexpr double kRivalStep = 1.3;
inline constexpr double kRivalMotion_mm = 2.0;
inline constexpr int kMaxRivalDirections = 3;

/// @param state  the aligned start, with the modes alignment moved
std::vector<FitState<double>> rival_starts(const ShapeModel& model,
                                           const FeatureTerm& features,
                                           const PriorTerm& prior,
                                           const FitState<double>& state);

}  // namespace osteoform
