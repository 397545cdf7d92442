// SPDX-License-Identifier: Apache-2.0
#pragma once

// Compiles a hot loop twice, for baseline x86-64 and for AVX2 with FMA; the loader picks.
// One binary wheel then runs everywhere and is fast where it can be. Sanitizers intercept
// before the loader's choice is made, so they get the baseline alone.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(OSTEOFORM_SANITIZE) && !defined(__CUDACC__)
#define OSTEOFORM_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define OSTEOFORM_CLONES
#endif

// A part of such a loop: compiled within it, for the same processor.
#if defined(__GNUC__)
#define OSTEOFORM_INLINE inline __attribute__((always_inline))
#else
#define OSTEOFORM_INLINE inline
#endif
