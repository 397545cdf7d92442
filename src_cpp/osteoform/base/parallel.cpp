// SPDX-License-Identifier: Apache-2.0
#include "osteoform/base/parallel.hpp"

#include <chrono>
#include <string>

#include "osteoform/base/error.hpp"

namespace osteoform {
namespace {

/// Watches for something that another thread is about to do: to be woken takes longer than a
/// block of work does, and far longer where the core was given back to a hypervisor. Gives the core
/// away meanwhile to whoever wants it.
template <typename Condition>
bool comes_soon(const Condition& condition) {
  constexpr std::chrono::microseconds kPatience(1000);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

std::size_t checked(int num_threads) {
  require(num_threads >= 1 && num_threads <= 256,
          "num_threads must be between 1 and 256, found " + std::to_string(num_threads));
  return static_cast<std::size_t>(num_threads);
}

}  // namespace

ThreadPool::ThreadPool(int num_threads) : shares_(checked(num_threads)) {
  patient_ = static_cast<unsigned>(num_threads) > std::thread::hardware_concurrency();
  for (std::size_t thread = 1; thread < shares_.size(); ++thread) {
    workers_.emplace_back([this, thread] { worker_loop(thread); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    ++generation_;  // those who watch see it at once
  }
  start_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_shares(std::size_t thread) {
  for (std::size_t k = 0; k < shares_.size(); ++k) {
    Share& share = shares_[(thread + k) % shares_.size()];
    for (int block = share.next++; block < share.end; block = share.next++) (*work_)(block);
  }
}

void ThreadPool::run(int num_blocks, const std::function<void(int)>& work) {
  if (workers_.empty() || num_blocks <= 1) {
    for (int block = 0; block < num_blocks; ++block) work(block);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    work_ = &work;
    const int num_threads = static_cast<int>(shares_.size());
    for (int thread = 0; thread < num_threads; ++thread) {
      Share& share = shares_[static_cast<std::size_t>(thread)];
      share.next = num_blocks * thread / num_threads;
      share.end = num_blocks * (thread + 1) / num_threads;
    }
    num_running_ = static_cast<int>(workers_.size());
    ++generation_;
  }
  start_.notify_all();
  run_shares(0);
  if (!patient_ && comes_soon([this] { return num_running_ == 0; })) return;
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return num_running_ == 0; });
}

void ThreadPool::run(std::span<const Work> beside,
                     int num_blocks,
                     const std::function<void(int)>& work) {
  const int num_beside = static_cast<int>(beside.size());
  run(num_beside + num_blocks, [&](int k) {
    if (k < num_beside) return beside[static_cast<std::size_t>(k)]();
    work(k - num_beside);
  });
}

void ThreadPool::worker_loop(std::size_t thread) {
  std::uint64_t seen = 0;
  while (true) {
    if (!patient_) comes_soon([&] { return generation_ != seen; });
    {
      std::unique_lock lock(mutex_);
      start_.wait(lock, [&] { return stop_ || generation_ != seen; });
      if (stop_) return;
      seen = generation_;
    }
    run_shares(thread);
    {
      const std::lock_guard lock(mutex_);
      --num_running_;
    }
    done_.notify_one();
  }
}

}  // namespace osteoform
