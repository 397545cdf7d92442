// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/starts.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <numbers>

namespace osteoform {
namespace {

constexpr double kMinLabel = 0.15;      // probability below which a label says nothing
constexpr double kMaxRayGap_mm = 12.0;  // rays that pass further apart see different things
constexpr int kMinShared = 4;

struct Labelled {
  int point = 0;
  Eigen::Vector2d px;
};

/// The most likely detection of every feature point that has one.
std::vector<Labelled> labelled(const ViewFeatures& seen) {
  std::vector<Labelled> result;
  for (Eigen::Index j = 0; j < seen.class_probability.cols(); ++j) {
    Eigen::Index best = -1;
    for (Eigen::Index i = 0; i < seen.px.rows(); ++i) {
      const double p = seen.class_probability(i, j);
      if (p >= kMinLabel && (best < 0 || p > seen.class_probability(best, j))) best = i;
    }
    if (best >= 0) result.push_back({static_cast<int>(j), seen.px.row(best).transpose()});
  }
  return result;
}

struct Ray {
  Eigen::Vector3d origin;
  Eigen::Vector3d direction;
};

Ray ray_through(const View& view, const Eigen::Vector2d& px) {
  return std::visit(
      [&](const auto& v) -> Ray {
        const Eigen::Vector3d near = v.back_project(px, 100.0);
        const Eigen::Vector3d far = v.back_project(px, 2000.0);
        return {near, (far - near).normalized()};
      },
      view);
}

/// Point closest to all rays; gap is its largest distance from one of them.
Eigen::Vector3d closest_to(const std::vector<Ray>& rays, double& gap) {
  Eigen::Matrix3d A = Eigen::Matrix3d::Zero();
  Eigen::Vector3d a = Eigen::Vector3d::Zero();
  for (const Ray& ray : rays) {
    const Eigen::Matrix3d across =
        Eigen::Matrix3d::Identity() - ray.direction * ray.direction.transpose();
    A += across;
    a += across * ray.origin;
  }
  const Eigen::Vector3d x = A.fullPivLu().solve(a);
  gap = 0.0;
  for (const Ray& ray : rays) gap = std::max(gap, ray.direction.cross(x - ray.origin).norm());
  return x;
}

/// Rotation and translation that lay the columns of `from` onto those of `to` (Kabsch 1976).
Rigid3<double> kabsch(const Eigen::Matrix3Xd& from, const Eigen::Matrix3Xd& to) {
  const Eigen::Vector3d from_center = from.rowwise().mean();
  const Eigen::Vector3d to_center = to.rowwise().mean();
  const Eigen::Matrix3d covariance =
      (to.colwise() - to_center) * (from.colwise() - from_center).transpose();
  const Eigen::JacobiSVD<Eigen::Matrix3d> svd(covariance,
                                              Eigen::ComputeFullU | Eigen::ComputeFullV);
  Eigen::Matrix3d D = Eigen::Matrix3d::Identity();
  D(2, 2) = (svd.matrixU() * svd.matrixV().transpose()).determinant() < 0.0 ? -1.0 : 1.0;
  Rigid3<double> result;
  result.rotation = svd.matrixU() * D * svd.matrixV().transpose();
  result.translation = to_center - result.rotation * from_center;
  return result;
}

Eigen::Matrix3d turn(double angle, const Eigen::Vector3d& axis) {
  return so3_exp<double>(angle * axis);
}

double spread(const Eigen::Matrix2Xd& px) {
  return std::sqrt((px.colwise() - px.rowwise().mean()).squaredNorm() /
                   static_cast<double>(px.cols()));
}

/// Depth at which the model's labelled points spread like the detections, and the shift on to them.
template <XrayGeometry V>
Rigid3<double> place(const V& view,
                     const FeatureModel& features,
                     const std::vector<Labelled>& seen,
                     const Eigen::Matrix3d& view_from_bone) {
  const auto n = static_cast<Eigen::Index>(seen.size());
  Eigen::Matrix2Xd px(2, n);
  Eigen::Matrix3Xd model(3, n);
  for (Eigen::Index k = 0; k < n; ++k) {
    px.col(k) = seen[static_cast<std::size_t>(k)].px;
    model.col(k) = features.point_mean.row(seen[static_cast<std::size_t>(k)].point).transpose();
  }
  V centered = view;
  centered.view_from_world = {view_from_bone, Eigen::Vector3d::Zero()};
  double depth_mm = 1000.0;
  for (int iteration = 0; iteration < 3; ++iteration) {
    centered.view_from_world.translation.z() = depth_mm;
    Eigen::Matrix2Xd projected(2, n);
    for (Eigen::Index k = 0; k < n; ++k) projected.col(k) = centered.project(model.col(k));
    depth_mm = std::clamp(depth_mm * spread(projected) / std::max(spread(px), 1e-6), 200.0, 5000.0);
  }
  const Eigen::Vector3d center_in_world = view.back_project(px.rowwise().mean(), depth_mm);
  Rigid3<double> world_from_bone;
  world_from_bone.rotation = view.view_from_world.rotation.transpose() * view_from_bone;
  world_from_bone.translation = center_in_world - world_from_bone.rotation * model.rowwise().mean();
  return world_from_bone;
}

}  // namespace

bool triangulated_start(const ShapeModel& model,
                        const std::vector<View>& views,
                        const std::vector<const ViewFeatures*>& features,
                        Rigid3<double>& world_from_bone) {
  std::vector<std::vector<Ray>> rays(static_cast<std::size_t>(model.features.num_points()));
  for (std::size_t v = 0; v < views.size(); ++v) {
    for (const Labelled& seen : labelled(*features[v])) {
      rays[static_cast<std::size_t>(seen.point)].push_back(ray_through(views[v], seen.px));
    }
  }
  Eigen::Matrix3Xd from(3, model.features.num_points());
  Eigen::Matrix3Xd to = from;
  Eigen::Index num_shared = 0;
  for (std::size_t j = 0; j < rays.size(); ++j) {
    if (rays[j].size() < 2) continue;
    double gap = 0.0;
    const Eigen::Vector3d x = closest_to(rays[j], gap);
    if (gap > kMaxRayGap_mm) continue;
    from.col(num_shared) = model.features.point_mean.row(static_cast<Eigen::Index>(j)).transpose();
    to.col(num_shared++) = x;
  }
  if (num_shared < kMinShared) return false;
  world_from_bone = kabsch(from.leftCols(num_shared), to.leftCols(num_shared));
  return true;
}

std::vector<Rigid3<double>> turned_starts(const ShapeModel& model,
                                          const std::vector<View>& views,
                                          const std::vector<const ViewFeatures*>& features) {
  std::size_t v = 0;
  for (std::size_t k = 1; k < features.size(); ++k) {
    if (features[k]->px.rows() > features[v]->px.rows()) v = k;
  }
  const std::vector<Labelled> seen = labelled(*features[v]);
  std::vector<Rigid3<double>> starts;
  if (seen.size() < 3) return starts;
  // Bone z (proximal) points up the image, bone y (posterior) along the beam.
  Eigen::Matrix3d upright;
  upright << 1, 0, 0, 0, 0, -1, 0, 1, 0;
  constexpr double pi = std::numbers::pi;
  for (int quarter = 0; quarter < 4; ++quarter) {
    for (int eighth = 0; eighth < 8; ++eighth) {
      const Eigen::Matrix3d view_from_bone = turn(quarter * pi / 2, Eigen::Vector3d::UnitZ()) *
                                             upright *
                                             turn(eighth * pi / 4, Eigen::Vector3d::UnitZ());
      starts.push_back(std::visit(
          [&](const auto& view) { return place(view, model.features, seen, view_from_bone); },
          views[v]));
    }
  }
  return starts;
}

}  // namespace osteoform
