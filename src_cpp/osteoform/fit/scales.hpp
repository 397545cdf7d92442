// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "osteoform/fit/options.hpp"
#include "osteoform/geometry/triangle_mesh.hpp"
#include "osteoform/image/boundary_search.hpp"
#include "osteoform/xray/view.hpp"

namespace osteoform {

inline constexpr double kCoarseAbove_mm = 4.0;  ///< searches wider than this use the coarse scale

/// An image smoothed for searches of some width.
struct Scale {
  EdgeImage image;
  ForeignField foreign;
  double px_per_mm = 1.0;  ///< of the smoothed image, at the bone
  double sigma_px = 0.0;   ///< of the smoothing, in pixels of the smoothed image
};

/// One view's image around the bone at the two scales the search uses.
struct ViewScales {
  Scale fine;
  Scale coarse;
  double px_per_mm = 1.0;  ///< of the source image, at the bone

  const Scale& scale_for(double half_width_mm) const {
    return half_width_mm > kCoarseAbove_mm ? coarse : fine;
  }
};

/// Cuts out what a bone of these vertices (in the bone frame, seen by `view_of_bone`) can reach and
/// smooths it at both scales. Pixels are grouped until one is about 0.3 mm, at the coarse scale
/// twice that.
/// @param foreign  rims of other bones in this view
ViewScales prepare_scales(const XrayImage& image,
                          const View& view_of_bone,
                          const Points& vertices,
                          const std::vector<ForeignRim>& foreign,
                          const FitOptions& options);

}  // namespace osteoform
