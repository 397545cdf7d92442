// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "osteoform/fit/options.hpp"
#include "osteoform/geometry/triangle_mesh.hpp"
#include "osteoform/image/boundary_search.hpp"
#include "osteoform/xray/view.hpp"

namespace osteoform {

inline constexpr double kCoarseAbove_mm = 4.0;  ///< searches wider than this use the coarse scale

/// One view's image around the bone at the two scales the search uses.
struct ViewScales {
  EdgeImage fine;
  EdgeImage coarse;
  double px_per_mm = 1.0;      ///< of the source image, at the bone
  double fine_sigma_px = 0.0;  ///< smoothing, in pixels of the patch
  double coarse_sigma_px = 0.0;

  double patch_px_per_mm() const { return px_per_mm / fine.patch.factor; }
  static bool is_coarse(double half_width_mm) { return half_width_mm > kCoarseAbove_mm; }
  const EdgeImage& scale_for(double half_width_mm) const {
    return is_coarse(half_width_mm) ? coarse : fine;
  }
  double sigma_px_for(double half_width_mm) const {
    return is_coarse(half_width_mm) ? coarse_sigma_px : fine_sigma_px;
  }
};

/// Cuts out what a bone of these vertices (in the bone frame, seen by `view_of_bone`) can reach and
/// smooths it at both scales. Pixels are grouped until one is about a quarter of a millimetre.
ViewScales prepare_scales(const XrayImage& image,
                          const View& view_of_bone,
                          const Points& vertices,
                          const FitOptions& options);

}  // namespace osteoform
