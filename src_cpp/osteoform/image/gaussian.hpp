// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "osteoform/image/image.hpp"

namespace osteoform {

/// Separable Gaussian, cut at 3 sigma, borders repeated. sigma_px = 0 copies.
ImageF gaussian_blur(const ImageF& source, double sigma_px);

}  // namespace osteoform
