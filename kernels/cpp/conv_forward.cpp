// Forward depthwise causal convolution.
#include "conv.h"

namespace SEQMAMBA_ISA {
namespace {

using seqmamba::Slot;

template <class T, int TAPS>
void forward_run(const ConvProblem& p, int64_t index, int64_t first, T* block) {
    constexpr int W = LANES<T>;
    int64_t count = std::min(TILE, p.channels - first), vectors = ceil_div(count, W), before = p.taps - 1;
    Arena arena(block);
    T* weights = arena.take<T>((p.taps + 1) * TILE);
    T* x = arena.take<T>((before + CONV_CHUNK) * TILE);
    T* row = arena.take<T>(TILE);
    conv_weights<T>(p, first, count, weights);
    Run run = run_of(p, index);
    for (int64_t start = 0; start < run.length; start += CONV_CHUNK) {
        Span<ConvProblem> span{&p, run, start, std::min(CONV_CHUNK, run.length - start)};
        RowCursor from = span.rows(p.x, p.dtype, first), out = span.rows(p.out, p.dtype, p.channels, first);
        if (start)
            std::memmove(x, x + CONV_CHUNK * TILE, size_t(before * TILE) * sizeof(T));
        else
            for (int64_t t = -before; t < 0; ++t)
                conv_row<T>(span, t, index, first, count, from, x + (before + t) * TILE);
        for (int64_t t = 0; t < span.length; ++t) {
            conv_row<T>(span, t, index, first, count, from, x + (before + t) * TILE);
            bool hidden = span.hidden(t);
            for (int64_t v = 0; v < vectors; ++v) {
                Vec<T> c = convolve<T, TAPS>(x + t * TILE + v * W, weights + v * W, p.taps);
                if (p.silu) c *= sigmoid<T>(c);
                store(row + v * W, hidden ? Vec<T>{} : c);
            }
            store_row<T>(p.dtype, row, count, out[t]);
        }
    }
    clear_padding(p, seqmamba::Rows{p.out, p.length * p.channels, p.channels}, index, first, count,
                  size_of(p.dtype));
}

template <class T>
void forward_all(const ConvProblem* problems, int64_t count, int threads) {
    int64_t units = 0, elements = 0;
    std::vector<int64_t> ends;
    for (int64_t i = 0; i < count; ++i) {
        const ConvProblem& p = problems[i];
        ends.push_back(units += p.runs * ceil_div(p.channels, TILE));
        elements += p.batch * p.length * p.channels;
    }
    seqmamba::parallel_for(units, elements < 20000 ? 1 : threads, [&](int64_t unit) {
        size_t i = 0;
        while (unit >= ends[i]) ++i;
        const ConvProblem& p = problems[i];
        int64_t inner = unit - (i ? ends[i - 1] : 0), tiles = ceil_div(p.channels, TILE);
        int64_t rows = 2 * p.taps + CONV_CHUNK + 1;
        T* block = static_cast<T*>(seqmamba::scratch(Slot::unit, rows * TILE * int64_t(sizeof(T))));
        with_taps(p.taps, [&](auto taps) {
            forward_run<T, taps()>(p, inner / tiles, inner % tiles * TILE, block);
        });
    });
}

}  // namespace

void conv_forward(const ConvProblem* problems, int64_t count, int threads) {
    by_type(problems, count, [&](auto type, const ConvProblem* p, int64_t n) {
        forward_all<decltype(type)>(p, n, threads);
    });
}

}  // namespace SEQMAMBA_ISA
