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

// Whether token t is the first of its window; windows are powers of two.
SEQMAMBA_INLINE bool begins(int64_t t, int64_t window) { return (t & (window - 1)) == 0; }

// As replay, but the gradient of C has to wait. Beside the states runs the adjoint of the second one,
// S_t = C_t y_bar_t + a_{t-1} S_{t-1} inside each window.
template <class T, int NB, bool CHECKED, bool VECTORS>
SEQMAMBA_INLINE void local_replay(const Adjoint<T>& g) {
    constexpr int W = LANES<T>;
    const Column<T>& x = g.x;
    Vec<T> h[NB], rate[NB], carry[NB] = {};
#pragma GCC unroll 8
    for (int n = 0; n < NB; ++n) {
        h[n] = load(g.start + n * W);
        rate[n] = load(x.a + n * W);
    }
    const T *b = x.b, *c = x.c;
    for (int64_t t = 0; t < x.length; ++t) {
        x.ahead[0].fetch(t);
        x.ahead[1].fetch(t);
        if (begins(t, x.window))
            for (Vec<T>& s : carry) s = Vec<T>{};
        Vec<T> delta = load(x.delta + t * W), du = load(x.du + t * W), y = load(x.y + t * W);
        Vec<T> grad_y = load(g.grad_y + t * W);
#pragma GCC unroll 8
        for (int n = 0; n < NB; ++n) {
            Vec<T> a = exp2_product<T, CHECKED>(delta, rate[n]), kept = a * h[n], c_n = factor<T, VECTORS>(c, n);
            Vec<T> s = c_n * grad_y + carry[n];
            h[n] = du * factor<T, VECTORS>(b, n) + kept;
            y += c_n * h[n];
            carry[n] = a * s;
            store(x.decay + (t * NB + n) * W, a);
            store(g.kept + (t * NB + n) * W, kept);
            store(g.second + (t * NB + n) * W, s);
        }
        store(x.y + t * W, y);
        b += x.b_stride;
        c += x.c_stride;
    }
}

// One token of the adjoint, last to first; `forward` is a F of the token after it, `back` its b.
template <class T, int NB, bool VECTORS>
SEQMAMBA_INLINE void local_token(const Adjoint<T>& g, int64_t t, Vec<T>* forward, Vec<T>* back, Vec<T>* grad_a) {
    constexpr int W = LANES<T>;
    const Column<T>& x = g.x;
    const T* b = x.b + t * x.b_stride;
    const T* c = x.c + t * x.c_stride;
    Vec<T> delta = load(x.delta + t * W), du = load(x.du + t * W), grad_y = load(g.grad_y + t * W);
    Vec<T> y = load(x.y + t * W), q = load(g.q + t * W), r = load(g.r + t * W);
#pragma GCC unroll 8
    for (int n = 0; n < NB; ++n) {
        int64_t at = (t * NB + n) * W;
        Vec<T> a = load(x.decay + at), kept = load(g.kept + at), s = load(g.second + at);
        Vec<T> b_n = factor<T, VECTORS>(b, n), c_n = factor<T, VECTORS>(c, n);
        Vec<T> later = a * back[n], w_bar = s + forward[n], f_bar = c_n * grad_y + forward[n];
        back[n] = du * b_n + later;
        g.c.add(t, n, grad_y * (kept + back[n]));
        g.b.add(t, n, du * w_bar);
        y += c_n * later;
        q += w_bar * b_n;
        forward[n] = a * f_bar;
        Vec<T> flow = f_bar * kept + s * later;
        r += flow * load(x.a + n * W);
        grad_a[n] += delta * flow;
    }
    store(x.y + t * W, y);
    store(g.q + t * W, q);
    store(g.r + t * W, r);
}

// As adjoint_states.
template <class T, int NB, bool CHECKED, bool VECTORS>
SEQMAMBA_INLINE void local_adjoint(const Adjoint<T>& g) {
    constexpr int W = LANES<T>;
    const Column<T>& x = g.x;
    local_replay<T, NB, CHECKED, VECTORS>(g);
    Vec<T> forward[NB], grad_a[NB], back[NB] = {};
#pragma GCC unroll 8
    for (int n = 0; n < NB; ++n) {
        forward[n] = load(g.carry_before + n * W);
        grad_a[n] = load(g.grad_a + n * W);
    }
    for (int64_t t = x.length - 1; t >= 0; --t) {
        x.ahead[2].fetch(t);
        x.ahead[3].fetch(t);
        if (begins(t + 1, x.window))
            for (Vec<T>& state : back) state = Vec<T>{};
        local_token<T, NB, VECTORS>(g, t, forward, back, grad_a);
    }
#pragma GCC unroll 8
    for (int n = 0; n < NB; ++n) {
        store(g.carry + n * W, forward[n]);
        store(g.grad_a + n * W, grad_a[n]);
    }
}

}  // namespace SEQMAMBA_ISA
