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
    const T *b, *c;       // at t * stride: [n], or [n][lane] in the form of vectors
    int64_t b_stride, c_stride;  // 0 if constant
    int64_t length;
    T* decay;             // [t][NB][lane], kept for a second pass over the chunk
    int64_t window;       // tokens of a locally bidirectional window; 1 is the plain scan
    Stream ahead[AHEAD];  // memory that is needed next
};

// Variable B and C are one number for all lanes, constant ones a vector of channels. Where only one
// of the two is constant, the other is spread over vectors, which halves the compiled forms.
template <class T, bool VECTORS>
SEQMAMBA_INLINE Vec<T> factor(const T* p, int n) {
    if constexpr (VECTORS)
        return load(p + n * LANES<T>);
    else
        return splat<T>(p[n]);
}

// From the state before the chunk to the one after it, [NB][lane] each.
template <class T, int NB, bool CHECKED, bool VECTORS, bool KEEP = false>
SEQMAMBA_INLINE void forward_states(const Column<T>& x, const T* before, T* state) {
    constexpr int W = LANES<T>, PARTS = NB < 4 ? NB : 4;
    Vec<T> h[NB];
#pragma GCC unroll 16
    for (int n = 0; n < NB; ++n) h[n] = load(before + n * W);
    const T *b = x.b, *c = x.c;
    for (int64_t t = 0; t < x.length; ++t) {
#pragma GCC unroll 4
        for (int i = 0; i < AHEAD; ++i) x.ahead[i].fetch(t);
        Vec<T> delta = load(x.delta + t * W), du = load(x.du + t * W);
        Vec<T> part[PARTS];
#pragma GCC unroll 16
        for (int n = 0; n < NB; ++n) {
            Vec<T> a = exp2_product<T, CHECKED>(delta, load(x.a + n * W));
            if (KEEP) store(x.decay + (t * NB + n) * W, a);
            h[n] = a * h[n] + du * factor<T, VECTORS>(b, n);
            Vec<T> term = factor<T, VECTORS>(c, n) * h[n];
            part[n % PARTS] = n < PARTS ? term : part[n % PARTS] + term;
        }
        Vec<T> y = load(x.y + t * W);
#pragma GCC unroll 4
        for (int i = 0; i < PARTS; ++i) y += part[i];
        store(x.y + t * W, y);
        b += x.b_stride;
        c += x.c_stride;
    }
#pragma GCC unroll 16
    for (int n = 0; n < NB; ++n) store(state + n * W, h[n]);
}

}  // namespace SEQMAMBA_ISA
