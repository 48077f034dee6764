// Backward depthwise causal convolution: recomputes the sum of the taps, chunks from last to first.
#include "conv.h"

namespace SEQMAMBA_ISA {
namespace {

using seqmamba::Slot;

// Units are blocks of runs times tiles of channels; each has one partial sum of the weights'
// gradients, added up in the order of the blocks.
struct ConvPlan {
    int64_t tiles, runs_per_block, row_blocks, units, width;

    explicit ConvPlan(const ConvProblem& p) {
        tiles = ceil_div(p.channels, TILE);
        runs_per_block = std::max<int64_t>(1, ceil_div(p.runs, ROW_BLOCKS));
        row_blocks = ceil_div(p.runs, runs_per_block);
        units = row_blocks * tiles;
        width = (p.taps + 1) * TILE;  // of one partial sum: [tap][channel], then the bias
    }
};

template <class T, int TAPS>
class BackwardUnit {
public:
    BackwardUnit(const ConvProblem& p, int64_t tile, T* sums) : p_(p), before_(p.taps - 1), sums_(sums) {
        first_ = tile * TILE;
        count_ = std::min(TILE, p.channels - first_);
        vectors_ = ceil_div(count_, W);
        Arena size(nullptr);
        take(size);
        Arena arena(seqmamba::scratch(Slot::unit, size.used()));
        take(arena);
        conv_weights<T>(p, first_, count_, weights_);
        std::fill_n(sums_, (p.taps + 1) * TILE, T(0));
    }

    void run(int64_t index) {
        Run run = run_of(p_, index);
        std::fill_n(grad_, before_ * TILE, T(0));
        int64_t last = run.length ? (run.length - 1) / CONV_CHUNK : -1;
        for (int64_t chunk = last; chunk >= 0; --chunk) {
            int64_t start = chunk * CONV_CHUNK;
            Span<ConvProblem> span{&p_, run, start, std::min(CONV_CHUNK, run.length - start)};
            // What follows the chunk: the gradients of the first tokens of the chunk after it.
            std::memmove(grad_ + span.length * TILE, grad_, size_t(before_ * TILE) * sizeof(T));
            differentiate(span, index);
            write(span);
        }
        if (p_.grad_initial) write_state(index);
        clear_padding(p_, seqmamba::Rows{p_.grad_x, p_.length * p_.channels, p_.channels}, index, first_,
                      count_, size_of(p_.dtype));
    }

private:
    static constexpr int W = LANES<T>;

    void take(Arena& arena) {
        weights_ = arena.take<T>((p_.taps + 1) * TILE);
        x_ = arena.take<T>((before_ + CONV_CHUNK) * TILE);
        grad_ = arena.take<T>((before_ + CONV_CHUNK) * TILE);
        row_ = arena.take<T>(TILE);
    }

    // Gradients at the sums of the taps, and what they give to weights and bias.
    void differentiate(const Span<ConvProblem>& span, int64_t index) {
        RowCursor x = span.rows(p_.x, p_.dtype, first_), grad = span.rows(p_.grad_out, p_.dtype, first_);
        for (int64_t t = -before_; t < span.length; ++t)
            conv_row<T>(span, t, index, first_, count_, x, x_ + (before_ + t) * TILE);
        for (int64_t t = 0; t < span.length; ++t) {
            if (span.hidden(t)) {
                std::fill_n(grad_ + t * TILE, TILE, T(0));
                continue;
            }
            load_row<T>(p_.dtype, grad[t], count_, row_);
            for (int64_t v = 0; v < vectors_; ++v) {
                Vec<T> g = load(row_ + v * W);
                if (p_.silu) {
                    Vec<T> c = convolve<T, TAPS>(x_ + t * TILE + v * W, weights_ + v * W, p_.taps);
                    Vec<T> s = sigmoid<T>(c);
                    g *= s * (T(1) + c * (T(1) - s));
                }
                store(grad_ + t * TILE + v * W, g);
            }
        }
        for (int64_t v = 0; v < vectors_; ++v) add_weights(span.length, v * W);
    }

    void add_weights(int64_t length, int64_t lane) {
        int64_t taps = TAPS ? TAPS : p_.taps;
        for (int64_t k = 0; k < taps; ++k) {
            Vec<T> sum = load(sums_ + k * TILE + lane);
            for (int64_t t = 0; t < length; ++t)
                sum += load(grad_ + t * TILE + lane) * load(x_ + (t + k) * TILE + lane);
            store(sums_ + k * TILE + lane, sum);
        }
        Vec<T> sum = load(sums_ + taps * TILE + lane);
        for (int64_t t = 0; t < length; ++t) sum += load(grad_ + t * TILE + lane);
        store(sums_ + taps * TILE + lane, sum);
    }

