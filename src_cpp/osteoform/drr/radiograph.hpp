// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "osteoform/base/parallel.hpp"
#include "osteoform/drr/blur.hpp"
#include "osteoform/geometry/triangle_mesh.hpp"
#include "osteoform/xray/view.hpp"

namespace osteoform {

/// Soft tissue gives way to everything else that the ray crosses.
enum class Tissue { kSoft, kBone, kMetal };

/// A closed body of one material, or of two: a shell around an inner surface.
struct Body {
  Points vertices;        ///< world [mm]
  Faces faces;            ///< outward
  Points inner_vertices;  ///< inner surface with the same faces; no rows: solid
  double mu_per_mm = 0.0;
  double inner_mu_per_mm = 0.0;
  Tissue tissue = Tissue::kBone;

  /// Throws InputError unless the mesh is closed and finite and the attenuation is not negative.
  void check() const;
};

/// How an attenuated beam becomes grey values.
struct ExposureOptions {
  double dose = 5000.0;           ///< photons per pixel in air; infinity: no noise
  double blur_px = 0.7;           ///< sigma of the detector's point spread
  double scatter_fraction = 0.2;  ///< share of the signal that arrives spread out
  double scatter_px = 40.0;       ///< sigma of that spread
  double hardening = 0.0;         ///< relative half-spread of attenuation over two spectral lines
  std::uint64_t seed = 0;

  void check() const;
};

/// Line integral of the attenuation, dimensionless: transmission is exp(-attenuation).
/// @param image  [out] every pixel is written
void attenuation(const std::vector<Body>& bodies,
                 const View& view,
                 ThreadPool& pool,
                 RasterView image);

/// Turns attenuation into grey values: 1 is the open beam, dark is dense, not above 1.
/// @param image  [in/out] attenuation in, grey values out
void expose(const ExposureOptions& options, ThreadPool& pool, RasterView image);

}  // namespace osteoform
