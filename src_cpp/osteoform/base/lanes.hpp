// SPDX-License-Identifier: Apache-2.0
#pragma once

// Short runs of numbers that the compiler keeps in registers through a loop, which it does not
// promise for arrays. One register with AVX, two with SSE; memory need not be aligned.
namespace osteoform {

#if defined(__GNUC__)
using Float8 = float __attribute__((vector_size(32), aligned(4), may_alias));
using Double4 = double __attribute__((vector_size(32), aligned(8), may_alias));
#else
template <typename Scalar, int kSize>
struct Lanes {
  Scalar values[kSize];

  Lanes& operator+=(const Lanes& other) {
    for (int k = 0; k < kSize; ++k) values[k] += other.values[k];
    return *this;
  }
  friend Lanes operator+(Lanes a, const Lanes& b) { return a += b; }
  friend Lanes operator*(Scalar a, Lanes b) {
    for (int k = 0; k < kSize; ++k) b.values[k] *= a;
    return b;
  }
};
using Float8 = Lanes<float, 8>;
using Double4 = Lanes<double, 4>;
#endif

/// The lanes that start at an address.
template <typename L, typename Scalar>
const L& lanes(const Scalar* p) {
  static_assert(sizeof(L) % sizeof(Scalar) == 0);
  return *reinterpret_cast<const L*>(p);
}
template <typename L, typename Scalar>
L& lanes(Scalar* p) {
  return *reinterpret_cast<L*>(p);
}

}  // namespace osteoform
