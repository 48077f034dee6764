// The adjoint of the recurrence for one vector of channels over one chunk of tokens.
#pragma once

#include <utility>

#include "recurrence.h"

namespace SEQMAMBA_ISA {

// States of the adjoint pass at once. Small, so that the decays and states of a chunk and the sums
// over channels of the gradients of B and C stay in the first-level cache together.
constexpr int ADJOINT_STATES = 4;

template <class T>
struct Adjoint {
    Column<T> x;          // x.y receives y again
    const T* grad_y;      // [t][lane]
    T *q, *r;             // [t][lane]: += sum of h_bar B; += sum of h_bar a h_before A log2(e)
    T* h;                 // scratch: [t + 1][NB][lane], the state before the chunk first
    T *sum_b, *sum_c;     // += gradients of B and C, at t * stride: [NB][lane]
    int64_t sum_b_stride, sum_c_stride;  // 0 if constant
    T* carry;             // [NB][lane]: a h_bar of the token after the chunk, then of its first
    T* grad_a;            // [n][lane], +=
};

// Recomputes decays, states and y of the chunk.
template <class T, int NB, bool CHECKED, bool VECTORS>
SEQMAMBA_INLINE void replay(const Adjoint<T>& g) {
    constexpr int W = LANES<T>;
    const Column<T>& x = g.x;
    Vec<T> h[NB];
#pragma GCC unroll 8
    for (int n = 0; n < NB; ++n) h[n] = load(g.h + n * W);
    const T *b = x.b, *c = x.c;
    for (int64_t t = 0; t < x.length; ++t) {
        x.ahead[0].fetch(t);
        Vec<T> delta = load(x.delta + t * W), du = load(x.du + t * W), y = load(x.y + t * W);
#pragma GCC unroll 8
        for (int n = 0; n < NB; ++n) {
            Vec<T> a = exp2_product<T, CHECKED>(delta, load(x.a + n * W));
            h[n] = a * h[n] + du * factor<T, VECTORS>(b, n);
            y += factor<T, VECTORS>(c, n) * h[n];
            store(x.decay + (t * NB + n) * W, a);
            store(g.h + ((t + 1) * NB + n) * W, h[n]);
        }
        store(x.y + t * W, y);
        b += x.b_stride;
        c += x.c_stride;
    }
}

template <class T>
SEQMAMBA_INLINE void add_to(T* p, Vec<T> v) {
    store(p, load(p) + v);
}

template <class T, int NB, bool CHECKED, bool VECTORS>
SEQMAMBA_INLINE void adjoint_states(const Adjoint<T>& g) {
    constexpr int W = LANES<T>;
    replay<T, NB, CHECKED, VECTORS>(g);
    const Column<T>& x = g.x;
    Vec<T> carry[NB], grad_a[NB];
#pragma GCC unroll 8
    for (int n = 0; n < NB; ++n) {
        carry[n] = load(g.carry + n * W);
        grad_a[n] = load(g.grad_a + n * W);
    }
    const T* b = x.b + (x.length - 1) * x.b_stride;
    const T* c = x.c + (x.length - 1) * x.c_stride;
    for (int64_t t = x.length - 1; t >= 0; --t) {
        x.ahead[1].fetch(t);
        Vec<T> delta = load(x.delta + t * W), du = load(x.du + t * W), grad_y = load(g.grad_y + t * W);
        Vec<T> q = load(g.q + t * W), r = load(g.r + t * W);
        T* sum_b = g.sum_b + t * g.sum_b_stride;
        T* sum_c = g.sum_c + t * g.sum_c_stride;
#pragma GCC unroll 8
        for (int n = 0; n < NB; ++n) {
            Vec<T> h_bar = factor<T, VECTORS>(c, n) * grad_y + carry[n];
            add_to(sum_c + n * W, grad_y * load(g.h + ((t + 1) * NB + n) * W));
            add_to(sum_b + n * W, du * h_bar);
            q += h_bar * factor<T, VECTORS>(b, n);
            carry[n] = load(x.decay + (t * NB + n) * W) * h_bar;
            // The product, not h - w: the difference cancels where the input dominates the state.
            Vec<T> flow = carry[n] * load(g.h + (t * NB + n) * W);
            r += flow * load(x.a + n * W);
            grad_a[n] += delta * flow;
        }
        store(g.q + t * W, q);
        store(g.r + t * W, r);
        b -= x.b_stride;
        c -= x.c_stride;
    }
#pragma GCC unroll 8
    for (int n = 0; n < NB; ++n) {
        store(g.carry + n * W, carry[n]);
        store(g.grad_a + n * W, grad_a[n]);
    }
}

// Adds pairs of neighbouring groups of STEP lanes of a and b: first the sums of a, then those of b.
template <class T, int STEP, size_t... I>
SEQMAMBA_INLINE Vec<T> fold(Vec<T> a, Vec<T> b, std::index_sequence<I...>) {
    return __builtin_shufflevector(a, b, (int(I) / STEP * 2 * STEP + int(I) % STEP)...) +
           __builtin_shufflevector(a, b, (int(I) / STEP * 2 * STEP + STEP + int(I) % STEP)...);
}

// Sums over the lanes of COUNT * STEP / LANES... vectors by a tree of folds, results in order.
template <class T, int COUNT>
SEQMAMBA_INLINE Vec<T> lane_sums(const T* from) {
    if constexpr (COUNT == 1) {
        return load(from);
    } else {
        constexpr int HALF = COUNT / 2;
        return fold<T, LANES<T> / COUNT>(lane_sums<T, HALF>(from),
                                         lane_sums<T, HALF>(from + HALF * LANES<T>),
                                         std::make_index_sequence<LANES<T>>{});
    }
}

}  // namespace SEQMAMBA_ISA
