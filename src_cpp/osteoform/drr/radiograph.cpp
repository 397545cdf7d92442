// SPDX-License-Identifier: Apache-2.0
#include "osteoform/drr/radiograph.hpp"

#include <algorithm>
#include <cmath>

#include "osteoform/base/error.hpp"
#include "osteoform/drr/counter_rng.hpp"
#include "osteoform/drr/thickness.hpp"

namespace osteoform {
namespace {

constexpr int kPixelsPerBlock = 8192;

struct LineIntegrals {
  std::vector<float> soft;          // attenuation of the soft tissue, nothing displaced yet
  std::vector<float> soft_mm;       // its thickness
  std::vector<float> displaced_mm;  // thickness of all that displaces it
};

void for_pixel_blocks(std::size_t size,
                      ThreadPool& pool,
                      const std::function<void(std::size_t, std::size_t)>& work) {
  const int num_blocks = static_cast<int>((size + kPixelsPerBlock - 1) / kPixelsPerBlock);
  pool.run(num_blocks, [&](int block) {
    const std::size_t first = static_cast<std::size_t>(block) * kPixelsPerBlock;
    work(first, std::min(size, first + kPixelsPerBlock));
  });
}

/// Thickness at pixel u of the patch's row v, zero outside.
float value_at(const ThicknessPatch& patch, int u, int v) {
  const bool inside = u >= patch.first_u && u < patch.first_u + patch.width && v >= patch.first_v &&
                      v < patch.first_v + patch.height;
  return inside ? std::max(0.0F, patch.row(v)[u - patch.first_u]) : 0.0F;
}

void add_soft(const Body& body, const ThicknessPatch& outer, int width, LineIntegrals& sums) {
  const float mu = static_cast<float>(body.mu_per_mm);
  for (int v = outer.first_v; v < outer.first_v + outer.height; ++v) {
    const float* row = outer.row(v);
    const std::size_t start = static_cast<std::size_t>(v) * width + outer.first_u;
    for (int u = 0; u < outer.width; ++u) {
      const float mm = std::max(0.0F, row[u]);
      sums.soft[start + u] += mu * mm;
      sums.soft_mm[start + u] += mm;
    }
  }
}

void add_hard(const Body& body,
              const ThicknessPatch& outer,
              const ThicknessPatch& inner,
              LineIntegrals& sums,
              RasterView image) {
  const float mu = static_cast<float>(body.mu_per_mm);
  const float inner_mu = static_cast<float>(body.inner_mu_per_mm);
  for (int v = outer.first_v; v < outer.first_v + outer.height; ++v) {
    const float* row = outer.row(v);
    const std::size_t start = static_cast<std::size_t>(v) * image.width + outer.first_u;
    for (int u = 0; u < outer.width; ++u) {
      const float outer_mm = std::max(0.0F, row[u]);
      const float inner_mm = std::min(outer_mm, value_at(inner, outer.first_u + u, v));
      image.values[start + u] += mu * (outer_mm - inner_mm) + inner_mu * inner_mm;
      sums.displaced_mm[start + u] += outer_mm;
    }
  }
}

void add_body(
    const Body& body, const View& view, ThreadPool& pool, LineIntegrals& sums, RasterView image) {
  const auto patch_of = [&](const Points& vertices) {
    return thickness(vertices, body.faces, view, image.width, image.height, pool);
  };
  const ThicknessPatch outer = patch_of(body.vertices);
  if (body.tissue == Tissue::kSoft) {
    add_soft(body, outer, image.width, sums);
    return;
  }
  const bool solid = body.inner_vertices.rows() == 0;
  add_hard(body, outer, solid ? ThicknessPatch{} : patch_of(body.inner_vertices), sums, image);
}

/// Share of the open beam behind an attenuation, for two lines of equal weight.
float transmission(float attenuation, float hardening) {
  if (hardening == 0.0F) return std::exp(-attenuation);
  return 0.5F * (std::exp(-attenuation * (1.0F + hardening)) +
                 std::exp(-attenuation * (1.0F - hardening)));
}

void add_scatter(const ExposureOptions& options, ThreadPool& pool, RasterView image) {
  if (options.scatter_fraction <= 0.0 || options.scatter_px <= 0.0) return;
  std::vector<float> spread(image.values, image.values + image.size());
  blur_wide({spread.data(), image.width, image.height}, options.scatter_px, pool);
  const float share = static_cast<float>(options.scatter_fraction);
  for (std::size_t i = 0; i < spread.size(); ++i) {
    image.values[i] += share * (spread[i] - image.values[i]);
  }
}

void add_noise(const ExposureOptions& options, ThreadPool& pool, RasterView image) {
  if (std::isinf(options.dose)) return;
  const CounterRng rng(options.seed);
  for_pixel_blocks(image.size(), pool, [&](std::size_t first, std::size_t end) {
    for (std::size_t i = first; i < end; ++i) {
      const double mean = options.dose * image.values[i];
      image.values[i] = static_cast<float>(poisson_quantile(mean, rng.uniform(i)) / options.dose);
    }
  });
}

}  // namespace

void Body::check() const {
  require(vertices.allFinite(), "vertices must be finite");
  check_faces(faces, static_cast<int>(vertices.rows()));
  require(is_closed(faces), "the mesh must be closed: every edge in two faces, coherently wound");
  require(inner_vertices.rows() == 0 || inner_vertices.rows() == vertices.rows(),
          "inner_vertices must have one row per vertex");
  require(inner_vertices.allFinite(), "inner_vertices must be finite");
  require(std::isfinite(mu_per_mm) && mu_per_mm >= 0.0, "mu_per_mm must not be negative");
  require(std::isfinite(inner_mu_per_mm) && inner_mu_per_mm >= 0.0,
          "inner_mu_per_mm must not be negative");
}

void ExposureOptions::check() const {
  require(dose > 0.0, "dose must be positive (infinity: no noise)");
  require(blur_px >= 0.0 && blur_px <= 100.0, "blur_px must be between 0 and 100");
  require(scatter_fraction >= 0.0 && scatter_fraction < 1.0,
          "scatter_fraction must be at least 0 and below 1");
  require(scatter_px >= 0.0 && scatter_px <= 10000.0, "scatter_px must be between 0 and 10000");
  require(hardening >= 0.0 && hardening < 1.0, "hardening must be at least 0 and below 1");
}

void attenuation(const std::vector<Body>& bodies,
                 const View& view,
                 ThreadPool& pool,
                 RasterView image) {
  const std::size_t size = image.size();
  std::fill(image.values, image.values + size, 0.0F);
  LineIntegrals sums{std::vector<float>(size), std::vector<float>(size), std::vector<float>(size)};
  for (const Body& body : bodies) add_body(body, view, pool, sums, image);
  for (std::size_t i = 0; i < size; ++i) {
    const float left_mm = std::max(0.0F, sums.soft_mm[i] - sums.displaced_mm[i]);
    if (left_mm > 0.0F) image.values[i] += sums.soft[i] * left_mm / sums.soft_mm[i];
  }
}

void expose(const ExposureOptions& options, ThreadPool& pool, RasterView image) {
  const float hardening = static_cast<float>(options.hardening);
  for_pixel_blocks(image.size(), pool, [&](std::size_t first, std::size_t end) {
    for (std::size_t i = first; i < end; ++i) {
      image.values[i] = transmission(image.values[i], hardening);
    }
  });
  blur_gaussian(image, options.blur_px, pool);
  add_scatter(options, pool, image);
  add_noise(options, pool, image);
  for (std::size_t i = 0; i < image.size(); ++i) {
    image.values[i] = std::min(1.0F, image.values[i]);
  }
}

}  // namespace osteoform
