// One token of the convolution: the state moves left by one and takes the token at its end.
#include "conv.h"

namespace SEQMAMBA_ISA {
namespace {

template <class T>
void step_tile(const ConvProblem& p, int64_t row, int64_t first) {
    int64_t count = std::min(TILE, p.channels - first), size = size_of(p.dtype), taps = p.taps;
    alignas(64) T x[TILE], c[TILE], state[TILE], weight[TILE];
    load_row<T>(p.dtype, p.x.data + (row * p.x.batch_stride + first) * size, count, x);
    std::fill_n(c, TILE, T(0));
    if (p.bias) load_row<T>(p.dtype, p.bias + first * size, count, c);
    char* states = p.out + (row * p.channels + first) * taps * size;
    for (int64_t e = 0; e < count; ++e) {
        char* window = states + e * taps * size;
        std::memmove(window, window + size, size_t((taps - 1) * size));
        store_row<T>(p.dtype, x + e, 1, window + (taps - 1) * size);
        load_row<T>(p.dtype, window, taps, state);
        load_row<T>(p.dtype, p.weight + (first + e) * taps * size, taps, weight);
        for (int64_t k = 0; k < taps; ++k) c[e] += weight[k] * state[k];
    }
    for (int64_t e = 0; p.silu && e < count; e += LANES<T>) {
        Vec<T> sum = load(c + e);
        store(c + e, sum * sigmoid<T>(sum));
    }
    store_row<T>(p.dtype, c, count, p.grad_x + (row * p.channels + first) * size);
}

}  // namespace

// Uses x, weight and bias of the problem; `out` is the state, `grad_x` receives the output.
void conv_step(const ConvProblem* problem, int threads) {
    const ConvProblem& p = *problem;
    int64_t tiles = ceil_div(p.channels, TILE);
    by_type(problem, 1, [&](auto type, const ConvProblem*, int64_t) {
        seqmamba::parallel_for(p.batch * tiles, p.batch * p.channels < 20000 ? 1 : threads,
                               [&](int64_t unit) {
                                   step_tile<decltype(type)>(p, unit / tiles, unit % tiles * TILE);
                               });
    });
}

}  // namespace SEQMAMBA_ISA
