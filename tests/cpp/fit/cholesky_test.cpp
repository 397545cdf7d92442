// SPDX-License-Identifier: Apache-2.0
#include "osteoform/fit/cholesky.hpp"

#include <gtest/gtest.h>

#include <Eigen/Cholesky>
#include <cmath>

namespace osteoform {
namespace {

Eigen::MatrixXd positive(int size) {
  const Eigen::MatrixXd J = Eigen::MatrixXd::Random(2 * size, size);
  return J.transpose() * J;
}

TEST(Cholesky, SolvesWhatTheLibrarySolves) {
  for (const int size : {1, 3, 6, 8, 27, 88, 130}) {
    const Eigen::MatrixXd H = positive(size);
    const Eigen::VectorXd added = Eigen::VectorXd::LinSpaced(size, 0.1, 0.3);
    const Eigen::VectorXd y = Eigen::VectorXd::Random(size);
    Cholesky cholesky;
    ASSERT_TRUE(cholesky.factor(H.triangularView<Eigen::Lower>(), added));
    Eigen::VectorXd x = y;
    cholesky.solve(x);
    const Eigen::MatrixXd damped = H + Eigen::MatrixXd(added.asDiagonal());
    const Eigen::VectorXd expected = damped.llt().solve(y);
    EXPECT_LT((x - expected).norm(), 1e-10 * expected.norm()) << size << " unknowns";
  }
}

TEST(Cholesky, UpperTimesItselfIsTheMatrix) {
  const Eigen::MatrixXd H = positive(13);
  Cholesky cholesky;
  ASSERT_TRUE(cholesky.factor(H, Eigen::VectorXd::Zero(13)));
  const int width = cholesky.width();
  ASSERT_EQ(width, 16);
  using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Rows U = Eigen::Map<const Rows>(cholesky.upper().data(), width, width);
  U = Rows(U.triangularView<Eigen::Upper>());
  const Rows product = U.transpose() * U;
  EXPECT_LT((product.topLeftCorner(13, 13) - H).cwiseAbs().maxCoeff(), 1e-12);
  EXPECT_TRUE(product.bottomRightCorner(3, 3).isIdentity(1e-15));
}

TEST(Cholesky, RefusesWhatIsNotPositive) {
  Eigen::MatrixXd H = positive(9);
  H(4, 4) = -1.0;
  Cholesky cholesky;
  EXPECT_FALSE(cholesky.factor(H, Eigen::VectorXd::Zero(9)));
  H(4, 4) = std::nan("");
  EXPECT_FALSE(cholesky.factor(H, Eigen::VectorXd::Zero(9)));
  EXPECT_FALSE(cholesky.factor(Eigen::MatrixXd::Zero(5, 5), Eigen::VectorXd::Zero(5)));
}

}  // namespace
}  // namespace osteoform
