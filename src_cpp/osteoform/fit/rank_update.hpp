// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace osteoform {

inline constexpr int kRankUpdateColumns = 8;  ///< widths are a multiple of this

/// sums = weighted' rows, upper triangle from the 8-column block of the diagonal on; both hold
/// num_rows rows of `width`, the first those of the second times their weights.
void rank_update(const float* weighted, const float* rows, int num_rows, int width, float* sums);
void rank_update(const double* weighted, const double* rows, int num_rows, int width, double* sums);

}  // namespace osteoform
