// Vectors over channels: one lane per channel, as wide as the instruction set of this build.
//
// Compiler vector extensions only, so that one source serves AVX-512, AVX2, SSE and NEON.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

// One namespace per instruction set: the same source is compiled several times into one library.
#ifndef SEQMAMBA_ISA
#error "SEQMAMBA_ISA names the namespace of this build (set by CMake)"
#endif

#define SEQMAMBA_INLINE inline __attribute__((always_inline))

namespace SEQMAMBA_ISA {

#if defined(__AVX512F__)
constexpr int VECTOR_BYTES = 64;
#elif defined(__AVX2__)
constexpr int VECTOR_BYTES = 32;
#else
constexpr int VECTOR_BYTES = 16;
#endif

template <class T>
struct VecOf;
template <>
struct VecOf<float> {
    typedef float type __attribute__((vector_size(VECTOR_BYTES)));
    typedef int32_t ints __attribute__((vector_size(VECTOR_BYTES)));
};
template <>
struct VecOf<double> {
    typedef double type __attribute__((vector_size(VECTOR_BYTES)));
    typedef int64_t ints __attribute__((vector_size(VECTOR_BYTES)));
};
template <class T>
using Vec = typename VecOf<T>::type;
template <class T>
using Ints = typename VecOf<T>::ints;

template <class T>
constexpr int LANES = VECTOR_BYTES / int(sizeof(T));

// All scratch is aligned to VECTOR_BYTES, so plain dereferencing is right.
template <class T>
SEQMAMBA_INLINE Vec<T> load(const T* p) {
    return *reinterpret_cast<const Vec<T>*>(p);
}
template <class T>
SEQMAMBA_INLINE void store(T* p, Vec<T> v) {
    *reinterpret_cast<Vec<T>*>(p) = v;
}
template <class T>
SEQMAMBA_INLINE Vec<T> splat(T x) {
    return x - Vec<T>{};
}

template <class T>
struct ExpConstants;
template <>
struct ExpConstants<float> {
    static constexpr float round = 12582912.0f;  // 1.5 * 2^23: adding it leaves round(x) in the low bits
    static constexpr int shift = 23;
    static constexpr float underflow = -126.0f, overflow = 128.0f;
    static constexpr float safe = 125.0f;  // |x| up to here needs no checks
    // exp2(r) = 1 + r * poly(r) on [-1/2, 1/2], minimax of the relative error: 9.2e-8. The constant 1
    // is exact on purpose: an error there would be an error in the rate of slowly decaying states.
    static constexpr float poly[] = {1.326472712e-03f, 9.671512645e-03f, 5.550733743e-02f,
                                     2.402224209e-01f, 6.931469776e-01f};
    // log1p(e) = e * log_poly(e) on [0, 1], relative error 4.7e-9; no division.
    static constexpr float log_poly[] = {-3.244024139e-03f, 1.985145768e-02f,  -5.695952546e-02f,
                                         1.060365399e-01f,  -1.530559204e-01f, 1.967593907e-01f,
                                         -2.495413362e-01f, 3.332996241e-01f,  -4.999990242e-01f,
                                         9.999999953e-01f};
};
template <>
struct ExpConstants<double> {
    static constexpr double round = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr int shift = 52;
    static constexpr double underflow = -1022.0, overflow = 1024.0;
    static constexpr double safe = 1020.0;
    // Taylor coefficients ln(2)^k / k!, k = 13 ... 1: the next term is below 2^-57 on [-1/2, 1/2].
    static constexpr double poly[] = {
        1.3691488853904124e-12, 2.5678435993488196e-11, 4.44553827187081e-10, 7.054911620801121e-09,
        1.0178086009239696e-07, 1.3215486790144305e-06, 1.5252733804059838e-05, 0.00015403530393381606,
        0.0013333558146428441, 0.009618129107628477, 0.055504108664821576, 0.2402265069591007,
        0.6931471805599453};
};

template <class T, int K>
SEQMAMBA_INLINE Vec<T> horner(const T (&c)[K], Vec<T> x) {
    Vec<T> p = splat<T>(c[0]);
#pragma GCC unroll 16
    for (int k = 1; k < K; ++k) p = p * x + c[k];
    return p;
}

// 2^(d * a). CHECKED also serves |d * a| > ExpConstants::safe, infinities and NaN; both forms give
// the same bits where both are valid.
template <class T, bool CHECKED>
SEQMAMBA_INLINE Vec<T> exp2_product(Vec<T> d, Vec<T> a) {
    using K = ExpConstants<T>;
    Vec<T> shifted = d * a + K::round;
    Vec<T> whole = shifted - K::round;
    Vec<T> rest = d * a - whole;
    Vec<T> p = horner<T>(K::poly, rest) * rest + T(1);
    Vec<T> e = (Vec<T>)((Ints<T>)p + ((Ints<T>)shifted << K::shift));
    if (CHECKED) {
        Vec<T> x = d * a;
        e = x < K::underflow ? Vec<T>{} : e;
        e = x >= K::overflow ? splat<T>(__builtin_inf()) : e;
        e = x == x ? e : x;
    }
    return e;
}

// exp(x) for x <= 0, nowhere smaller than exp(-80) or exp(-700): users add it to 1 or to 0 where such
// a number is as good as none.
template <class T>
SEQMAMBA_INLINE Vec<T> exp_negative(Vec<T> x) {
    constexpr T lowest = sizeof(T) == 4 ? T(-80) : T(-700);
    Vec<T> bounded = x < lowest ? splat<T>(lowest) : x;
    return exp2_product<T, false>(bounded, splat<T>(T(1.4426950408889634)));
}

// log1p(e) for e in [0, 1].
SEQMAMBA_INLINE Vec<float> log1p_unit(Vec<float> e) {
    return horner<float>(ExpConstants<float>::log_poly, e) * e;
}
SEQMAMBA_INLINE Vec<double> log1p_unit(Vec<double> e) {
    Vec<double> s = e / (2.0 + e), s2 = s * s, sum = {};
    for (int k = 35; k >= 1; k -= 2) sum = sum * s2 + 1.0 / k;  // 2 atanh(s), next term below 1e-18
    return 2.0 * s * sum;
}

template <class T>
SEQMAMBA_INLINE Vec<T> negative_magnitude(Vec<T> x) {
    return (Vec<T>)((Ints<T>)x | (Ints<T>)splat<T>(T(-0.0)));
}

// 1 / d for d in [1, 4].
SEQMAMBA_INLINE Vec<double> reciprocal(Vec<double> d) { return 1.0 / d; }
SEQMAMBA_INLINE Vec<float> reciprocal(Vec<float> d) {
#if defined(__AVX512F__)
    Vec<float> r = (Vec<float>)_mm512_rcp14_ps((__m512)d);
    return (1.0f - d * r) * r + r;  // from 14 bits to 24; a division takes four times as long
#else
    return 1.0f / d;
#endif
}

// The functions below take K vectors at once: each is one long chain of dependent instructions, and
// the processor needs several in its sight to be busy.

// For finite x; users multiply by x, which brings NaN back.
template <class T, int K>
SEQMAMBA_INLINE void sigmoid(const Vec<T>* x, Vec<T>* s) {
    Vec<T> e[K];
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) e[k] = exp_negative<T>(negative_magnitude<T>(x[k]));
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) {
        Vec<T> r = reciprocal(T(1) + e[k]);
        s[k] = x[k] < 0 ? e[k] * r : r;
    }
}
template <class T>
SEQMAMBA_INLINE Vec<T> sigmoid(Vec<T> x) {
    Vec<T> s;
    sigmoid<T, 1>(&x, &s);
    return s;
}

