// SPDX-License-Identifier: Apache-2.0
#pragma once

// Marks what compiles for the host and, under nvcc, for the device too.
#if defined(__CUDACC__)
#define OSTEOFORM_HD __host__ __device__
#else
#define OSTEOFORM_HD
#endif
