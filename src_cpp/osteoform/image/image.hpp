// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace osteoform {

/// Allocates without writing: images are filled right after.
template <typename T>
struct UninitializedAllocator : std::allocator<T> {
  template <typename U>
  struct rebind {
    using other = UninitializedAllocator<U>;
  };
  template <typename U>
  void construct(U* p) noexcept {
    ::new (static_cast<void*>(p)) U;
  }
  template <typename U, typename... Args>
  void construct(U* p, Args&&... args) {
    ::new (static_cast<void*>(p)) U(std::forward<Args>(args)...);
  }
};

/// Grey values, row by row; the centre of the first pixel is (0, 0).
struct ImageF {
  int width = 0;
  int height = 0;
  std::vector<float, UninitializedAllocator<float>> values;

  ImageF() = default;
  /// Its values are not set.
  ImageF(int columns, int rows)
      : width(columns), height(rows), values(static_cast<std::size_t>(columns) * rows) {}

  float* row(int v) { return values.data() + static_cast<std::ptrdiff_t>(v) * width; }
  const float* row(int v) const { return values.data() + static_cast<std::ptrdiff_t>(v) * width; }
};

}  // namespace osteoform
