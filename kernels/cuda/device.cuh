// What all kernels share: number formats, fast functions, the arguments as the host packs them.
//
// Compiled by NVRTC without any header of CUDA. Constants that a kernel is compiled for (-D):
// IO, the format of inputs and outputs, 0 float32, 1 bfloat16, 2 float16; see each file for more.

#pragma once

typedef long long int64;

constexpr float LOG2E = 1.4426950408889634f;
constexpr float LN2 = 0.6931471805599453f;

#ifndef ON_HOST  // a test compiles the kernels for the CPU and brings its own
__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ inline float float_of_half(unsigned short bits) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(bits));
  return y;
}

__device__ inline unsigned short half_of_float(float x) {
  unsigned short bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}
#endif

// A number in memory; arithmetic is float32.
struct bfloat16 {
  unsigned short bits;
};
struct float16 {
  unsigned short bits;
};

#if IO == 1
typedef bfloat16 io;
#elif IO == 2
typedef float16 io;
#else
typedef float io;
#endif

__device__ inline float load(const float* x) { return *x; }
__device__ inline float load(const bfloat16* x) {
  return __uint_as_float(static_cast<unsigned>(x->bits) << 16);
}
__device__ inline float load(const float16* x) { return float_of_half(x->bits); }

__device__ inline void store(float* to, float x) { *to = x; }
__device__ inline void store(bfloat16* to, float x) {  // to nearest, ties to even; NaN stays NaN
  unsigned bits = __float_as_uint(x);
  bits = x != x ? 0x7fffffffu : bits + 0x7fffu + ((bits >> 16) & 1u);
  to->bits = static_cast<unsigned short>(bits >> 16);
}
__device__ inline void store(float16* to, float x) { to->bits = half_of_float(x); }

__device__ inline float logistic(float x) { return 1.0f / (1.0f + exp2_fast(-x * LOG2E)); }

// log(1 + e) is 2 artanh(e / (2 + e)): the fast logarithm of the device loses small e.
__device__ inline float softplus(float x, float& slope) {
  const float e = exp2_fast(-fabsf(x) * LOG2E);
  const float s = e / (2.0f + e), q = s * s;
  float series = 1.0f / 11 + q * (1.0f / 13 + q * (1.0f / 15));
  series = 1.0f / 5 + q * (1.0f / 7 + q * (1.0f / 9 + q * series));
  slope = (x >= 0 ? 1.0f : e) / (1.0f + e);
  return (x > 0 ? x : 0.0f) + 2.0f * s * (1.0f + q * (1.0f / 3 + q * series));
}

__device__ inline int64 ceil_div(int64 value, int64 by) { return (value + by - 1) / by; }
