// SPDX-License-Identifier: Apache-2.0
#include "osteoform/image/boundary_search.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "osteoform/image/gaussian.hpp"

namespace osteoform {
namespace {

/// Attenuation that falls from 1 to 0 across the line u = `edge`, blurred.
EdgeImage falling_edge(double edge) {
  ImageF image(64, 48);
  for (int v = 0; v < image.height; ++v) {
    for (int u = 0; u < image.width; ++u) {
      const double covered = std::min(1.0, std::max(0.0, edge - u + 0.5));  // of this pixel
      image.row(v)[u] = static_cast<float>(covered);
    }
  }
  Patch patch;
  patch.width = image.width;
  patch.height = image.height;
  return make_edge_image(gaussian_blur(image, 1.5), patch);
}

TEST(BoundarySearch, FindsAStepToATenthOfAPixel) {
  const float px[2] = {30.0F, 24.0F};
  const float normal[2] = {1.0F, 0.0F};
  for (const double edge : {27.0, 30.2, 32.75}) {
    const BoundaryPoint found = search_boundary(falling_edge(edge), px, normal, {8.0F, 0.5F, 0.0F});
    EXPECT_GT(found.strength, 0.1F);
    EXPECT_NEAR(found.offset_px, edge - 30.0, 0.1);
  }
}

TEST(BoundarySearch, DoesNotTakeARisingEdge) {
  const float px[2] = {30.0F, 24.0F};
  const float inward[2] = {-1.0F, 0.0F};
  const BoundaryPoint found = search_boundary(falling_edge(30.0), px, inward, {8.0F, 0.5F, 0.0F});
  EXPECT_LT(found.strength, 1e-5F);
}

TEST(BoundarySearch, FindsNothingOutsideTheImage) {
  const float px[2] = {-50.0F, 24.0F};
  const float normal[2] = {1.0F, 0.0F};
  EXPECT_EQ(search_boundary(falling_edge(30.0), px, normal, {8.0F, 0.5F, 0.0F}).strength, 0.0F);
}

TEST(BoundarySearch, LeavesForeignRimsAlone) {
  const EdgeImage image = falling_edge(30.0);
  const float px[2] = {30.0F, 24.0F};
  const float normal[2] = {1.0F, 0.0F};
  const SearchKernel kernel(SearchWindow{8.0F, 0.5F, 0.0F});
  const auto found_beside = [&](float nu, float nv) {
    const ForeignRim rim{{30.0F, 24.0F}, {nu, nv}};
    return search_boundary(
        image, px, normal, kernel, make_foreign_field({rim}, image.patch, 12.0, 20.0));
  };
  EXPECT_EQ(found_beside(1.0F, 0.0F).strength, 0.0F);  // the other's own
  EXPECT_EQ(found_beside(-1.0F, 0.0F).own, 1.0F);      // the other's falls the other way
  EXPECT_EQ(found_beside(0.0F, 1.0F).own, 1.0F);       // the other's runs across
  EXPECT_GT(found_beside(0.0F, 1.0F).strength, 0.1F);
  EXPECT_NEAR(found_beside(0.6F, 0.8F).own, 1.0F - 0.36F, 1e-5F);
}

TEST(EdgeImage, PatchPixelsAreWhereTheSourceSays) {
  Patch patch;
  patch.factor = 2;
  patch.left = 3;
  patch.top = 1;
  const Eigen::Vector2d first = patch.from_source({6.5, 2.5});
  EXPECT_DOUBLE_EQ(first.x(), 0.0);
  EXPECT_DOUBLE_EQ(first.y(), 0.0);
}

}  // namespace
}  // namespace osteoform
