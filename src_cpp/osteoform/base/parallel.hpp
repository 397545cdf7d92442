// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

namespace osteoform {

/// What different threads write must lie this far apart, or they take it from each other.
inline constexpr std::size_t kCacheLine = 64;

/// Something to do, once.
using Work = std::function<void()>;

/// Runs numbered blocks of work on a fixed set of threads. Each begins with a run of neighbouring
/// blocks of its own, the same at every call, so that what it wrote is still in its cache; then it
/// helps the others.
///
/// What a block computes must not depend on which thread runs it; callers that sum do so per
/// block and add the blocks in order, so any number of threads rounds in the same way.
class ThreadPool {
 public:
  /// @param num_threads  1 runs everything on the calling thread.
  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls work(0) ... work(num_blocks - 1), each once; returns when all are done.
  void run(int num_blocks, const std::function<void(int)>& work);

  /// The same, with other work for the threads meanwhile; that begins first.
  void run(std::span<const Work> beside, int num_blocks, const std::function<void(int)>& work);

 private:
  /// Blocks that one thread begins with.
  struct alignas(kCacheLine) Share {
    std::atomic<int> next = 0;
    int end = 0;
  };

  void worker_loop(std::size_t thread);
  void run_shares(std::size_t thread);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable start_, done_;
  const std::function<void(int)>* work_ = nullptr;
  std::vector<Share> shares_;  ///< by thread
  std::atomic<int> num_running_ = 0;
  std::atomic<std::uint64_t> generation_ = 0;
  bool patient_ = true;  ///< more threads than cores: sleep at once
  bool stop_ = false;
};

}  // namespace osteoform