    // Gradient of token j: sum over k of weight[k] grad[j + taps - 1 - k]; j < 0 is in the state.
    SEQMAMBA_INLINE void input_gradient(int64_t j, T* to) {
        int64_t taps = TAPS ? TAPS : p_.taps;
        for (int64_t v = 0; v < vectors_; ++v) {
            Vec<T> sum = {};
            for (int64_t k = 0; k < taps; ++k)
                if (j + taps - 1 - k >= 0)
                    sum += load(weights_ + k * TILE + v * W) * load(grad_ + (j + taps - 1 - k) * TILE + v * W);
            store(to + v * W, sum);
        }
    }

    void write(const Span<ConvProblem>& span) {
        RowCursor to = span.rows(p_.grad_x, p_.dtype, p_.channels, first_);
        for (int64_t t = 0; t < span.length; ++t) {
            if (span.hidden(t))
                std::fill_n(row_, TILE, T(0));
            else
                input_gradient(t, row_);
            store_row<T>(p_.dtype, row_, count_, to[t]);
        }
    }

    void write_state(int64_t index) {
        int64_t size = size_of(p_.dtype);
        char* to = p_.grad_initial + (index * p_.channels + first_) * p_.taps * size;
        for (int64_t i = 0; i < p_.taps; ++i) {
            input_gradient(i - p_.taps, row_);
            for (int64_t e = 0; e < count_; ++e)
                store_row<T>(p_.dtype, row_ + e, 1, to + (e * p_.taps + i) * size);
        }
    }

    const ConvProblem& p_;
    int64_t before_, first_, count_, vectors_;
    T* sums_;
    T *weights_, *x_, *grad_, *row_;  // [row][channel]; x_ begins `before_` tokens early
};

// Adds up the partial sums of one tile and writes the gradients of weight and bias.
template <class T>
void reduce(const ConvProblem& p, const ConvPlan& plan, T* sums, int64_t tile) {
    int64_t first = tile * TILE, count = std::min(TILE, p.channels - first), size = size_of(p.dtype);
    T* sum = sums + tile * plan.width;
    for (int64_t block = 1; block < plan.row_blocks; ++block)
        for (int64_t i = 0; i < plan.width; i += LANES<T>)
            store(sum + i, load(sum + i) + load(sum + block * plan.tiles * plan.width + i));
    for (int64_t e = 0; e < count; ++e)
        for (int64_t k = 0; k < p.taps; ++k)
            store_row<T>(p.dtype, sum + k * TILE + e, 1, p.grad_weight + ((first + e) * p.taps + k) * size);
    if (p.grad_bias) store_row<T>(p.dtype, sum + p.taps * TILE, count, p.grad_bias + first * size);
}

template <class T>
void backward_all(const ConvProblem* problems, int64_t count, int threads) {
    struct Setup {
        ConvPlan plan;
        int64_t end;
        T* sums;
    };
    std::vector<Setup> setups;
    int64_t units = 0, elements = 0, values = 0;
    for (int64_t i = 0; i < count; ++i) {
        ConvPlan plan(problems[i]);
        units += plan.units;
        values += plan.units * plan.width;
        elements += problems[i].batch * problems[i].length * problems[i].channels;
        setups.push_back({plan, units, nullptr});
    }
    T* sums = static_cast<T*>(seqmamba::scratch(Slot::workspace, values * int64_t(sizeof(T)) + 64));
    for (Setup& setup : setups) {
        setup.sums = sums;
        sums += setup.plan.units * setup.plan.width;
    }
    if (elements < 20000) threads = 1;
    seqmamba::parallel_for(units, threads, [&](int64_t unit) {
        size_t i = 0;
        while (unit >= setups[i].end) ++i;
        const ConvProblem& p = problems[i];
        const ConvPlan& plan = setups[i].plan;
        int64_t inner = unit - (setups[i].end - plan.units), block = inner / plan.tiles;
        int64_t end = std::min(p.runs, (block + 1) * plan.runs_per_block);
        with_taps(p.taps, [&](auto taps) {
            BackwardUnit<T, taps()> work(p, inner % plan.tiles, setups[i].sums + inner * plan.width);
            for (int64_t run = block * plan.runs_per_block; run < end; ++run) work.run(run);
        });
    });
    for (int64_t i = 0; i < count; ++i) {
        const Setup& setup = setups[size_t(i)];
        for (int64_t tile = 0; setup.plan.row_blocks && tile < setup.plan.tiles; ++tile)
            reduce<T>(problems[i], setup.plan, setup.sums, tile);
    }
}

}  // namespace

void conv_backward(const ConvProblem* problems, int64_t count, int threads) {
    by_type(problems, count, [&](auto type, const ConvProblem* p, int64_t n) {
        backward_all<decltype(type)>(p, n, threads);
    });
}

}  // namespace SEQMAMBA_ISA
