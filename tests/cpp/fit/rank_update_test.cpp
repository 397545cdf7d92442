// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/rank_update.hpp"

#include <gtest/gtest.h>

#include <Eigen/Core>

#include "osteoform/fit/row_sums.hpp"

namespace osteoform {
namespace {

template <typename Scalar>
using Rows = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <typename Scalar>
class RankUpdateTest : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(RankUpdateTest, Scalars);

TYPED_TEST(RankUpdateTest, IsTheProductOnAndAboveTheDiagonal) {
  for (const int num_rows : {0, 1, 7, 64}) {
    for (const int width : {8, 24, 88}) {
      const Rows<TypeParam> a = Rows<TypeParam>::Random(num_rows, width);
      const Rows<TypeParam> b = Rows<TypeParam>::Random(num_rows, width);
      const Rows<TypeParam> expected = a.transpose() * b;
      Rows<TypeParam> sums = Rows<TypeParam>::Constant(width, width, TypeParam(7));
      rank_update(a.data(), b.data(), num_rows, width, sums.data());
      const Rows<TypeParam> gap = (sums - expected).template triangularView<Eigen::Upper>();
      EXPECT_LT(gap.cwiseAbs().maxCoeff(), 1e-5) << num_rows << " rows of " << width;
    }
  }
}

TEST(RowSums, AddsWhatEachRowWouldAlone) {
  const int num_params = 11;
  RowSums rows;
  rows.reset(num_params);
  NormalEquations sums;
  sums.reset(num_params);
  sums.g.setOnes();
  Eigen::MatrixXd H = Eigen::MatrixXd::Zero(num_params, num_params);
  Eigen::VectorXd g = Eigen::VectorXd::Ones(num_params);
  for (const int d : {2, 5, 2}) {
    const Rows<double> J = Rows<double>::Random(d, num_params);
    const Eigen::VectorXd r = Eigen::VectorXd::Random(d);
    rows.add(J, r, 0.1 * d);
    H += 0.1 * d * J.transpose() * J;
    g += 0.1 * d * J.transpose() * r;
  }
  rows.multiply();
  rows.add_to(sums);
  const Eigen::MatrixXd gap = (sums.H - H).triangularView<Eigen::Lower>();
  EXPECT_LT(gap.cwiseAbs().maxCoeff(), 1e-12);
  EXPECT_LT((sums.g - g).cwiseAbs().maxCoeff(), 1e-12);
}

TEST(RowSums, OfNothingIsNothing) {
  NormalEquations sums;
  sums.reset(6);
  RowSums rows;
  rows.reset(6);
  rows.multiply();
  rows.add_to(sums);
  EXPECT_EQ(sums.H.cwiseAbs().maxCoeff(), 0.0);
}

}  // namespace
}  // namespace osteoform
