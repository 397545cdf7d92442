// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <vector>

#include "osteoform/image/image.hpp"

namespace osteoform {

enum class Polarity { kDarkIsDense, kBrightIsDense };

/// An X-ray image as it came, and which way its grey values run. The pixels belong to the caller.
struct XrayImage {
  const float* pixels = nullptr;
  int width = 0;
  int height = 0;
  Polarity polarity = Polarity::kDarkIsDense;
};

/// Part of an image at a coarser scale: pixel (u, v) here is pixel
/// factor * (u + left, v + top) + (factor - 1) / 2 of the source.
struct Patch {
  int factor = 1;
  int left = 0;
  int top = 0;
  int width = 0;
  int height = 0;

  Eigen::Vector2d from_source(const Eigen::Vector2d& px) const {
    return (px.array() - 0.5 * (factor - 1)) / factor - Eigen::Array2d(left, top);
  }
};

/// The patch that covers a box of the source [px], clipped to it; empty where they do not meet.
Patch patch_around(const XrayImage& image,
                   int factor,
                   const Eigen::Vector2d& low_px,
                   const Eigen::Vector2d& high_px);

/// Attenuation of a patch, dense = bright: minus the logarithm of the mean intensity where dark is
/// dense; the mean grey value where it is displayed inverted. Grey values run over [low, high].
ImageF attenuation(const XrayImage& image, const Patch& patch, float low, float high);

/// Gradient of the attenuation at one scale, ready to be searched for edges.
struct EdgeImage {
  Patch patch;
  float noise = 0.0F;           ///< robust standard deviation of the gradient
  std::vector<float> gradient;  ///< height x width x (d/du, d/dv), interleaved
};

/// @param smooth  attenuation of the patch, already smoothed
EdgeImage make_edge_image(const ImageF& smooth, const Patch& patch);

}  // namespace osteoform
