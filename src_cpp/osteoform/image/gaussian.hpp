// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "osteoform/image/image.hpp"

namespace osteoform {

/// Separable Gaussian, cut at 3 sigma, borders repeated. sigma_px = 0 copies.
ImageF gaussian_blur(const ImageF& source, double sigma_px);

/// Gives the rows of an image, asked for in order and each once; a row is read before the next.
using RowSource = std::function<const float*(int v)>;

/// The same of rows as they come. The result is larger than the source by `border` pixels on every
/// side, which repeat its outermost ones.
ImageF gaussian_blur(int width, int height, const RowSource& rows, double sigma_px, int border);

}  // namespace osteoform
