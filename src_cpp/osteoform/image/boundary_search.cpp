// SPDX-License-Identifier: Apache-2.0
#include "osteoform/image/boundary_search.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "osteoform/base/clones.hpp"

namespace osteoform {
namespace {

constexpr int kLanes = 8;
constexpr int kMixed = 8;  // values per sample
constexpr int kMaxSamples = (kMaxSearchSteps + 1 + kLanes - 1) / kLanes * kLanes;

/// Samples along a normal: u = start + q * direction.
struct Line {
  float start[2];
  float direction[2];
  float first;  ///< q of sample 0
  float step;

  float u(int s) const { return start[0] + (first + step * static_cast<float>(s)) * direction[0]; }
  float v(int s) const { return start[1] + (first + step * static_cast<float>(s)) * direction[1]; }
};

bool inside(const EdgeImage& image, const Line& line, int s) {
  const float u = line.u(s);
  const float v = line.v(s);
  return u >= 0.0F && v >= 0.0F && u < static_cast<float>(image.patch.width - 1) &&
         v < static_cast<float>(image.patch.height - 1);
}

/// What the gradient needs of the image at samples [begin, end), all inside, mixed between rows:
/// values at four columns and the differences below minus above at the middle two. The sample lies
/// at a share `right` between these.
OSTEOFORM_CLONES void mix_rows(const float* pixels,
                               int pitch,
                               const Line& line,
                               int begin,
                               int end,
                               float* mixed,
                               float* right) {
  int offset[kMaxSamples];
  float below[kMaxSamples];
  for (int s = begin; s < end; ++s) {
    const float q = line.first + line.step * static_cast<float>(s);
    const float u = line.start[0] + q * line.direction[0];
    const float v = line.start[1] + q * line.direction[1];
    const int i = static_cast<int>(u);
    const int j = static_cast<int>(v);
    offset[s] = j * pitch + i;
    right[s] = u - static_cast<float>(i);
    below[s] = v - static_cast<float>(j);
  }
  using Four = Eigen::Array4f;
  for (int s = begin; s < end; ++s) {
    const float* p = pixels + offset[s] - 1;
    const auto row = [&](int k) { return Eigen::Map<const Four>(p + k * std::ptrdiff_t{pitch}); };
    const Four here = row(0);
    const Four next = row(1);
    const Four rise = next - row(-1);
    float* out = mixed + kMixed * static_cast<std::ptrdiff_t>(s);
    Eigen::Map<Four>{out} = here + below[s] * (next - here);
    Eigen::Map<Four>{out + 4} = rise + below[s] * ((row(2) - here) - rise);
  }
}

/// Fall of the attenuation along the normal, and what each sample scores for it; num is padded.
OSTEOFORM_CLONES void score_samples(const float* mixed,
                                    const float* right,
                                    const float normal[2],
                                    const float* nearness,
                                    float cap,
                                    int num,
                                    float* fall,
                                    float* score) {
  const float nu = 0.5F * normal[0];  // differences of pixels two apart
  const float nv = 0.5F * normal[1];
  float across[kMaxSamples], down[kMaxSamples];
  for (int s = 0; s < num; ++s) {
    const float* m = mixed + kMixed * static_cast<std::ptrdiff_t>(s);
    const float left = m[2] - m[0];
    across[s] = left + right[s] * ((m[3] - m[1]) - left);
    down[s] = m[5] + right[s] * (m[6] - m[5]);
  }
  for (int s = 0; s < num; ++s) {
    const float gu = across[s];
    const float gv = down[s];
    const float d = -(gu * nu + gv * nv);
    const float falling = d > 0.0F ? d : 0.0F;
    const float capped = falling < cap ? falling : cap;
    fall[s] = d;
    score[s] = capped * (d * d / (0.25F * (gu * gu + gv * gv) + 1e-20F)) * nearness[s];
  }
}

/// The first sample of the greatest positive score, or -1; num is padded with zeros.
OSTEOFORM_CLONES int best_sample(const float* score, int num) {
  float tops[kLanes] = {};
  for (int s = 0; s < num; s += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      tops[lane] = score[s + lane] > tops[lane] ? score[s + lane] : tops[lane];
    }
  }
  const float top = *std::max_element(tops, tops + kLanes);
  if (!(top > 0.0F)) return -1;
  return static_cast<int>(std::find(score, score + num, top) - score);
}

/// Vertex of the parabola through three neighbours, within one step.
float parabola_vertex(float left, float middle, float right) {
  const float curvature = left - 2.0F * middle + right;
  if (curvature >= 0.0F) return 0.0F;
  return std::clamp(0.5F * (left - right) / curvature, -1.0F, 1.0F);
}

/// The steepest place uphill of `sample`, in steps: the window draws the best score towards its
/// middle, the edge itself is where the fall is greatest. Neighbours two steps away, about a pixel,
/// see past the kinks of the bilinear samples.
float steepest(const float* fall, int num, int sample) {
  while (sample + 1 < num && fall[sample + 1] > fall[sample]) ++sample;
  while (sample > 0 && fall[sample - 1] > fall[sample]) --sample;
  if (sample < 2 || sample + 2 >= num) return static_cast<float>(sample);
  return static_cast<float>(sample) +
         2.0F * parabola_vertex(fall[sample - 2], fall[sample], fall[sample + 2]);
}

}  // namespace

SearchKernel::SearchKernel(const SearchWindow& window)
    : step_px(window.step_px),
      cap(window.cap > 0.0F ? window.cap : std::numeric_limits<float>::max()),
      half(std::clamp(
          static_cast<int>(window.half_width_px / window.step_px + 0.5F), 2, kMaxSearchSteps / 2)) {
  const float tau_steps = 0.5F * static_cast<float>(half);
  const float decay = 0.5F / (tau_steps * tau_steps);
  for (int s = 1; s < 2 * half; ++s) {  // the ends have no neighbour to be a maximum against
    const auto distance = static_cast<float>(s - half);
    nearness[s] = std::exp(-decay * distance * distance);
  }
}

BoundaryPoint search_boundary(const EdgeImage& image,
                              const float px[2],
                              const float normal[2],
                              const SearchKernel& kernel) {
  const int num = 2 * kernel.half + 1;
  const float first = -kernel.step_px * static_cast<float>(kernel.half);
  const Line line{{px[0], px[1]}, {normal[0], normal[1]}, first, kernel.step_px};
  int begin = 0;  // the samples inside the image are one run: it is convex
  int end = num;
  while (begin < end && !inside(image, line, begin)) ++begin;
  while (end > begin && !inside(image, line, end - 1)) --end;
  if (begin == end) return {};

  const int padded = (num + kLanes - 1) / kLanes * kLanes;
  float mixed[kMixed * kMaxSamples], right[kMaxSamples], fall[kMaxSamples], score[kMaxSamples];
  std::fill(mixed, mixed + kMixed * begin, 0.0F);
  std::fill(mixed + kMixed * end, mixed + kMixed * padded, 0.0F);
  std::fill(right, right + begin, 0.0F);
  std::fill(right + end, right + padded, 0.0F);
  mix_rows(image.at(0, 0), image.smooth.width, line, begin, end, mixed, right);
  score_samples(mixed, right, normal, kernel.nearness, kernel.cap, padded, fall, score);
  const int best = best_sample(score, padded);
  if (best < 0) return {};
  return {first + kernel.step_px * steepest(fall, num, best), fall[best]};
}

}  // namespace osteoform
