// SPDX-License-Identifier: Apache-2.0
#include "osteoform/drr/radiograph.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "osteoform/base/error.hpp"
#include "sphere.hpp"

namespace osteoform {
namespace {

constexpr int kSize = 129;
constexpr int kMiddle = kSize / 2;

View centred_view() {
  ConeView<double> view;
  view.focal_px = {1000.0, 1000.0};
  view.principal_px = {kMiddle, kMiddle};
  view.view_from_world.translation = {0.0, 0.0, 900.0};
  return view;
}

Body ball(double radius_mm, double mu_per_mm, Tissue tissue) {
  testing::SphereMesh mesh = testing::sphere({0.0, 0.0, 0.0}, radius_mm, 120);
  return {mesh.vertices, mesh.faces, Points(0, 3), mu_per_mm, 0.0, tissue};
}

/// Attenuation of the central ray, that crosses every ball along its diameter.
double central_attenuation(const std::vector<Body>& bodies) {
  std::vector<float> image(kSize * kSize);
  ThreadPool pool(1);
  attenuation(bodies, centred_view(), pool, {image.data(), kSize, kSize});
  return image[kMiddle * kSize + kMiddle];
}

std::vector<float> exposed(std::vector<float> image, const ExposureOptions& options, int threads) {
  ThreadPool pool(threads);
  expose(options, pool, {image.data(), kSize, kSize});
  return image;
}

ExposureOptions ideal() {
  ExposureOptions options;
  options.dose = std::numeric_limits<double>::infinity();
  options.blur_px = 0.0;
  options.scatter_fraction = 0.0;
  return options;
}

TEST(Attenuation, BoneDisplacesSoftTissue) {
  const double found =
      central_attenuation({ball(40.0, 0.02, Tissue::kSoft), ball(10.0, 0.06, Tissue::kBone)});
  EXPECT_NEAR(found, 0.02 * 60.0 + 0.06 * 20.0, 1e-3);
}

TEST(Attenuation, TheInnerSurfaceHoldsAnotherMaterial) {
  Body bone = ball(10.0, 0.06, Tissue::kBone);
  bone.inner_vertices = 0.8F * bone.vertices;
  bone.inner_mu_per_mm = 0.03;
  EXPECT_NEAR(central_attenuation({bone}), 0.06 * 4.0 + 0.03 * 16.0, 1e-3);
  bone.inner_vertices = 2.0F * bone.vertices;  // no more than all of it
  EXPECT_NEAR(central_attenuation({bone}), 0.03 * 20.0, 1e-3);
}

TEST(Attenuation, AddsOverBodiesThatDoNotDisplaceEachOther) {
  EXPECT_NEAR(
      central_attenuation({ball(10.0, 0.3, Tissue::kMetal), ball(20.0, 0.06, Tissue::kBone)}),
      0.3 * 20.0 + 0.06 * 40.0,
      5e-3);
  EXPECT_EQ(central_attenuation({}), 0.0);
}

TEST(Attenuation, BoneOutsideSoftTissueTakesNothingAway) {
  const double found =
      central_attenuation({ball(5.0, 0.02, Tissue::kSoft), ball(10.0, 0.06, Tissue::kBone)});
  EXPECT_NEAR(found, 0.06 * 20.0, 1e-3);
}

TEST(Expose, IsTheExponentialLaw) {
  const std::vector<float> grey = exposed(std::vector<float>(kSize * kSize, 1.5F), ideal(), 1);
  for (const float value : grey) EXPECT_NEAR(value, std::exp(-1.5), 1e-6);
}

TEST(Expose, HardeningBrightensDenseParts) {
  ExposureOptions options = ideal();
  options.hardening = 0.3;
  const std::vector<float> grey = exposed(std::vector<float>(kSize * kSize, 2.0F), options, 1);
  EXPECT_NEAR(grey[0], 0.5 * (std::exp(-2.6) + std::exp(-1.4)), 1e-6);
}

TEST(Expose, ScatterKeepsTheOpenBeamAndFillsShadows) {
  ExposureOptions options = ideal();
  options.scatter_fraction = 0.3;
  options.scatter_px = 10.0;
  std::vector<float> shadow(kSize * kSize, 0.0F);
  EXPECT_NEAR(exposed(shadow, options, 1)[0], 1.0, 1e-5);
  shadow[kMiddle * kSize + kMiddle] = 10.0F;
  EXPECT_NEAR(exposed(shadow, options, 1)[kMiddle * kSize + kMiddle], 0.3, 0.01);
}

TEST(Expose, NoiseHasTheVarianceOfItsDose) {
  ExposureOptions options = ideal();
  for (const double dose : {40.0, 2000.0}) {
    options.dose = dose;
    const std::vector<float> grey = exposed(std::vector<float>(kSize * kSize, 1.0F), options, 1);
    double mean = 0.0, variance = 0.0;
    for (const float value : grey) mean += value / grey.size();
    for (const float value : grey) variance += std::pow(value - mean, 2) / grey.size();
    const double truth = std::exp(-1.0);
    EXPECT_NEAR(mean, truth, 5.0 * std::sqrt(truth / dose / grey.size()));
    EXPECT_NEAR(variance * dose / truth, 1.0, 0.05);
  }
}

TEST(Expose, ThreadsAgreeBitForBitAndSeedsDiffer) {
  ExposureOptions options;
  const std::vector<float> flat(kSize * kSize, 1.0F);
  const std::vector<float> serial = exposed(flat, options, 1);
  EXPECT_EQ(exposed(flat, options, 2), serial);
  EXPECT_EQ(exposed(flat, options, 7), serial);
  options.seed = 1;
  EXPECT_NE(exposed(flat, options, 1), serial);
}

TEST(Check, RefusesWhatCannotBeRendered) {
  Body body = ball(10.0, 0.06, Tissue::kBone);
  EXPECT_NO_THROW(body.check());
  body.faces.conservativeResize(body.faces.rows() - 1, 3);
  EXPECT_THROW(body.check(), InputError);
  body = ball(10.0, -0.06, Tissue::kBone);
  EXPECT_THROW(body.check(), InputError);
  body = ball(10.0, 0.06, Tissue::kBone);
  body.vertices(0, 0) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(body.check(), InputError);
  ExposureOptions options;
  options.dose = 0.0;
  EXPECT_THROW(options.check(), InputError);
}

}  // namespace
}  // namespace osteoform
