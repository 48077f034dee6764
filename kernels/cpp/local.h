// The locally bidirectional scan (LBMamba, arXiv 2506.15976): inside windows of M tokens a second
// state b runs against the first, h_t = f_t + a_t b_{t+1}, from the same decays and inputs.
#pragma once

#include "adjoint.h"

namespace SEQMAMBA_ISA {

// Calls body(first, last) for the windows of a chunk; the last one may be cut.
template <class F>
SEQMAMBA_INLINE void each_window(int64_t length, int64_t window, F&& body) {
    for (int64_t first = 0; first < length; first += window)
        body(first, first + window < length ? first + window : length);
}

template <class T, int NB, bool CHECKED, bool VECTORS>
SEQMAMBA_INLINE void local_states(const Column<T>& x, const T* before, T* state) {
    constexpr int W = LANES<T>;
    forward_states<T, NB, CHECKED, VECTORS, true>(x, before, state);
    each_window(x.length, x.window, [&](int64_t first, int64_t last) {
        Vec<T> back[NB] = {};
        for (int64_t t = last - 1; t >= first; --t) {
            const T* b = x.b + t * x.b_stride;
            const T* c = x.c + t * x.c_stride;
            Vec<T> du = load(x.du + t * W), y = load(x.y + t * W);
#pragma GCC unroll 8
            for (int n = 0; n < NB; ++n) {
                Vec<T> flow = load(x.decay + (t * NB + n) * W) * back[n];
                y += factor<T, VECTORS>(c, n) * flow;
                back[n] = flow + du * factor<T, VECTORS>(b, n);
            }
            store(x.y + t * W, y);
        }
    });
}

// S_t = C_t y_bar_t + a_{t-1} S_{t-1} inside each window: the adjoint of the second state.
template <class T, int NB, bool VECTORS>
SEQMAMBA_INLINE void local_replay(const Adjoint<T>& g, T* adjoint) {
    constexpr int W = LANES<T>;
    const Column<T>& x = g.x;
    each_window(x.length, x.window, [&](int64_t first, int64_t last) {
        Vec<T> carry[NB] = {};
        for (int64_t t = first; t < last; ++t) {
            const T* c = x.c + t * x.c_stride;
            Vec<T> grad_y = load(g.grad_y + t * W);
#pragma GCC unroll 8
            for (int n = 0; n < NB; ++n) {
                Vec<T> s = factor<T, VECTORS>(c, n) * grad_y + carry[n];
                store(adjoint + (t * NB + n) * W, s);
                carry[n] = load(x.decay + (t * NB + n) * W) * s;
            }
        }
    });
}

// One token of the adjoint, last to first; `forward` is a F of the token after it, `back` its b.
template <class T, int NB, bool VECTORS>
SEQMAMBA_INLINE void local_token(const Adjoint<T>& g, const T* adjoint, int64_t t, Vec<T>* forward,
                                 Vec<T>* back, Vec<T>* grad_a) {
    constexpr int W = LANES<T>;
    const Column<T>& x = g.x;
    const T* b = x.b + t * x.b_stride;
    const T* c = x.c + t * x.c_stride;
    Vec<T> delta = load(x.delta + t * W), du = load(x.du + t * W), grad_y = load(g.grad_y + t * W);
    Vec<T> y = load(x.y + t * W), q = load(g.q + t * W), r = load(g.r + t * W);
    T* sum_c = g.c.to + t * g.c.to_stride;
#pragma GCC unroll 8
    for (int n = 0; n < NB; ++n) {
        Vec<T> a = load(x.decay + (t * NB + n) * W), s = load(adjoint + (t * NB + n) * W);
        Vec<T> b_n = factor<T, VECTORS>(b, n), c_n = factor<T, VECTORS>(c, n);
        Vec<T> later = a * back[n], w_bar = s + forward[n], f_bar = c_n * grad_y + forward[n];
        add_to(sum_c + n * W, grad_y * later);
        g.b.add(t, n, du * w_bar);
        y += c_n * later;
        q += w_bar * b_n;
        forward[n] = a * f_bar;
        Vec<T> flow = f_bar * load(g.kept + (t * NB + n) * W) + s * later;
        r += flow * load(x.a + n * W);
        grad_a[n] += delta * flow;
        back[n] = later + du * b_n;
    }
    store(x.y + t * W, y);
    store(g.q + t * W, q);
    store(g.r + t * W, r);
}

// As adjoint_states; `adjoint` is scratch [t][NB][lane].
template <class T, int NB, bool CHECKED, bool VECTORS>
SEQMAMBA_INLINE void local_adjoint(const Adjoint<T>& g, T* adjoint) {
    constexpr int W = LANES<T>;
    const Column<T>& x = g.x;
    replay<T, NB, CHECKED, VECTORS>(g);
    local_replay<T, NB, VECTORS>(g, adjoint);
    Vec<T> forward[NB], grad_a[NB], back[NB] = {};
    for (int n = 0; n < NB; ++n) {
        forward[n] = load(g.carry_before + n * W);
        grad_a[n] = load(g.grad_a + n * W);
    }
    for (int64_t t = x.length - 1; t >= 0; --t) {
        if ((t + 1) % x.window == 0)
            for (int n = 0; n < NB; ++n) back[n] = Vec<T>{};
        local_token<T, NB, VECTORS>(g, adjoint, t, forward, back, grad_a);
    }
    for (int n = 0; n < NB; ++n) {
        store(g.carry + n * W, forward[n]);
        store(g.grad_a + n * W, grad_a[n]);
    }
}

}  // namespace SEQMAMBA_ISA
