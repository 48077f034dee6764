// The adjoint of the recurrence for one vector of channels over one chunk of tokens.
#pragma once

#include <utility>

#include "recurrence.h"

namespace SEQMAMBA_ISA {

// States of the adjoint pass at once. Small, so that the decays and states of a chunk and the sums
// over channels of the gradients of B and C stay in the first-level cache together.
constexpr int ADJOINT_STATES = 4;

// Gradient of B or C per token and state, [NB][lane] each: to = from + what a vector of channels adds.
// The first vector of a tile starts from one zero for all tokens; a constant B or C has one sum.
template <class T>
struct LaneSums {
    const T* from;
    T* to;
    int64_t from_stride, to_stride;
    SEQMAMBA_INLINE void add(int64_t t, int n, Vec<T> v) const {
        store(to + t * to_stride + n * LANES<T>, load(from + t * from_stride + n * LANES<T>) + v);
    }
};

template <class T>
struct Adjoint {
    const Column<T>& x;   // x.y receives y again
    const T* grad_y;      // [t][lane]
    T *q, *r;             // [t][lane]: += sum of h_bar B; += sum of h_bar a h_before A log2(e)
    const T* start;       // [NB][lane], the state before the chunk
    T* kept;              // scratch: [t][NB][lane], a h_before
    T* second;            // scratch of a locally bidirectional scan: [t][NB][lane], adjoint of its second state
    LaneSums<T> b, c;
    const T* carry_before;  // [NB][lane]: a h_bar of the token after the chunk
    T* carry;               // [NB][lane]: receives that of its first token
    T* grad_a;            // [n][lane], +=
};

// Recomputes decays, states and y of the chunk; the gradient of C needs nothing else.
template <class T, int NB, bool CHECKED, bool VECTORS>
SEQMAMBA_INLINE void replay(const Adjoint<T>& g) {
    constexpr int W = LANES<T>;
    const Column<T>& x = g.x;
    Vec<T> h[NB], rate[NB];
#pragma GCC unroll 8
    for (int n = 0; n < NB; ++n) {
        h[n] = load(g.start + n * W);
        rate[n] = load(x.a + n * W);
    }
    const T *b = x.b, *c = x.c;
    for (int64_t t = 0; t < x.length; ++t) {
        x.ahead[0].fetch(t);
        x.ahead[1].fetch(t);
        Vec<T> delta = load(x.delta + t * W), du = load(x.du + t * W), y = load(x.y + t * W);
        Vec<T> grad_y = load(g.grad_y + t * W);
#pragma GCC unroll 8
        for (int n = 0; n < NB; ++n) {
            Vec<T> a = exp2_product<T, CHECKED>(delta, rate[n]), kept = a * h[n];
            h[n] = du * factor<T, VECTORS>(b, n) + kept;
            y += factor<T, VECTORS>(c, n) * h[n];
            store(x.decay + (t * NB + n) * W, a);
            store(g.kept + (t * NB + n) * W, kept);
            g.c.add(t, n, grad_y * h[n]);
        }
        store(x.y + t * W, y);
        b += x.b_stride;
        c += x.c_stride;
    }
}

template <class T, int NB, bool CHECKED, bool VECTORS>
SEQMAMBA_INLINE void adjoint_states(const Adjoint<T>& g) {
    constexpr int W = LANES<T>;
    replay<T, NB, CHECKED, VECTORS>(g);
    const Column<T>& x = g.x;
    Vec<T> carry[NB], grad_a[NB], rate[NB];
#pragma GCC unroll 8
    for (int n = 0; n < NB; ++n) {
        carry[n] = load(g.carry_before + n * W);
        grad_a[n] = load(g.grad_a + n * W);
        rate[n] = load(x.a + n * W);
    }
    const T* b = x.b + (x.length - 1) * x.b_stride;
    const T* c = x.c + (x.length - 1) * x.c_stride;
    for (int64_t t = x.length - 1; t >= 0; --t) {
        x.ahead[2].fetch(t);
        x.ahead[3].fetch(t);
        Vec<T> delta = load(x.delta + t * W), du = load(x.du + t * W), grad_y = load(g.grad_y + t * W);
        Vec<T> q = load(g.q + t * W), r = load(g.r + t * W);
#pragma GCC unroll 8
        for (int n = 0; n < NB; ++n) {
            Vec<T> h_bar = factor<T, VECTORS>(c, n) * grad_y + carry[n];
            g.b.add(t, n, du * h_bar);
            q += h_bar * factor<T, VECTORS>(b, n);
            carry[n] = load(x.decay + (t * NB + n) * W) * h_bar;
            // The product a h, not h - w: the difference cancels where the input dominates the state.
            Vec<T> flow = load(g.kept + (t * NB + n) * W) * h_bar;
            r += flow * rate[n];
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

template <class T>
SEQMAMBA_INLINE void add_to(T* p, Vec<T> v) {
    store(p, load(p) + v);
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
