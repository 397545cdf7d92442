// SPDX-License-Identifier: Apache-2.0
#include <pybind11/native_enum.h>
#include <pybind11/numpy.h>

#include "convert.hpp"
#include "osteoform/fit/fit_bone.hpp"

namespace osteoform {
namespace {

using Pixels = py::array_t<float, py::array::c_style>;

ViewFeatures make_view_features(
    const Rows<double, 2>& points_px,
    const Eigen::VectorXd& sigma_px,
    const MatrixRm& class_probability,
    const Eigen::VectorXi& ellipse_ids,
    const Rows<double, 2>& ellipse_center_px,
    const py::array_t<double, py::array::c_style | py::array::forcecast>& ellipse_shape_px2,
    const Eigen::VectorXd& ellipse_sigma_px) {
  const Eigen::Index n = points_px.rows();
  const Eigen::Index m = ellipse_ids.size();
  require(sigma_px.size() == n && class_probability.rows() == n,
          "sigma_px and class_probability must hold one row per point");
  require(points_px.allFinite() && sigma_px.allFinite() && class_probability.allFinite(),
          "points_px, sigma_px and class_probability must be finite");
  require(n == 0 || (sigma_px.minCoeff() > 0.0 && class_probability.minCoeff() >= 0.0),
          "sigma_px must be positive and class_probability not negative");
  require(ellipse_center_px.rows() == m && ellipse_sigma_px.size() == m &&
              ellipse_shape_px2.ndim() == 3 && ellipse_shape_px2.shape(0) == m &&
              ellipse_shape_px2.shape(1) == 2 && ellipse_shape_px2.shape(2) == 2,
          "ellipse arrays must hold one entry per ellipse id");
  require(ellipse_center_px.allFinite() && ellipse_sigma_px.allFinite() &&
              (m == 0 || ellipse_sigma_px.minCoeff() > 0.0),
          "ellipse arrays must be finite and ellipse_sigma_px positive");
  ViewFeatures features;
  features.px = points_px;
  features.sigma_px = sigma_px;
  features.class_probability = class_probability;
  const auto shape = ellipse_shape_px2.unchecked<3>();
  for (Eigen::Index e = 0; e < m; ++e) {
    EllipseObservation observation;
    observation.ellipsoid = ellipse_ids[e];
    observation.ellipse.center = ellipse_center_px.row(e).transpose();
    observation.ellipse.shape << shape(e, 0, 0), shape(e, 0, 1), shape(e, 1, 0), shape(e, 1, 1);
    observation.sigma_px = ellipse_sigma_px[e];
    const Eigen::Matrix2d& S = observation.ellipse.shape;
    require(S.allFinite() && S(0, 0) > 0.0 && S.determinant() > 0.0,
            "ellipse_shape_px2 must hold positive definite matrices");
    features.ellipses.push_back(observation);
  }
  return features;
}

void check_readings(const ShapeModel& model, const std::vector<Readings>& readings) {
  for (const Readings& view : readings) {
    require(!view.empty(), "readings must hold at least one reading per view");
    for (const ViewFeatures& features : view) {
      require(features.class_probability.cols() == model.features.num_points(),
              "class_probability must have one column per feature point of the model (" +
                  std::to_string(model.features.num_points()) + ")");
      for (const EllipseObservation& e : features.ellipses) {
        require(e.ellipsoid >= 0 && e.ellipsoid < model.features.num_ellipsoids(),
                "ellipse_ids must index the model's ellipsoids");
      }
    }
  }
}

std::vector<XrayImage> wrap_images(const std::vector<Pixels>& pixels,
                                   const std::vector<Polarity>& polarities) {
  require(pixels.size() == polarities.size(), "pixels and polarities must have one entry per view");
  std::vector<XrayImage> images;
  for (std::size_t v = 0; v < pixels.size(); ++v) {
    require(pixels[v].ndim() == 2 && pixels[v].shape(0) >= 2 && pixels[v].shape(1) >= 2,
            "pixels must be (rows, columns), at least 2 x 2");
    images.push_back({pixels[v].data(),
                      static_cast<int>(pixels[v].shape(1)),
                      static_cast<int>(pixels[v].shape(0)),
                      polarities[v]});
  }
  return images;
}

std::optional<Rigid3<double>> to_start(const std::optional<Eigen::Matrix4d>& start) {
  if (!start) return std::nullopt;
  return rigid_from_matrix(*start, "start");
}

std::vector<std::vector<ForeignRim>> to_foreign(const std::vector<Rows<float, 4>>& of_views) {
  std::vector<std::vector<ForeignRim>> foreign;
  for (const Rows<float, 4>& rims : of_views) foreign.push_back(to_rims(rims));
  return foreign;
}

BoneFit py_fit_bone(const ShapeModel& model,
                    const std::vector<View>& views,
                    const std::vector<Pixels>& pixels,
                    const std::vector<Polarity>& polarities,
                    const std::vector<Readings>& readings,
                    const std::vector<Rows<float, 4>>& foreign_rims,
                    const std::optional<Eigen::Matrix4d>& start,
                    const FitOptions& options) {
  const std::vector<XrayImage> images = wrap_images(pixels, polarities);
  check_readings(model, readings);
  const std::optional<Rigid3<double>> world_from_bone = to_start(start);
  const std::vector<std::vector<ForeignRim>> foreign = to_foreign(foreign_rims);
  const py::gil_scoped_release release;
  return fit_bone(model, views, images, readings, foreign, world_from_bone, options);
}

Alignments py_align_bone(const ShapeModel& model,
                         const std::vector<View>& views,
                         const std::vector<Readings>& readings,
                         const std::optional<Eigen::Matrix4d>& start,
                         const FitOptions& options) {
  check_readings(model, readings);
  const std::optional<Rigid3<double>> world_from_bone = to_start(start);
  const py::gil_scoped_release release;
  return align_bone(model, views, readings, world_from_bone, options);
}

BoneFit py_fit_aligned(const ShapeModel& model,
                       const std::vector<View>& views,
                       const std::vector<Pixels>& pixels,
                       const std::vector<Polarity>& polarities,
                       const Alignments& aligned,
                       const std::vector<Rows<float, 4>>& foreign_rims,
                       const FitOptions& options) {
  const std::vector<XrayImage> images = wrap_images(pixels, polarities);
  const std::vector<std::vector<ForeignRim>> foreign = to_foreign(foreign_rims);
  const py::gil_scoped_release release;
  return fit_aligned(model, views, images, aligned, foreign, options);
}

MatrixRm correction_matrix(const BoneFit& fit) {
  MatrixRm rows(static_cast<Eigen::Index>(fit.corrections.size()), 6);
  for (std::size_t v = 0; v < fit.corrections.size(); ++v) {
    rows.row(static_cast<Eigen::Index>(v)) << fit.corrections[v].rotation.transpose(),
        fit.corrections[v].translation.transpose();
  }
  return rows;
}

/// Rows u, v and the outward unit normal.
Rows<float, 4> rims(const BoundaryReport& report) {
  Rows<float, 4> rows(static_cast<Eigen::Index>(report.silhouette.size()), 4);
  for (std::size_t k = 0; k < report.silhouette.size(); ++k) {
    const SilhouettePoint& point = report.silhouette[k];
    rows.row(static_cast<Eigen::Index>(k)) << point.px[0], point.px[1], point.normal[0],
        point.normal[1];
  }
  return rows;
}

Rows<float, 2> found_px(const BoundaryReport& report) {
  return Eigen::Map<const Rows<float, 2>>(
      report.found_px.data(), static_cast<Eigen::Index>(report.found_px.size() / 2), 2);
}

FitOptions make_fit_options(int iterations,
                            double search_start_mm,
                            double search_end_mm,
                            double smoothing_mm,
                            double coarse_smoothing_mm,
                            double image_blur_mm,
                            double boundary_sigma_mm,
                            double boundary_correlation_mm,
                            int points_per_view,
                            Rims rims,
                            double feature_sigma_mm,
                            double slack_cost,
                            double shape_prior,
                            double max_b,
                            double calibration_sd_mm,
                            double calibration_sd_deg,
                            double depth_sd_mm,
                            double step_tolerance_mm,
                            int num_threads,
                            bool covariance) {
  FitOptions options{iterations,          search_start_mm,
                     search_end_mm,       smoothing_mm,
                     coarse_smoothing_mm, image_blur_mm,
                     boundary_sigma_mm,   boundary_correlation_mm,
                     points_per_view,     rims,
                     feature_sigma_mm,    slack_cost,
                     shape_prior,         max_b,
                     calibration_sd_mm,   calibration_sd_deg,
                     depth_sd_mm,         step_tolerance_mm,
                     num_threads,         covariance};
  options.check();
  return options;
}

void bind_options(py::module_& m) {
  const FitOptions d;  // the C++ struct is the single source of the defaults
  py::class_<FitOptions>(m, "FitOptions", py::is_final(), "How to fit; lengths at the bone [mm].")
      .def(py::init(&make_fit_options),
           py::kw_only(),
           "iterations"_a = d.iterations,
           "search_start_mm"_a = d.search_start_mm,
           "search_end_mm"_a = d.search_end_mm,
           "smoothing_mm"_a = d.smoothing_mm,
           "coarse_smoothing_mm"_a = d.coarse_smoothing_mm,
           "image_blur_mm"_a = d.image_blur_mm,
           "boundary_sigma_mm"_a = d.boundary_sigma_mm,
           "boundary_correlation_mm"_a = d.boundary_correlation_mm,
           "points_per_view"_a = d.points_per_view,
           "rims"_a = d.rims,
           "feature_sigma_mm"_a = d.feature_sigma_mm,
           "slack_cost"_a = d.slack_cost,
           "shape_prior"_a = d.shape_prior,
           "max_b"_a = d.max_b,
           "calibration_sd_mm"_a = d.calibration_sd_mm,
           "calibration_sd_deg"_a = d.calibration_sd_deg,
           "depth_sd_mm"_a = d.depth_sd_mm,
           "step_tolerance_mm"_a = d.step_tolerance_mm,
           "num_threads"_a = d.num_threads,
           "covariance"_a = d.covariance)
      .def_readonly("iterations", &FitOptions::iterations)
      .def_readonly("search_start_mm", &FitOptions::search_start_mm)
      .def_readonly("search_end_mm", &FitOptions::search_end_mm)
      .def_readonly("smoothing_mm", &FitOptions::smoothing_mm)
      .def_readonly("coarse_smoothing_mm", &FitOptions::coarse_smoothing_mm)
      .def_readonly("image_blur_mm", &FitOptions::image_blur_mm)
      .def_readonly("boundary_sigma_mm", &FitOptions::boundary_sigma_mm)
      .def_readonly("boundary_correlation_mm", &FitOptions::boundary_correlation_mm)
      .def_readonly("points_per_view", &FitOptions::points_per_view)
      .def_readonly("rims", &FitOptions::rims)
      .def_readonly("feature_sigma_mm", &FitOptions::feature_sigma_mm)
      .def_readonly("slack_cost", &FitOptions::slack_cost)
      .def_readonly("shape_prior", &FitOptions::shape_prior)
      .def_readonly("max_b", &FitOptions::max_b)
      .def_readonly("calibration_sd_mm", &FitOptions::calibration_sd_mm)
      .def_readonly("calibration_sd_deg", &FitOptions::calibration_sd_deg)
      .def_readonly("depth_sd_mm", &FitOptions::depth_sd_mm)
      .def_readonly("step_tolerance_mm", &FitOptions::step_tolerance_mm)
      .def_readonly("num_threads", &FitOptions::num_threads)
      .def_readonly("covariance", &FitOptions::covariance);
}

const Alignment& best(const Alignments& aligned) { return aligned.answers.front(); }

void bind_alignments(py::module_& m) {
  py::class_<Alignments>(
      m, "Alignments", py::is_final(), "Where features put a bone: different answers, best first.")
      .def_property_readonly("world_from_bone",
                             [](const Alignments& aligned) -> MatrixRm {
                               return matrix_from_rigid(best(aligned).state.world_from_bone);
                             })
      .def_property_readonly(
          "b",
          [](const Alignments& aligned) -> Eigen::VectorXd { return best(aligned).state.b; },
          "Of the modes that alignment moves.")
      .def_property_readonly(
          "readings",
          [](const Alignments& aligned) { return best(aligned).readings; },
          "Which one was taken, per view.")
      .def_property_readonly("quality",
                             [](const Alignments& aligned) { return best(aligned).quality; })
      .def_property_readonly("num_matched",
                             [](const Alignments& aligned) { return best(aligned).num_matched; });
}

void bind_result(py::module_& m) {
  py::class_<StageTimes>(m, "StageTimes", py::is_final(), "Wall-clock time per stage [ms].")
      .def_readonly("match_ms", &StageTimes::match_ms)
      .def_readonly("prepare_ms", &StageTimes::prepare_ms)
      .def_readonly("search_ms", &StageTimes::search_ms)
      .def_readonly("solve_ms", &StageTimes::solve_ms)
      .def_readonly("summary_ms", &StageTimes::summary_ms);

  py::class_<BoneFit>(m, "BoneFit", py::is_final(), "One fitted bone, also when it failed.")
      .def_readonly("status", &BoneFit::status)
      .def_property_readonly(
          "world_from_bone",
          [](const BoneFit& fit) -> MatrixRm { return matrix_from_rigid(fit.world_from_bone); })
      .def_readonly("b", &BoneFit::b)
      .def_property_readonly(
          "corrections",
          &correction_matrix,
          "(V - 1, 6): rotation vector [rad], translation [mm] per further view.")
      .def_property_readonly("vertices", [](const BoneFit& fit) -> Points { return fit.vertices; })
      .def_property_readonly("vertex_sd_mm",
                             [](const BoneFit& fit) -> Eigen::VectorXf { return fit.vertex_sd_mm; })
      .def_readonly("readings", &BoneFit::readings)
      .def_property_readonly(
          "rims",
          [](const BoneFit& fit) {
            std::vector<Rows<float, 4>> rows;
            for (const auto& report : fit.boundaries) rows.push_back(rims(report));
            return rows;
          },
          "Per view (n, 4): pixel of the silhouette and outward unit normal.")
      .def_property_readonly("boundary_px",
                             [](const BoneFit& fit) {
                               std::vector<Rows<float, 2>> px;
                               for (const auto& report : fit.boundaries) {
                                 px.push_back(found_px(report));
                               }
                               return px;
                             })
      .def_property_readonly(
          "view_rms_mm",
          [](const BoneFit& fit) {
            std::vector<double> rms_mm;
            for (const auto& report : fit.boundaries) rms_mm.push_back(report.rms_mm);
            return rms_mm;
          },
          "Per view: root mean square distance to the boundary; NaN where there is none.")
      .def_readonly("boundary_rms_mm", &BoneFit::boundary_rms_mm)
      .def_readonly("boundary_found", &BoneFit::boundary_found)
      .def_readonly("match_quality", &BoneFit::match_quality)
      .def_readonly("num_matched", &BoneFit::num_matched)
      .def_readonly("start_sd_mm", &BoneFit::start_sd_mm)
      .def_readonly("cost", &BoneFit::cost)
      .def_readonly("iterations", &BoneFit::iterations)
      .def_readonly("times", &BoneFit::times);
}

}  // namespace

void bind_fit(py::module_& m) {
  py::native_enum<FitStatus>(m, "FitStatus", "enum.Enum", "How a fit ended.")
      .value("CONVERGED", FitStatus::kConverged)
      .value("ITERATION_LIMIT", FitStatus::kIterationLimit)
      .value("STALLED", FitStatus::kStalled)
      .value("NOT_FOUND", FitStatus::kNotFound)
      .finalize();
  py::native_enum<Rims>(m, "Rims", "enum.Enum", "Which rims are searched for.")
      .value("ALL", Rims::kAll)
      .value("OUTER", Rims::kOuter)
      .finalize();
  py::native_enum<Polarity>(m, "Polarity", "enum.Enum", "Which way grey values run.")
      .value("DARK_IS_DENSE", Polarity::kDarkIsDense)
      .value("BRIGHT_IS_DENSE", Polarity::kBrightIsDense)
      .finalize();
  bind_options(m);

  py::class_<ViewFeatures>(m, "ViewFeatures", py::is_final(), "What was detected in one view.")
      .def(py::init(&make_view_features),
           py::kw_only(),
           "points_px"_a,
           "sigma_px"_a,
           "class_probability"_a,
           "ellipse_ids"_a,
           "ellipse_center_px"_a,
           "ellipse_shape_px2"_a,
           "ellipse_sigma_px"_a);
  bind_alignments(m);
  bind_result(m);
  m.def("align_bone",
        &py_align_bone,
        py::kw_only(),
        "model"_a,
        "views"_a,
        "readings"_a,
        "start"_a,
        "options"_a,
        "The first half of fit_bone: match and align.");
  m.def("fit_aligned",
        &py_fit_aligned,
        py::kw_only(),
        "model"_a,
        "views"_a,
        "pixels"_a,
        "polarities"_a,
        "aligned"_a,
        "foreign_rims"_a = std::vector<Rows<float, 4>>{},
        "options"_a,
        "The second half of fit_bone: search and solve.");
  m.def("fit_bone",
        &py_fit_bone,
        py::kw_only(),
        "model"_a,
        "views"_a,
        "pixels"_a,
        "polarities"_a,
        "readings"_a,
        "foreign_rims"_a = std::vector<Rows<float, 4>>{},
        "start"_a,
        "options"_a,
        "Fits one bone to its X-rays: match, align, search and solve. One call, no GIL.");
}

}  // namespace osteoform
