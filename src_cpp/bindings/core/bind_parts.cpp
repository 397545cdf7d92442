// SPDX-License-Identifier: Apache-2.0
// Single operations of the fit, for tests that compare them with a reference.
#include <pybind11/numpy.h>

#include <algorithm>

#include "convert.hpp"
#include "osteoform/features/ellipse.hpp"
#include "osteoform/features/soft_match.hpp"
#include "osteoform/image/boundary_search.hpp"
#include "osteoform/image/gaussian.hpp"
#include "osteoform/silhouette/silhouette.hpp"

namespace osteoform {
namespace {

ImageF to_image(const Image& pixels) {
  ImageF image(static_cast<int>(pixels.cols()), static_cast<int>(pixels.rows()));
  std::copy(pixels.data(), pixels.data() + pixels.size(), image.values.begin());
  return image;
}

Image from_image(const ImageF& image) {
  return Eigen::Map<const Image>(image.values.data(), image.height, image.width);
}

Patch whole(const Image& pixels) {
  Patch patch;
  patch.width = static_cast<int>(pixels.cols());
  patch.height = static_cast<int>(pixels.rows());
  return patch;
}

MatrixRm match(const MatrixRm& cost, double slack_cost, double temperature) {
  MatchOptions options;
  options.slack_cost = slack_cost;
  options.temperature = temperature;
  MatrixRm result;
  soft_match(cost, options, result);
  return result;
}

Points normals_of(const Points& vertices, const Faces& faces) {
  check_faces(faces, static_cast<int>(vertices.rows()));
  Points normals;
  vertex_normals(vertices, faces, normals);
  return normals;
}

py::tuple silhouette(const View& view, const Points& vertices, const Faces& faces, int max_points) {
  require(max_points >= 0, "max_points must not be negative");
  SilhouetteWorkspace workspace;
  std::vector<SilhouettePoint> points;
  const Points normals = normals_of(vertices, faces);
  extract_silhouette(view, vertices, normals, unique_edges(faces), max_points, workspace, points);
  const auto n = static_cast<Eigen::Index>(points.size());
  Edges edges(n, 2);
  Eigen::VectorXf alpha(n);
  Rows<float, 2> px(n, 2), normal(n, 2);
  for (Eigen::Index k = 0; k < n; ++k) {
    const SilhouettePoint& point = points[static_cast<std::size_t>(k)];
    edges.row(k) << point.i, point.j;
    alpha[k] = point.alpha;
    px.row(k) << point.px[0], point.px[1];
    normal.row(k) << point.normal[0], point.normal[1];
  }
  return py::make_tuple(edges, alpha, px, normal);
}

Image attenuation_of(const Image& pixels, int factor, Polarity polarity) {
  require(pixels.size() > 0 && factor >= 1, "pixels must not be empty and factor be positive");
  const XrayImage image{
      pixels.data(), static_cast<int>(pixels.cols()), static_cast<int>(pixels.rows()), polarity};
  const Eigen::Vector2d end(image.width, image.height);
  const Patch patch = patch_around(image, factor, Eigen::Vector2d::Zero(), end);
  return from_image(attenuation(image, patch, pixels.minCoeff(), pixels.maxCoeff()));
}

py::tuple gradient_of(const Image& smooth) {
  const EdgeImage image = make_edge_image(to_image(smooth), whole(smooth));
  py::array_t<float> gradient({smooth.rows(), smooth.cols(), Eigen::Index{2}});
  float* out = gradient.mutable_data();
  for (int v = 0; v < image.patch.height; ++v) {
    for (int u = 0; u < image.patch.width; ++u, out += 2) {
      const Eigen::Vector2f g = image.gradient(u, v);
      std::copy(g.data(), g.data() + 2, out);
    }
  }
  return py::make_tuple(gradient, image.noise);
}

py::tuple search(const Image& smooth,
                 const Rows<float, 2>& points_px,
                 const Rows<float, 2>& normals,
                 float half_width_px,
                 float step_px,
                 float cap,
                 const Rows<float, 4>& foreign_rims,
                 double certain_px,
                 double reach_px) {
  require(points_px.rows() == normals.rows(), "points_px and normals must agree in number");
  require(half_width_px > 0.0F && step_px > 0.0F, "half_width_px and step_px must be positive");
  const EdgeImage image = make_edge_image(to_image(smooth), whole(smooth));
  const SearchKernel kernel(SearchWindow{half_width_px, step_px, cap});
  const ForeignField foreign =
      make_foreign_field(to_rims(foreign_rims), image.patch, certain_px, reach_px);
  Eigen::VectorXf offset(points_px.rows()), strength(points_px.rows()), own(points_px.rows());
  for (Eigen::Index k = 0; k < points_px.rows(); ++k) {
    const BoundaryPoint found =
        search_boundary(image, points_px.data() + 2 * k, normals.data() + 2 * k, kernel, foreign);
    offset[k] = found.offset_px;
    strength[k] = found.strength;
    own[k] = found.own;
  }
  return py::make_tuple(offset, strength, own);
}

py::tuple outline(const View& view, const Eigen::Vector3d& center, const Eigen::Matrix3d& shape) {
  const Ellipse<double> ellipse = std::visit(
      [&](const auto& v) { return project_ellipsoid(v, Ellipsoid<double>{center, shape}); }, view);
  return py::make_tuple(ellipse.center, MatrixRm(ellipse.shape));
}

}  // namespace

void bind_parts(py::module_& m) {
  m.def("soft_match",
        &match,
        "cost"_a,
        py::kw_only(),
        "slack_cost"_a = MatchOptions().slack_cost,
        "temperature"_a = MatchOptions().temperature,
        "Doubly stochastic assignment (n, F) with slack for a cost (n, F).");
  m.def("vertex_normals",
        &normals_of,
        "vertices"_a,
        "faces"_a,
        "Unit normals (N, 3), area-weighted, outward for outward faces.");
  m.def("silhouette",
        &silhouette,
        "view"_a,
        "vertices"_a,
        "faces"_a,
        py::kw_only(),
        "max_points"_a,
        "Rims: edges (n, 2), position on them (n,), pixels (n, 2), image normals (n, 2).");
  m.def(
      "gaussian_blur",
      [](const Image& image, double sigma_px) {
        return from_image(gaussian_blur(to_image(image), sigma_px));
      },
      "image"_a,
      py::kw_only(),
      "sigma_px"_a,
      "Separable Gaussian (height, width), cut at 3 sigma, borders repeated.");
  m.def("image_attenuation",
        &attenuation_of,
        "pixels"_a,
        py::kw_only(),
        "factor"_a = 1,
        "polarity"_a = Polarity::kDarkIsDense,
        "Attenuation of an image whose pixels are grouped factor by factor, dense = bright.");
  m.def("image_gradient", &gradient_of, "smooth"_a, "Gradient (height, width, 2) and its noise.");
  m.def(
      "search_boundary",
      &search,
      "smooth"_a,
      "points_px"_a,
      "normals"_a,
      py::kw_only(),
      "half_width_px"_a,
      "step_px"_a = SearchWindow().step_px,
      "cap"_a = SearchWindow().cap,
      "foreign_rims"_a = Rows<float, 4>(0, 4),
      "certain_px"_a = 0.0,
      "reach_px"_a = 0.0,
      "Offset (n,) [px] and strength (n,) of the edge along each normal, strength 0: none; and the "
      "share (n,) of it that no foreign rim claims.");
  m.def("project_ellipsoid",
        &outline,
        "view"_a,
        "center"_a,
        "shape"_a,
        "Outline in the image: centre (2,) and shape (2, 2).");
}

}  // namespace osteoform