// softplus(x) = max(x, 0) + log1p(exp(-|x|)), identity above 20; e is exp(-|x|).
template <class T>
SEQMAMBA_INLINE Vec<T> softplus_from(Vec<T> x, Vec<T> e) {
    Vec<T> y = (x < 0 ? Vec<T>{} : x) + log1p_unit(e);
    if (sizeof(T) == 8) y = x > 20 ? x : y;  // float rounds to the identity by itself
    return y;
}

// In place.
template <class T, int K>
SEQMAMBA_INLINE void softplus(Vec<T>* x) {
    Vec<T> e[K];
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) e[k] = exp_negative<T>(negative_magnitude<T>(x[k]));
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) x[k] = softplus_from<T>(x[k], e[k]);
}

// softplus(x) in place, its derivative in `slope`, and sigmoid(z): both logistic functions share one
// division.
template <class T, int K>
SEQMAMBA_INLINE void softplus_beside(Vec<T>* x, const Vec<T>* z, Vec<T>* slope, Vec<T>* gate) {
    Vec<T> e[K], f[K];
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) {
        e[k] = exp_negative<T>(negative_magnitude<T>(x[k]));
        f[k] = exp_negative<T>(negative_magnitude<T>(z[k]));
    }
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) {
        Vec<T> both = reciprocal((T(1) + e[k]) * (T(1) + f[k]));
        Vec<T> s = both * (T(1) + f[k]), g = both * (T(1) + e[k]);
        slope[k] = x[k] < 0 ? e[k] * s : s;
        if (sizeof(T) == 8) slope[k] = x[k] > 20 ? splat<T>(1) : slope[k];
        gate[k] = z[k] < 0 ? f[k] * g : g;
    }
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) x[k] = softplus_from<T>(x[k], e[k]);
}

// Calls body(std::integral_constant<int, K>, first) for groups of vectors that cover [0, count).
template <class F>
SEQMAMBA_INLINE void vector_groups(int64_t count, F&& body) {
    constexpr int K = 4;
    int64_t v = 0;
    for (; v + K <= count; v += K) body(std::integral_constant<int, K>{}, v);
    for (; v < count; ++v) body(std::integral_constant<int, 1>{}, v);
}

}  // namespace SEQMAMBA_ISA
