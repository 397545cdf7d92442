// SPDX-License-Identifier: Apache-2.0
#include "osteoform/image/boundary_search.hpp"

#include <algorithm>
#include <cmath>

#include "osteoform/base/clones.hpp"

namespace osteoform {
namespace {

/// Fall of the attenuation along the normal, and its square share of the gradient, at num samples
/// from -half_width on. Samples outside the image read 0.
OSTEOFORM_CLONES void sample_profile(const EdgeImage& image,
                                     const float px[2],
                                     const float normal[2],
                                     float first,
                                     float step,
                                     int num,
                                     float* fall,
                                     float* aligned) {
  const float* gradient = image.gradient.data();
  const int width = image.patch.width;
  const float u_end = static_cast<float>(width - 1);
  const float v_end = static_cast<float>(image.patch.height - 1);
  for (int s = 0; s < num; ++s) {
    const float q = first + step * static_cast<float>(s);
    const float u = px[0] + q * normal[0];
    const float v = px[1] + q * normal[1];
    fall[s] = 0.0F;
    aligned[s] = 0.0F;
    if (!(u >= 0.0F && v >= 0.0F && u < u_end && v < v_end)) continue;
    const int i = static_cast<int>(u);
    const int j = static_cast<int>(v);
    const float a = u - static_cast<float>(i);
    const float b = v - static_cast<float>(j);
    const float* p = gradient + 2 * (static_cast<std::ptrdiff_t>(j) * width + i);
    const float* r = p + 2 * static_cast<std::ptrdiff_t>(width);
    const float gu = (1 - b) * ((1 - a) * p[0] + a * p[2]) + b * ((1 - a) * r[0] + a * r[2]);
    const float gv = (1 - b) * ((1 - a) * p[1] + a * p[3]) + b * ((1 - a) * r[1] + a * r[3]);
    const float d = -(gu * normal[0] + gv * normal[1]);
    fall[s] = d;
    aligned[s] = d * d / (gu * gu + gv * gv + 1e-20F);
  }
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

BoundaryPoint search_boundary(const EdgeImage& image,
                              const float px[2],
                              const float normal[2],
                              const SearchWindow& window) {
  const int half = std::clamp(
      static_cast<int>(window.half_width_px / window.step_px + 0.5F), 2, kMaxSearchSteps / 2);
  const int num = 2 * half + 1;
  const float first = -window.step_px * static_cast<float>(half);
  float fall[kMaxSearchSteps + 1];
  float aligned[kMaxSearchSteps + 1];
  sample_profile(image, px, normal, first, window.step_px, num, fall, aligned);

  const float tau_steps = 0.5F * static_cast<float>(half);
  const float decay = 0.5F / (tau_steps * tau_steps);
  float best_score = 0.0F;
  int best = -1;
  for (int s = 1; s + 1 < num; ++s) {
    if (fall[s] <= 0.0F) continue;
    const float capped = window.cap > 0.0F ? std::min(fall[s], window.cap) : fall[s];
    const float distance = static_cast<float>(s - half);
    const float score = capped * aligned[s] * std::exp(-decay * distance * distance);
    if (score > best_score) {
      best_score = score;
      best = s;
    }
  }
  if (best < 0) return {};
  return {first + window.step_px * steepest(fall, num, best), fall[best]};
}

}  // namespace osteoform
