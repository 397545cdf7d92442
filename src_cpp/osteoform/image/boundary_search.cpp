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
constexpr int kGroup = 16;  // samples looked at in one go
constexpr int kMixed = 8;   // values per sample
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

/// The greatest of n scores, n a multiple of kLanes, or 0.
OSTEOFORM_CLONES float top_of(const float* score, int n) {
  float tops[kLanes] = {};
  for (int s = 0; s < n; s += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      tops[lane] = score[s + lane] > tops[lane] ? score[s + lane] : tops[lane];
    }
  }
  return *std::max_element(tops, tops + kLanes);
}

/// Where the first of n scores, n a multiple of kLanes, equals one that is among them.
OSTEOFORM_CLONES int first_of(const float* score, int n, float value) {
  int group = 0;
  for (; group < n; group += kLanes) {
    int num_equal = 0;
    for (int lane = 0; lane < kLanes; ++lane) num_equal += score[group + lane] == value ? 1 : 0;
    if (num_equal > 0) break;
  }
  while (score[group] != value) ++group;
  return group;
}

/// Vertex of the parabola through three neighbours, within one step.
float parabola_vertex(float left, float middle, float right) {
  const float curvature = left - 2.0F * middle + right;
  if (curvature >= 0.0F) return 0.0F;
  return std::clamp(0.5F * (left - right) / curvature, -1.0F, 1.0F);
}

/// The samples along a line, looked at from the middle outwards, as far as somebody asks.
class Profile {
 public:
  Profile(const EdgeImage& image,
          const float px[2],
          const float normal[2],
          const SearchKernel& kernel,
          const ForeignField& foreign)
      : image_(image),
        kernel_(kernel),
        foreign_(foreign),
        normal_(normal),
        line_{{px[0], px[1]},
              {normal[0], normal[1]},
              -kernel.step_px * static_cast<float>(kernel.half),
              kernel.step_px},
        num_(2 * kernel.half + 1),
        padded_((num_ + kLanes - 1) / kLanes * kLanes) {
    begin_ = 0;  // the samples inside the image are one run: it is convex
    end_ = num_;
    while (begin_ < end_ && !inside(image, line_, begin_)) ++begin_;
    while (end_ > begin_ && !inside(image, line_, end_ - 1)) --end_;
    low_ = high_ = kernel.half / kLanes * kLanes;
  }

  bool is_outside() const { return begin_ == end_; }

  /// The first sample of the greatest positive score, or -1. A score is at most cap * nearness:
  /// samples that cannot win any more are not looked at.
  int best() {
    look_at(low_ - kGroup, high_ + kGroup);
    constexpr float kRounding = 1.0001F;
    while (low_ > 0 || high_ < padded_) {
      const float below = low_ > 0 ? kernel_.nearness[low_ - 1] : 0.0F;
      const float above = high_ < num_ ? kernel_.nearness[high_] : 0.0F;
      if (kRounding * kernel_.cap * std::max(below, above) < top_) break;
      look_at(low_ - kGroup, high_ + kGroup);
    }
    if (!(top_ > 0.0F)) return -1;
    return low_ + first_of(score_ + low_, high_ - low_, top_);
  }

  float fall(int sample) {
    if (sample < low_) look_at(low_ - kGroup, high_);
    if (sample >= high_) look_at(low_, high_ + kGroup);
    return fall_[sample];
  }

  /// The steepest place uphill of `sample`, in px along the normal: the window draws the best score
  /// towards its middle, the edge itself is where the fall is greatest. Neighbours two steps away,
  /// about a pixel, see past the kinks of the bilinear samples.
  float steepest(int sample) {
    while (sample + 1 < num_ && fall(sample + 1) > fall(sample)) ++sample;
    while (sample > 0 && fall(sample - 1) > fall(sample)) --sample;
    auto at = static_cast<float>(sample);
    if (sample >= 2 && sample + 2 < num_) {
      at += 2.0F * parabola_vertex(fall(sample - 2), fall(sample), fall(sample + 2));
    }
    return line_.first + line_.step * at;
  }

  /// What foreign rims leave of the edge at q.
  float own(float q) const {
    if (foreign_.empty()) return 1.0F;
    return foreign_.share_left(
        line_.start[0] + q * normal_[0], line_.start[1] + q * normal_[1], normal_);
  }

 private:
  void look_at(int low, int high) {
    low = std::max(low, 0);
    high = std::min(high, padded_);
    if (low_ == high_) {
      score_run(low, high);
    } else {
      if (low < low_) score_run(low, low_);
      if (high > high_) score_run(high_, high);
    }
    low_ = std::min(low, low_);
    high_ = std::max(high, high_);
  }

  /// Samples [low, high), whole groups of kLanes.
  void score_run(int low, int high) {
    const int first = std::clamp(begin_, low, high);
    const int last = std::clamp(end_, first, high);
    const auto blank = [&](int from, int to) {
      std::fill(mixed_ + kMixed * from, mixed_ + kMixed * to, 0.0F);
      std::fill(right_ + from, right_ + to, 0.0F);
    };
    blank(low, first);
    blank(last, high);
    mix_rows(image_.at(0, 0), image_.smooth.width, line_, first, last, mixed_, right_);
    score_samples(mixed_ + kMixed * low,
                  right_ + low,
                  normal_,
                  kernel_.nearness + low,
                  kernel_.cap,
                  high - low,
                  fall_ + low,
                  score_ + low);
    if (!foreign_.empty()) {
      for (int s = first; s < last; ++s) score_[s] *= own(line_.first + line_.step * s);
    }
    top_ = std::max(top_, top_of(score_ + low, high - low));
  }

  const EdgeImage& image_;
  const SearchKernel& kernel_;
  const ForeignField& foreign_;
  const float* normal_;
  Line line_;
  int num_;
  int padded_;
  int begin_, end_;  ///< samples inside the image
  int low_, high_;   ///< samples looked at
  float top_ = 0.0F;
  float mixed_[kMixed * kMaxSamples], right_[kMaxSamples], fall_[kMaxSamples], score_[kMaxSamples];
};

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
                              const SearchKernel& kernel,
                              const ForeignField& foreign) {
  Profile profile(image, px, normal, kernel, foreign);
  if (profile.is_outside()) return {};
  const int best = profile.best();
  if (best < 0) return {};
  const float offset_px = profile.steepest(best);
  return {offset_px, profile.fall(best), profile.own(offset_px)};
}

}  // namespace osteoform
