// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <concepts>
#include <utility>

#include "osteoform/fit/cholesky.hpp"
#include "osteoform/fit/fit_state.hpp"
#include "osteoform/fit/normal_equations.hpp"

namespace osteoform {

/// A sum of residual terms on a fixed search result: smooth, so a step can be judged by its cost.
template <typename P>
concept LeastSquaresProblem =
    requires(P& problem, const FitState<double>& state, NormalEquations& sums) {
      { problem.accumulate(state, sums) } -> std::same_as<void>;
      { problem.cost(state) } -> std::convertible_to<double>;
    };

/// Buffers and damping of the solver, kept between calls.
struct LevenbergMarquardt {
  double damping = 1e-6;
  double max_b = 4.0;
  NormalEquations sums;
  Eigen::VectorXd added;  ///< to the diagonal of H
  Cholesky cholesky;
  Eigen::VectorXd dx;
  double cost = 0.0;
};

inline constexpr int kMaxTrials = 6;

/// One accepted step, or none: tries growing damping until the cost falls. Returns whether it fell.
/// dx of the solver is then the step.
template <LeastSquaresProblem Problem>
bool take_step(Problem& problem,
               LevenbergMarquardt& solver,
               FitState<double>& state,
               FitState<double>& trial) {
  solver.sums.reset(state.num_params());
  problem.accumulate(state, solver.sums);
  for (int attempt = 0; attempt < kMaxTrials; ++attempt) {
    solver.added = solver.damping * solver.sums.H.diagonal().array() + 1e-12;
    if (solver.cholesky.factor(solver.sums.H, solver.added)) {
      solver.dx = -solver.sums.g;
      solver.cholesky.solve(solver.dx);
      trial = state;
      trial.step(solver.dx);
      trial.b = trial.b.cwiseMax(-solver.max_b).cwiseMin(solver.max_b);
      const double trial_cost = problem.cost(trial);
      if (trial_cost <= solver.sums.cost) {
        std::swap(state, trial);
        solver.cost = trial_cost;
        solver.damping = std::max(1e-9, 0.1 * solver.damping);
        return true;
      }
    }
    solver.damping = std::max(1e-6, 10.0 * solver.damping);
  }
  return false;
}

}  // namespace osteoform
