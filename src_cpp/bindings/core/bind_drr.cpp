// SPDX-License-Identifier: Apache-2.0
#include <pybind11/numpy.h>

#include <algorithm>
#include <optional>

#include "convert.hpp"
#include "osteoform/base/parallel.hpp"
#include "osteoform/drr/inner_surface.hpp"
#include "osteoform/drr/radiograph.hpp"
#include "osteoform/drr/thickness.hpp"

namespace osteoform {
namespace {

using Pixels = py::array_t<float, py::array::c_style>;

Pixels new_image(int width, int height) {
  constexpr int kMaxSize = 16384;
  require(width >= 1 && width <= kMaxSize && height >= 1 && height <= kMaxSize,
          "width and height must be between 1 and 16384, found " + std::to_string(width) + " x " +
              std::to_string(height));
  return Pixels({height, width});
}

RasterView raster(Pixels& image) {
  return {image.mutable_data(), static_cast<int>(image.shape(1)), static_cast<int>(image.shape(0))};
}

Tissue tissue_named(const std::string& name) {
  if (name == "soft") return Tissue::kSoft;
  if (name == "bone") return Tissue::kBone;
  if (name == "metal") return Tissue::kMetal;
  throw InputError("tissue must be 'soft', 'bone' or 'metal', found '" + name + "'");
}

Body make_body(Points vertices,
               Faces faces,
               double mu_per_mm,
               std::optional<Points> inner_vertices,
               double inner_mu_per_mm,
               const std::string& tissue) {
  Body body{std::move(vertices),
            std::move(faces),
            inner_vertices.value_or(Points(0, 3)),
            mu_per_mm,
            inner_mu_per_mm,
            tissue_named(tissue)};
  const py::gil_scoped_release release;
  body.check();
  return body;
}

void paste(const ThicknessPatch& patch, RasterView image) {
  std::fill(image.values, image.values + image.size(), 0.0F);
  for (int v = patch.first_v; v < patch.first_v + patch.height; ++v) {
    std::copy(patch.row(v), patch.row(v) + patch.width, image.row(v) + patch.first_u);
  }
}

Pixels thickness_image(const Points& vertices,
                       const Faces& faces,
                       const View& view,
                       int width,
                       int height,
                       int num_threads) {
  Pixels image = new_image(width, height);
  const RasterView pixels = raster(image);
  const py::gil_scoped_release release;
  require(vertices.allFinite(), "vertices must be finite");
  check_faces(faces, static_cast<int>(vertices.rows()));
  require(is_closed(faces), "the mesh must be closed: every edge in two faces, coherently wound");
  ThreadPool pool(num_threads);
  paste(thickness(vertices, faces, view, width, height, pool), pixels);
  return image;
}

Pixels attenuation_image(
    const std::vector<Body>& bodies, const View& view, int width, int height, int num_threads) {
  Pixels image = new_image(width, height);
  const RasterView pixels = raster(image);
  const py::gil_scoped_release release;
  ThreadPool pool(num_threads);
  attenuation(bodies, view, pool, pixels);
  return image;
}

ExposureOptions make_exposure(double dose,
                              double blur_px,
                              double scatter_fraction,
                              double scatter_px,
                              double hardening,
                              std::uint64_t seed) {
  const ExposureOptions options{dose, blur_px, scatter_fraction, scatter_px, hardening, seed};
  options.check();
  return options;
}

Pixels simulate_radiograph(const std::vector<Body>& bodies,
                           const View& view,
                           int width,
                           int height,
                           const ExposureOptions& exposure,
                           int num_threads) {
  Pixels image = new_image(width, height);
  const RasterView pixels = raster(image);
  const py::gil_scoped_release release;
  ThreadPool pool(num_threads);
  attenuation(bodies, view, pool, pixels);
  expose(exposure, pool, pixels);
  return image;
}

Points inner_vertices(const Points& vertices, const Faces& faces, const Eigen::VectorXf& depth_mm) {
  require(vertices.allFinite(), "vertices must be finite");
  check_faces(faces, static_cast<int>(vertices.rows()));
  require(depth_mm.size() == vertices.rows(), "depth_mm must have one value per vertex");
  require(depth_mm.allFinite(), "depth_mm must be finite");
  const py::gil_scoped_release release;
  return inner_surface(vertices, faces, depth_mm);
}

void bind_bodies(py::module_& m) {
  const Body body;
  py::class_<Body>(m, "Body", py::is_final(), "A closed body that attenuates X-rays.")
      .def(py::init(&make_body),
           py::kw_only(),
           "vertices"_a,
           "faces"_a,
           "mu_per_mm"_a,
           "inner_vertices"_a = py::none(),
           "inner_mu_per_mm"_a = body.inner_mu_per_mm,
           "tissue"_a = "bone");
  const ExposureOptions exposure;
  py::class_<ExposureOptions>(
      m, "ExposureOptions", py::is_final(), "How an attenuated beam becomes grey values.")
      .def(py::init(&make_exposure),
           py::kw_only(),
           "dose"_a = exposure.dose,
           "blur_px"_a = exposure.blur_px,
           "scatter_fraction"_a = exposure.scatter_fraction,
           "scatter_px"_a = exposure.scatter_px,
           "hardening"_a = exposure.hardening,
           "seed"_a = exposure.seed);
}

}  // namespace

void bind_drr(py::module_& m) {
  bind_bodies(m);
  m.def("thickness",
        &thickness_image,
        "vertices"_a,
        "faces"_a,
        "view"_a,
        "width"_a,
        "height"_a,
        py::kw_only(),
        "num_threads"_a = 1,
        "Ray length inside a closed mesh, (height, width) [mm].");
  m.def("attenuation",
        &attenuation_image,
        py::kw_only(),
        "bodies"_a,
        "view"_a,
        "width"_a,
        "height"_a,
        "num_threads"_a = 1,
        "Line integral of the attenuation, (height, width).");
  m.def("simulate_radiograph",
        &simulate_radiograph,
        py::kw_only(),
        "bodies"_a,
        "view"_a,
        "width"_a,
        "height"_a,
        "exposure"_a = ExposureOptions(),
        "num_threads"_a = 1,
        "Grey values of a radiograph, (height, width) in [0, 1], dark is dense.");
  m.def("inner_surface",
        &inner_vertices,
        "vertices"_a,
        "faces"_a,
        "depth_mm"_a,
        "Vertices (N, 3) moved inward along their normals by depth_mm (N,).");
}

}  // namespace osteoform
