// SPDX-License-Identifier: Apache-2.0
#include "osteoform/drr/thickness.hpp"

#include <gtest/gtest.h>

#include <random>

#include "sphere.hpp"

namespace osteoform {
namespace {

using testing::sphere;
using testing::SphereMesh;

constexpr int kWidth = 160;
constexpr int kHeight = 128;

Rigid3<double> some_pose() {
  return {so3_exp(Eigen::Vector3d(0.3, -0.5, 0.2)), {12.0, -7.0, 900.0}};
}

ConeView<double> cone() { return {some_pose(), {1500.0, 1400.0}, {78.0, 61.0}}; }
SlotView<double> slot() { return {some_pose(), 1500.0, 78.0, 0.7, -50.0}; }

std::vector<View> views() {
  SlotView<double> upward = slot();
  upward.row_pitch_mm = -0.7;
  upward.first_row_mm = 40.0;
  return {cone(), slot(), upward};
}

/// Start and direction, in the view frame, of the ray of a pixel.
std::pair<Eigen::Vector3d, Eigen::Vector3d> pixel_ray(const View& view, int u, int v) {
  if (const auto* c = std::get_if<ConeView<double>>(&view)) {
    const Eigen::Vector3d direction((u - c->principal_px.x()) / c->focal_px.x(),
                                    (v - c->principal_px.y()) / c->focal_px.y(),
                                    1.0);
    return {Eigen::Vector3d::Zero(), direction.normalized()};
  }
  const auto& s = std::get<SlotView<double>>(view);
  const Eigen::Vector3d direction((u - s.principal_u_px) / s.focal_px, 0.0, 1.0);
  return {{0.0, s.first_row_mm + v * s.row_pitch_mm, 0.0}, direction.normalized()};
}

std::vector<double> full_image(const ThicknessPatch& patch) {
  std::vector<double> image(kWidth * kHeight, 0.0);
  for (int v = patch.first_v; v < patch.first_v + patch.height; ++v) {
    for (int u = 0; u < patch.width; ++u) {
      image[v * kWidth + patch.first_u + u] = patch.row(v)[u];
    }
  }
  return image;
}

std::vector<double> render(const SphereMesh& mesh, const View& view, int num_threads = 1) {
  ThreadPool pool(num_threads);
  return full_image(thickness(mesh.vertices, mesh.faces, view, kWidth, kHeight, pool));
}

TEST(Thickness, SphereIsTheChord) {
  const Eigen::Vector3d center(3.0, -2.0, 5.0);
  const double radius_mm = 20.0;
  const SphereMesh mesh = sphere(center, radius_mm, 400);
  for (const View& view : views()) {
    const std::vector<double> image = render(mesh, view);
    const Eigen::Vector3d center_in_view = view_from_world(view) * center;
    double sum_error = 0.0, largest = 0.0;
    int num_inside = 0;
    for (int v = 0; v < kHeight; ++v) {
      for (int u = 0; u < kWidth; ++u) {
        const auto [start, direction] = pixel_ray(view, u, v);
        const double distance = (center_in_view - start).cross(direction).norm();
        const double half = radius_mm * radius_mm - distance * distance;
        const double chord = half > 0.0 ? 2.0 * std::sqrt(half) : 0.0;
        sum_error += std::abs(image[v * kWidth + u] - chord);
        largest = std::max(largest, chord);
        num_inside += half > 0.0;
      }
    }
    EXPECT_GT(largest, 2.0 * radius_mm - 0.1);
    EXPECT_GT(num_inside, 1000);
    EXPECT_LT(sum_error / num_inside, 0.01);
  }
}

// Volume of the part of a pixel's cone or wedge inside the body, from its chord: for a sphere the
// middle of the chord is known.
TEST(Thickness, IntegralIsTheVolume) {
  const Eigen::Vector3d center(3.0, -2.0, 5.0);
  const SphereMesh mesh = sphere(center, 20.0, 100);
  for (const View& view : views()) {
    const std::vector<double> image = render(mesh, view);
    const Eigen::Vector3d center_in_view = view_from_world(view) * center;
    double volume = 0.0;
    for (int v = 0; v < kHeight; ++v) {
      for (int u = 0; u < kWidth; ++u) {
        const auto [start, direction] = pixel_ray(view, u, v);
        const double middle_mm = (center_in_view - start).dot(direction) * direction.z();
        const double depth_mm = image[v * kWidth + u] * direction.z();
        if (const auto* c = std::get_if<ConeView<double>>(&view)) {
          volume +=
              depth_mm * (middle_mm * middle_mm + depth_mm * depth_mm / 12.0) / c->focal_px.prod();
        } else {
          const auto& s = std::get<SlotView<double>>(view);
          volume += depth_mm * middle_mm / s.focal_px * std::abs(s.row_pitch_mm);
        }
      }
    }
    const double truth = signed_volume(mesh.vertices, mesh.faces);
    EXPECT_NEAR(volume / truth, 1.0, 1e-3);  // pixels sample the rim
  }
}

TEST(Thickness, OrderOfFacesDoesNotMatter) {
  const SphereMesh mesh = sphere({0.0, 0.0, 0.0}, 25.0, 60);
  SphereMesh shuffled = mesh;
  std::vector<int> order(mesh.faces.rows());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  std::shuffle(order.begin(), order.end(), std::mt19937(3));
  for (std::size_t i = 0; i < order.size(); ++i) {
    const Eigen::RowVector3i face = mesh.faces.row(order[i]);
    shuffled.faces.row(i) << face[i % 3], face[(i + 1) % 3], face[(i + 2) % 3];
  }
  for (const View& view : views()) {
    const std::vector<double> expected = render(mesh, view);
    const std::vector<double> found = render(shuffled, view);
    for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(found[i], expected[i], 1e-4);
  }
}

TEST(Thickness, ThreadsAgreeBitForBit) {
  const SphereMesh mesh = sphere({0.0, 0.0, 0.0}, 25.0, 60);
  for (const View& view : views()) {
    const std::vector<double> serial = render(mesh, view);
    EXPECT_EQ(render(mesh, view, 2), serial);
    EXPECT_EQ(render(mesh, view, 7), serial);
  }
}

// Vertices exactly on pixel centres and edges exactly along rows and columns: every pixel is
// covered once from either side, or not at all.
TEST(Thickness, EdgesOnPixelCentresAreCoveredOnce) {
  ConeView<double> view;
  view.focal_px = {100.0, 100.0};
  view.view_from_world.translation = {0.0, 0.0, 100.0};
  Points vertices(8, 3);
  vertices << 0, 0, 0, 8, 0, 0, 8, 8, 0, 0, 8, 0, 0, 0, 100, 16, 0, 100, 16, 16, 100, 0, 16, 100;
  Faces faces(12, 3);
  faces << 0, 2, 1, 0, 3, 2, 4, 5, 6, 4, 6, 7, 0, 1, 5, 0, 5, 4, 1, 2, 6, 1, 6, 5, 2, 3, 7, 2, 7, 6,
      3, 0, 4, 3, 4, 7;
  ASSERT_TRUE(is_closed(faces));
  ThreadPool pool(1);
  const ThicknessPatch patch = thickness(vertices, faces, View(view), 20, 20, pool);
  ASSERT_EQ(patch.width, 8);
  ASSERT_EQ(patch.height, 8);
  for (int v = 0; v < 8; ++v) {
    for (int u = 0; u < 8; ++u) {
      EXPECT_NEAR(patch.row(v)[u], 100.0 * std::sqrt(1.0 + (u * u + v * v) * 1e-4), 1e-4);
    }
  }
}

TEST(Thickness, BodiesAroundTheSourceAreCutThere) {
  const double radius_mm = 50.0;
  const SphereMesh mesh = sphere({0.0, 0.0, 0.0}, radius_mm, 200);
  ConeView<double> view;
  view.focal_px = {100.0, 100.0};
  view.principal_px = {kWidth / 2.0, kHeight / 2.0};
  for (const double value : render(mesh, View(view))) EXPECT_NEAR(value, radius_mm, 0.05);
}

TEST(Thickness, BodiesBehindTheSourceOrBesideTheImageLeaveNothing) {
  for (const Eigen::Vector3d& center :
       {Eigen::Vector3d(0, 0, -500), Eigen::Vector3d(900, 0, 900)}) {
    const SphereMesh mesh = sphere(center, 30.0, 20);
    ConeView<double> view;
    ThreadPool pool(2);
    const ThicknessPatch patch = thickness(mesh.vertices, mesh.faces, View(view), 50, 50, pool);
    EXPECT_TRUE(patch.values.empty());
  }
}

TEST(Thickness, WhatLeavesTheImageKeepsItsThicknessInside) {
  const SphereMesh mesh = sphere({0.0, 0.0, 0.0}, 25.0, 60);
  const std::vector<double> whole = render(mesh, View(cone()));
  ConeView<double> shifted = cone();
  shifted.principal_px.x() -= 70.0;  // whole pixels: the same rays
  const std::vector<double> part = render(mesh, View(shifted));
  for (int v = 0; v < kHeight; ++v) {
    for (int u = 70; u < kWidth; ++u) {
      ASSERT_NEAR(part[v * kWidth + u - 70], whole[v * kWidth + u], 1e-4);
    }
  }
}

}  // namespace
}  // namespace osteoform
