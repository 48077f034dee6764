// Per-channel parameters of a scan in vector order, prepared once per call.
#pragma once

#include "plan.h"

namespace SEQMAMBA_ISA {

// (E, N) with a row stride -> [vector][n][lane], times a factor; lanes beyond a group are 0.
template <class T>
void to_vectors(const Plan<T>& plan, const char* from, int64_t stride, int64_t n, T factor, T* to) {
    const T* source = reinterpret_cast<const T*>(from);
    std::fill_n(to, plan.vectors * n * LANES<T>, T(0));
    for (int64_t index = 0; index < plan.tiles; ++index) {
        Tile tile = plan.tile(index);
        for (int64_t e = 0; e < tile.count; ++e) {
            const T* row = source + (tile.first + e) * stride;
            T* column = to + (tile.vector + e / LANES<T>) * n * LANES<T> + e % LANES<T>;
            for (int64_t j = 0; j < n; ++j) column[j * LANES<T>] = row[j] * factor;
        }
    }
}

// [n][lane] of one tile, `vectors` apart by n * LANES -> rows of (E, N).
template <class T>
void from_vectors(const Tile& tile, const T* from, int64_t n, char* to) {
    T* target = reinterpret_cast<T*>(to) + tile.first * n;
    for (int64_t e = 0; e < tile.count; ++e) {
        const T* column = from + (e / LANES<T>) * n * LANES<T> + e % LANES<T>;
        for (int64_t j = 0; j < n; ++j) target[e * n + j] = column[j * LANES<T>];
    }
}

// The state of run `index` from a (run, E, N) array, or 0 without one.
template <class T>
void to_state(const ScanProblem& p, const Tile& tile, const char* states, int64_t index, T* to) {
    constexpr int W = LANES<T>;
    int64_t n = p.states;
    std::fill_n(to, tile.vectors * W * n, T(0));
    if (!states) return;
    const T* from = reinterpret_cast<const T*>(states) + (index * p.channels + tile.first) * n;
    for (int64_t e = 0; e < tile.count; ++e)
        for (int64_t j = 0; j < n; ++j) to[(e / W * n + j) * W + e % W] = from[e * n + j];
}

// The reverse; nothing if the array is not wanted.
template <class T>
void from_state(const ScanProblem& p, const Tile& tile, const T* from, int64_t index, char* states) {
    if (states) from_vectors<T>(tile, from, p.states, states + index * p.channels * p.states * int64_t(sizeof(T)));
}

template <class T>
struct Parameters {
    T* a;      // A * log2(e): [vector][n][lane]
    T* limit;  // [vector][lane]: |delta| up to here needs no checked exponential
    T *d = nullptr, *bias = nullptr;  // [vector][lane]
    T *b = nullptr, *c = nullptr;     // constant B and C: [vector][n][lane]

    void take(Arena& arena, const Plan<T>& plan, const ScanProblem& p) {
        int64_t lanes = plan.vectors * LANES<T>, states = lanes * p.states;
        a = arena.take<T>(states);
        limit = arena.take<T>(lanes);
        d = arena.take<T>(lanes);
        bias = arena.take<T>(lanes);
        if (p.constant_b) b = arena.take<T>(states);
        if (p.constant_c) c = arena.take<T>(states);
    }

    void fill(const Plan<T>& plan, const ScanProblem& p) {
        int64_t n = p.states, lanes = plan.vectors * LANES<T>;
        to_vectors<T>(plan, p.a, n, n, T(1.4426950408889634), a);
        for (int64_t v = 0; v < plan.vectors; ++v) {
            Vec<T> largest = {};
            for (int64_t j = 0; j < n; ++j) {
                Vec<T> x = -negative_magnitude<T>(load(a + (v * n + j) * LANES<T>));
                largest = x <= largest ? largest : x;  // NaN and infinity leave no limit
                largest = x == x ? largest : splat<T>(__builtin_inf());
            }
            Vec<T> bound = ExpConstants<T>::safe / (largest + T(1e-30));
            store(limit + v * LANES<T>, largest < T(1e30) ? bound : splat<T>(-1));
        }
        p.d ? to_vectors<T>(plan, p.d, 1, 1, T(1), d) : void(std::fill_n(d, lanes, T(0)));
        p.delta_bias ? to_vectors<T>(plan, p.delta_bias, 1, 1, T(1), bias)
                     : void(std::fill_n(bias, lanes, T(0)));
        if (p.constant_b) to_vectors<T>(plan, p.b.data, p.b.token_stride, n, T(1), b);
        if (p.constant_c) to_vectors<T>(plan, p.c.data, p.c.token_stride, n, T(1), c);
    }
};

}  // namespace SEQMAMBA_ISA
