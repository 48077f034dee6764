// The recurrence of one vector of channels over one chunk of tokens, NB states in registers.
#pragma once

#include "stream.h"
#include "vec.h"

namespace SEQMAMBA_ISA {

// Columns of one vector of channels: entry t of an array lies at t * LANES.
template <class T>
struct Column {
    const T *delta, *du;  // step size; delta * u
    T* y;                 // out: += sum over the states of C h
    const T* a;           // A * log2(e): [n][lane]
    const T *b, *c;       // variable: [t][stride]; constant: [n][lane]
    int64_t b_stride, c_stride;  // over tokens
    int64_t length;
    Stream ahead[AHEAD];  // memory that is needed next
};

template <class T, bool CONSTANT>
struct Factor;
template <class T>
struct Factor<T, true> {
    static SEQMAMBA_INLINE Vec<T> at(const T* p, int n) { return load(p + n * LANES<T>); }
};
template <class T>
struct Factor<T, false> {
    static SEQMAMBA_INLINE Vec<T> at(const T* p, int n) { return splat<T>(p[n]); }
};

// h: [NB][lane], updated in place.
template <class T, int NB, bool CHECKED, bool CONST_B, bool CONST_C>
void forward_states(const Column<T>& x, T* state) {
    constexpr int W = LANES<T>, PARTS = NB < 4 ? NB : 4;
    Vec<T> h[NB];
#pragma GCC unroll 16
    for (int n = 0; n < NB; ++n) h[n] = load(state + n * W);
    const T *b = x.b, *c = x.c;
    for (int64_t t = 0; t < x.length; ++t) {
#pragma GCC unroll 4
        for (int i = 0; i < AHEAD; ++i) x.ahead[i].fetch(t);
        Vec<T> delta = load(x.delta + t * W), du = load(x.du + t * W);
        Vec<T> part[PARTS];
#pragma GCC unroll 16
        for (int n = 0; n < NB; ++n) {
            Vec<T> a = exp2_product<T, CHECKED>(delta, load(x.a + n * W));
            h[n] = a * h[n] + du * Factor<T, CONST_B>::at(b, n);
            Vec<T> term = Factor<T, CONST_C>::at(c, n) * h[n];
            part[n % PARTS] = n < PARTS ? term : part[n % PARTS] + term;
        }
        Vec<T> y = load(x.y + t * W);
#pragma GCC unroll 4
        for (int i = 0; i < PARTS; ++i) y += part[i];
        store(x.y + t * W, y);
        if (!CONST_B) b += x.b_stride;
        if (!CONST_C) c += x.c_stride;
    }
#pragma GCC unroll 16
    for (int n = 0; n < NB; ++n) store(state + n * W, h[n]);
}

}  // namespace SEQMAMBA_ISA
