// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/rival_starts.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace osteoform {
namespace {

TEST(StartPosterior, SdIsOfAllDirectionsTogether) {
  StartPosterior posterior;
  posterior.motion_mm = Eigen::Vector3d{4.0, 3.0, 0.0};
  EXPECT_DOUBLE_EQ(posterior.sd_mm(), 5.0);
}

TEST(StartPosterior, WhatNoImageShowsIsOpen) {
  StartPosterior posterior;
  posterior.motion_mm = Eigen::Vector3d::Zero();
  EXPECT_TRUE(std::isinf(posterior.sd_mm()));
}

}  // namespace
}  // namespace osteoform
