// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <string>

#include "osteoform/base/error.hpp"

namespace osteoform {

/// Which rims of the silhouette are searched for.
enum class Rims { kAll, kOuter };

/// How to fit. Plain data; every field has a default that works. Lengths at the bone, not the
/// detector: a setting means the same for every image.
struct FitOptions {
  int iterations = 24;                   ///< boundary searches, coarse to fine
  double search_start_mm = 9.0;          ///< half width of the first search
  double search_end_mm = 2.2;            ///< half width of the last ones
  double smoothing_mm = 0.35;            ///< of the image in fine searches
  double coarse_smoothing_mm = 0.9;      ///< of the image while the search is wider than 4 mm
  double image_blur_mm = 0.25;           ///< assumed blur of the image itself, for the edge bias
  double boundary_sigma_mm = 1.0;        ///< model and edge error of one silhouette point
  double boundary_correlation_mm = 6.0;  ///< along a rim: within it edges are off together
  int points_per_view = 192;             ///< silhouette points
  Rims rims = Rims::kAll;                ///< kOuter for opaque bodies, whose inner rims do not show
  double feature_sigma_mm = 1.0;         ///< definition error of features, added to the detector's
  double slack_cost = 9.0;               ///< of leaving a detection unmatched
  double shape_prior = 1.0;              ///< weight of |b|^2
  double max_b = 4.0;                    ///< no coefficient leaves +- this
  double calibration_sd_mm = 0.5;        ///< of views 1, 2, ...; 0: trusted
  double calibration_sd_deg = 0.2;
  double depth_sd_mm = 20.0;       ///< one view: prior on the start's depth; 0: none
  double step_tolerance_mm = 0.1;  ///< translation step below which the last searches stop
  int num_threads = 1;
  bool covariance = true;  ///< per-vertex standard deviation

  void check() const {
    const auto positive = [](double value, const char* name) {
      require(std::isfinite(value) && value > 0.0,
              std::string(name) + " must be positive, found " + std::to_string(value));
    };
    const auto not_negative = [](double value, const char* name) {
      require(std::isfinite(value) && value >= 0.0,
              std::string(name) + " must not be negative, found " + std::to_string(value));
    };
    require(iterations >= 0 && iterations <= 1000,
            "iterations must be 0 to 1000, found " + std::to_string(iterations));
    require(points_per_view >= 16 && points_per_view <= 100000,
            "points_per_view must be 16 to 100000, found " + std::to_string(points_per_view));
    require(num_threads >= 1 && num_threads <= 256,
            "num_threads must be 1 to 256, found " + std::to_string(num_threads));
    positive(search_start_mm, "search_start_mm");
    positive(search_end_mm, "search_end_mm");
    positive(boundary_sigma_mm, "boundary_sigma_mm");
    positive(boundary_correlation_mm, "boundary_correlation_mm");
    positive(feature_sigma_mm, "feature_sigma_mm");
    positive(slack_cost, "slack_cost");
    positive(shape_prior, "shape_prior");
    positive(max_b, "max_b");
    not_negative(smoothing_mm, "smoothing_mm");
    not_negative(coarse_smoothing_mm, "coarse_smoothing_mm");
    not_negative(image_blur_mm, "image_blur_mm");
    not_negative(calibration_sd_mm, "calibration_sd_mm");
    not_negative(calibration_sd_deg, "calibration_sd_deg");
    not_negative(depth_sd_mm, "depth_sd_mm");
    not_negative(step_tolerance_mm, "step_tolerance_mm");
  }
};

enum class FitStatus { kConverged, kIterationLimit, kStalled, kNotFound };

}  // namespace osteoform
