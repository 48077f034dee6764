// Depthwise causal convolution: tiles of channels, chunks of tokens with the taps before them.
#pragma once

#include "chunk.h"
#include "entry.h"
#include "prepared.h"

namespace SEQMAMBA_ISA {

using seqmamba::ConvProblem;

constexpr int64_t CONV_CHUNK = 64;  // tokens of a tile in scratch at once

// Weights and bias of one tile: [tap][channel], then the bias.
template <class T>
void conv_weights(const ConvProblem& p, int64_t first, int64_t count, T* to) {
    int64_t taps = p.taps, size = size_of(p.dtype);
    std::fill_n(to, (taps + 1) * TILE, T(0));
    alignas(64) T row[TILE];
    for (int64_t e = 0; e < count; ++e)
        for (int64_t k = 0; k < taps; ++k) {
            load_row<T>(p.dtype, p.weight + ((first + e) * taps + k) * size, 1, row);
            to[k * TILE + e] = row[0];
        }
    if (p.bias) load_row<T>(p.dtype, p.bias + first * size, count, to + taps * TILE);
}

// Token t of a run, t < 0 reaching into the initial state, as one row of a tile; hidden tokens are 0.
template <class T>
SEQMAMBA_INLINE void conv_row(const Span<ConvProblem>& span, int64_t t, int64_t run, int64_t first,
                              int64_t count, RowCursor x, T* to) {
    const ConvProblem& p = *span.problem;
    int64_t token = span.start + t;
    bool zero = token < 0 ? !p.initial_state : span.hidden(t);
    if (zero) {
        std::fill_n(to, TILE, T(0));
    } else if (token >= 0) {
        load_row<T>(p.dtype, x[t], count, to);
    } else {
        int64_t size = size_of(p.dtype);
        const char* state = p.initial_state + (run * p.channels + first) * p.taps * size;
        alignas(64) T value[LANES<T>];
        for (int64_t e = 0; e < count; ++e) {
            load_row<T>(p.dtype, state + (e * p.taps + p.taps + token) * size, 1, value);
            to[e] = value[0];
        }
        for (int64_t e = count; e % LANES<T> != 0; ++e) to[e] = 0;
    }
}

// bias + sum of the taps for output t; row t of x is the oldest tap. TAPS = 0: known at run time.
template <class T, int TAPS>
SEQMAMBA_INLINE Vec<T> convolve(const T* x, const T* weights, int64_t taps) {
    int64_t n = TAPS ? TAPS : taps;
    Vec<T> c = load(weights + n * TILE);
#pragma GCC unroll 4
    for (int64_t k = 0; k < n; ++k) c += load(weights + k * TILE) * load(x + k * TILE);
    return c;
}

// Calls body with the number of taps as a constant where it is the usual one, else 0.
template <class F>
SEQMAMBA_INLINE void with_taps(int64_t taps, F&& body) {
    if (taps == 4)
        body(std::integral_constant<int, 4>{});
    else
        body(std::integral_constant<int, 0>{});
}

}  // namespace SEQMAMBA_ISA
