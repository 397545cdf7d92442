// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <vector>

#include "osteoform/image/gaussian.hpp"
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

/// Attenuation of a patch, dense = bright: minus the logarithm of the mean intensity, which is the
/// grey value over its range [low, high], or what lacks to 1 where bright is dense.
class Attenuation {
 public:
  Attenuation(const XrayImage& image, const Patch& patch, float low, float high);

  /// Row v of the patch, until the next one is asked for.
  const float* row(int v);

 private:
  const XrayImage& image_;
  Patch patch_;
  float scale_;
  float offset_;
  std::vector<float> row_;
};

ImageF attenuation(const XrayImage& image, const Patch& patch, float low, float high);

/// Attenuation at one scale, ready to be searched for edges.
struct EdgeImage {
  Patch patch;
  float noise = 0.0F;  ///< robust standard deviation of the gradient
  ImageF smooth;       ///< with one pixel more on every side, which repeats the outermost

  /// Address of a pixel of the patch, which has neighbours on all sides.
  const float* at(int u, int v) const { return smooth.row(v + 1) + u + 1; }
  /// (d/du, d/dv) by central differences.
  Eigen::Vector2f gradient(int u, int v) const {
    const float* p = at(u, v);
    return {0.5F * (p[1] - p[-1]), 0.5F * (p[smooth.width] - p[-smooth.width])};
  }
};

/// Smooths the rows of a patch.
EdgeImage make_edge_image(const RowSource& rows, const Patch& patch, double sigma_px);

/// What the mean of two pixels smooths, in pixels of twice the size: the root of 1/4 over 2.
inline constexpr double kHalvingSigma_px = 0.25;

/// The same at half the resolution, smoothed further. Its pixels hold four of the source's grid, so
/// an odd first or last row or column is left out.
EdgeImage make_half_edge_image(const EdgeImage& source, double sigma_px);

/// @param smooth  attenuation of the patch, already smoothed
EdgeImage make_edge_image(const ImageF& smooth, const Patch& patch);

}  // namespace osteoform
