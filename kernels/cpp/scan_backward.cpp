// Backward selective scan: per run and tile of channels, chunks from last to first, each replayed
// from its checkpoint. Nothing of size (B, L, E, N) exists.
#include "entry.h"
#include "gradients.h"
#include "local.h"
#include "pages.h"

namespace SEQMAMBA_ISA {
namespace {

using seqmamba::Rows;
using seqmamba::Slot;

template <class T>
class BackwardUnit {
public:
    BackwardUnit(const ScanProblem& p, const Plan<T>& plan, const Parameters<T>& parameters,
                 const PartialSums<T>& sums, int64_t unit)
        : p_(p), plan_(plan), parameters_(parameters), sums_(sums), unit_(plan.unit(unit)) {
        Arena count(nullptr);
        take(count);
        Arena arena(seqmamba::scratch(Slot::unit, count.used()));
        take(arena);
        std::fill_n(zeros_, 2 * NB * W, T(0));
    }

    void run() {
        each_tile([&](int64_t) { zero_channel_sums(); });
        for (int64_t i = 0; i < plan_.runs_in(p_, unit_.block); ++i)
            scan(plan_.run(p_, unit_.block, i, p_.reverse));
    }

private:
    static constexpr int W = LANES<T>, NB = ADJOINT_STATES;

    void take(Arena& arena) {
        int64_t lanes = plan_.chunk * TILE;
        for (T** array : {&delta_, &du_, &u_, &grad_y_, &y_, &q_, &r_, &slope_, &gate_})
            *array = arena.take<T>(lanes);
        row_ = arena.take<T>(4 * TILE);
        carries_ = arena.take<T>((unit_.end - unit_.begin) * TILE * p_.states);
        start_ = arena.take<T>(TILE * p_.states);
        int64_t copied = MixingSource<T>::copied(plan_, p_);
        b_ = {&p_.b, p_.b_group_stride, parameters_.b, arena.take<T>(copied)};
        c_ = {&p_.c, p_.c_group_stride, parameters_.c, arena.take<T>(copied)};
        decay_ = arena.take<T>(plan_.chunk * NB * W);
        kept_ = arena.take<T>(plan_.chunk * NB * W);
        zeros_ = arena.take<T>(2 * NB * W);
        second_ = p_.window > 1 ? arena.take<T>(plan_.chunk * NB * W) : nullptr;
        sum_b_ = arena.take<T>(ceil_div(plan_.chunk * NB, W) * W * W);
        sum_c_ = arena.take<T>(ceil_div(plan_.chunk * NB, W) * W * W);
    }

    // Partial sums of this block of runs, in vector order.
    T* channel_sum(T* sums, int64_t n) const {
        return sums ? sums + (unit_.block * plan_.vectors + tile_.vector) * n * W : nullptr;
    }

    template <class F>
    void each_tile(F&& body) {
        int64_t first = plan_.tile(unit_.begin).vector;
        const ChannelSums<T>& sums = sums_.channel;
        for (int64_t t = unit_.begin; t < unit_.end; ++t) {
            tile_ = plan_.tile(t);
            fresh_ = t == unit_.begin || t % plan_.group_tiles == 0;
            split_ = t / plan_.tiles_per_split;
            first_of_group_ = t % plan_.tiles_per_split == 0 || t % plan_.group_tiles == 0;
            carry_ = carries_ + (tile_.vector - first) * p_.states * W;
            grad_a_ = channel_sum(sums.a, p_.states);
            grad_b_ = channel_sum(sums.b, p_.states);
            grad_c_ = channel_sum(sums.c, p_.states);
            grad_d_ = channel_sum(sums.d, 1);
            grad_bias_ = channel_sum(sums.bias, 1);
            body(t);
        }
    }

    void zero_channel_sums() {
        int64_t lanes = tile_.vectors * W;
        for (T* sum : {grad_a_, grad_b_, grad_c_})
            if (sum) std::fill_n(sum, lanes * p_.states, T(0));
        for (T* sum : {grad_d_, grad_bias_}) std::fill_n(sum, lanes, T(0));
    }

    // Tiles inside chunks: neighbouring tiles share memory pages.
    void scan(int64_t index) {
        Run run = run_of(p_, index);
        int64_t last = run.length ? (run.length - 1) / plan_.chunk : -1;
        if (p_.grad_last || !run.length)
            each_tile([&](int64_t) { to_state<T>(p_, tile_, p_.grad_last, index, carry_); });
        for (int64_t chunk = last; chunk >= 0; --chunk) {
            int64_t start = chunk * plan_.chunk;
            Span<ScanProblem> span{&p_, run, start, std::min(plan_.chunk, run.length - start)};
            each_tile([&](int64_t t) {
                if (chunk)
                    load_checkpoint(plan_.first_checkpoint(p_, index) + chunk - 1);
                else if (p_.initial_state)
                    to_state<T>(p_, tile_, p_.initial_state, index, start_);
                read(span);
                Streams streams(delta_);
                look_ahead(span, t, streams);
                recur(span, streams);
                write(span);
            });
        }
        each_tile([&](int64_t) {
            from_state<T>(p_, tile_, carry_, index, p_.grad_initial);
            clear(index);
        });
    }

    void load_checkpoint(int64_t checkpoint) {
        const T* from = reinterpret_cast<const T*>(p_.saved) +
                        (checkpoint * plan_.vectors + tile_.vector) * p_.states * W;
        std::memcpy(start_, from, size_t(tile_.vectors * p_.states * W) * sizeof(T));
    }

    void read(const Span<ScanProblem>& span) {
        RowCursor u = span.rows(p_.u, p_.dtype, tile_.first);
        RowCursor raw = span.rows(p_.delta, p_.dtype, tile_.first);
        RowCursor z = span.rows(p_.z, p_.dtype, tile_.first);
        RowCursor grad_out = span.rows(p_.grad_out, p_.dtype, tile_.first);
        Ints<T> checked = {};
        for (int64_t t = 0; t < span.length; ++t) {
            if (span.hidden(t)) {
                for (int64_t v = 0; v < tile_.vectors; ++v) hide((v * plan_.chunk + t) * W);
                continue;
            }
            load_row<T>(p_.dtype, u[t], tile_.count, row_);
            load_row<T>(p_.dtype, raw[t], tile_.count, row_ + TILE);
            load_row<T>(p_.dtype, grad_out[t], tile_.count, row_ + 2 * TILE);
            if (p_.z.data) load_row<T>(p_.dtype, z[t], tile_.count, row_ + 3 * TILE);
            vector_groups(tile_.vectors, [&](auto count, int64_t v) { checked |= read_vectors<count()>(v, t); });
        }
        checked_ = any<T>(checked);
    }

    void hide(int64_t at) {
        for (T* array : {delta_, du_, u_, grad_y_, y_, q_, r_, slope_, gate_}) store(array + at, Vec<T>{});
    }

    // Returns where the checked exponential is needed.
    template <int K>
    SEQMAMBA_INLINE Ints<T> read_vectors(int64_t first, int64_t t) {
        Vec<T> delta[K], z[K], slope[K], s[K];
        const T* lanes = parameters_.bias + tile_.vector * W;
#pragma GCC unroll 8
        for (int k = 0; k < K; ++k) {
            int64_t column = (first + k) * W;
            delta[k] = load(row_ + TILE + column) + load(lanes + column);
            z[k] = p_.z.data ? load(row_ + 3 * TILE + column) : Vec<T>{};
            slope[k] = splat<T>(1);
        }
        if (p_.softplus)
            softplus_beside<T, K>(delta, z, slope, s);
        else
            sigmoid<T, K>(z, s);
        Ints<T> checked = {};
#pragma GCC unroll 8
        for (int k = 0; k < K; ++k) checked |= keep_vector(first + k, t, delta[k], slope[k], z[k], s[k]);
        return checked;
    }

    SEQMAMBA_INLINE Ints<T> keep_vector(int64_t v, int64_t t, Vec<T> delta, Vec<T> slope, Vec<T> z, Vec<T> s) {
        int64_t at = (v * plan_.chunk + t) * W, lane = (tile_.vector + v) * W;
        Vec<T> u = load(row_ + v * W), grad_y = load(row_ + 2 * TILE + v * W);
        if (p_.z.data) {
            store(gate_ + at, grad_y * s * (T(1) + z * (T(1) - s)));
            grad_y *= z * s;
        }
        store(delta_ + at, delta);
        store(du_ + at, delta * u);
        store(u_ + at, u);
        store(slope_ + at, slope);
        store(grad_y_ + at, grad_y);
        store(y_ + at, load(parameters_.d + lane) * u);
        store(q_ + at, Vec<T>{});
        store(r_ + at, Vec<T>{});
        return ~Ints<T>(-negative_magnitude<T>(delta) <= load(parameters_.limit + lane));
    }

    // Adds the rows of the tile after tile `index`.
    void look_ahead(const Span<ScanProblem>& span, int64_t index, Streams& found) {
        auto ahead = plan_.ahead(p_, unit_, index);
        int64_t size = size_of(p_.dtype), channel = tile_.first + ahead.channels;
        auto add = [&](const RowCursor& rows) {
            found.add(rows[-ahead.tokens], rows.step, ahead.count * size);
        };
        for (const Rows* rows : {&p_.u, &p_.delta, &p_.z, &p_.grad_out})
            if (rows->data) add(span.rows(*rows, p_.dtype, channel));
        for (char* grad : {p_.grad_u, p_.grad_delta, p_.grad_z})
            if (grad) add(span.rows(grad, p_.dtype, p_.channels, channel));
    }

    void recur(const Span<ScanProblem>& span, Streams& streams) {
        bool vectors = p_.constant_b || p_.constant_c;
        Mixing<T> b{}, c{};
        if (!p_.constant_b) b = b_.variable(span, tile_.group, vectors, fresh_);
        if (!p_.constant_c) c = c_.variable(span, tile_.group, vectors, fresh_);
        auto block = [&](auto size, int64_t n) {
            constexpr int SIZE = size();
            // The partly filled vector goes first, so that its unused lanes, NaN where B or C is
            // not finite, can be wiped from the sums over channels.
            int64_t first = tile_.count % W ? tile_.vectors - 1 : 0;
            recur_vector<SIZE>(span, first, n, b, c, true, streams);
            if (tile_.count % W) wipe_unused(span.length * SIZE * W);
            for (int64_t v = 0; v < tile_.vectors; ++v)
                if (v != first) recur_vector<SIZE>(span, v, n, b, c, false, streams);
            if (!p_.constant_b) add_token_sums<SIZE>(span, sum_b_, sums_.token.b, n);
            if (!p_.constant_c) add_token_sums<SIZE>(span, sum_c_, sums_.token.c, n);
        };
        if (2 * span.length <= CHUNK)  // twice the states of half the tokens take no more cache
            state_blocks<2 * NB>(0, p_.states, block);
        else
            state_blocks<NB>(0, p_.states, block);
        streams.finish(span.length);
    }

    template <int SIZE>
    void recur_vector(const Span<ScanProblem>& span, int64_t v, int64_t n, Mixing<T> b, Mixing<T> c,
                      bool first, Streams& streams) {
        int64_t column = v * plan_.chunk * W, state = (v * p_.states + n) * W, vector = tile_.vector + v;
        bool vectors = p_.constant_b || p_.constant_c;
        Mixing<T> b_n = b_.at(b, vector, p_.states, n, vectors);
        Mixing<T> c_n = c_.at(c, vector, p_.states, n, vectors);
        // States before the first chunk and gradients behind the last one are 0 unless given.
        const T* start = span.start || p_.initial_state ? start_ + state : zeros_;
        bool last = span.start + span.length == span.run.length;
        const T* carry = last && !p_.grad_last ? zeros_ : carry_ + state;
        auto sums = [&](T* of_channels, T* of_tokens) -> LaneSums<T> {
            if (of_channels) return {of_channels + state, of_channels + state, 0, 0};
            return {first ? zeros_ : of_tokens, of_tokens, first ? 0 : SIZE * W, SIZE * W};
        };
        Column<T> x{delta_ + column,
                    du_ + column,
                    y_ + column,
                    parameters_.a + (vector * p_.states + n) * W,
                    b_n.data,
                    c_n.data,
                    b_n.stride,
                    c_n.stride,
                    span.length,
                    decay_,
                    p_.window,
                    {streams.next(), streams.next(), streams.next(), streams.next()}};
        Adjoint<T> adjoint{x,
                           grad_y_ + column,
                           q_ + column,
                           r_ + column,
                           start,
                           kept_,
                           second_,
                           sums(grad_b_, sum_b_),
                           sums(grad_c_, sum_c_),
                           carry,
                           carry_ + state,
                           grad_a_ + state};
        specialise<T, SIZE>(checked_, vectors, [&](auto size, auto checked, auto vector_form) {
            if (p_.window > 1)
                local_adjoint<T, size(), checked(), vector_form()>(adjoint);
            else
                adjoint_states<T, size(), checked(), vector_form()>(adjoint);
        });
    }

    void wipe_unused(int64_t sums) {
        int used = int(tile_.count % W);
        for (T* sum : {sum_b_, sum_c_})
            for (int64_t i = 0; i < sums; i += W) std::fill(sum + i + used, sum + i + W, T(0));
    }

    // Adds the sums over the lanes to the gradient of B or C of this split.
    template <int SIZE>
    void add_token_sums(const Span<ScanProblem>& span, T* sums, T* to, int64_t n) {
        int64_t width = p_.groups * p_.states;
        char* data = reinterpret_cast<char*>(to + split_ * p_.batch * p_.length * width);
        DType type = sizeof(T) == 8 ? DType::f64 : DType::f32;
        RowCursor rows = span.rows(data, type, width, tile_.group * p_.states + n);
        for (int64_t first = 0; first < span.length * SIZE; first += W)
            store(sums + first, lane_sums<T, W>(sums + first * W));  // behind what is still to be read
        for (int64_t t = 0; t < span.length; ++t) {
            T* target = reinterpret_cast<T*>(rows[t]);
            for (int i = 0; i < SIZE; ++i)
                target[i] = first_of_group_ ? sums[t * SIZE + i] : target[i] + sums[t * SIZE + i];
        }
    }

    // From the sums over states to the gradients of u, delta, z, D and the bias.
    void write(const Span<ScanProblem>& span) {
        RowCursor u = span.rows(p_.grad_u, p_.dtype, p_.channels, tile_.first);
        RowCursor delta = span.rows(p_.grad_delta, p_.dtype, p_.channels, tile_.first);
        RowCursor z = span.rows(p_.grad_z, p_.dtype, p_.channels, tile_.first);
        for (int64_t t = 0; t < span.length; ++t) {
            if (span.hidden(t))
                std::fill_n(row_, 3 * TILE, T(0));
            else
                for (int64_t v = 0; v < tile_.vectors; ++v) write_vector(v, (v * plan_.chunk + t) * W);
            store_row<T>(p_.dtype, row_, tile_.count, u[t]);
            store_row<T>(p_.dtype, row_ + TILE, tile_.count, delta[t]);
            if (p_.z.data) store_row<T>(p_.dtype, row_ + 2 * TILE, tile_.count, z[t]);
        }
    }

    SEQMAMBA_INLINE void write_vector(int64_t v, int64_t at) {
        constexpr T ln2 = T(0.6931471805599453);  // r was formed with A * log2(e)
        Vec<T> u = load(u_ + at), grad_y = load(grad_y_ + at), q = load(q_ + at);
        Vec<T> grad_delta = (u * q + load(r_ + at) * ln2) * load(slope_ + at);
        Vec<T> d = load(parameters_.d + (tile_.vector + v) * W);
        store(row_ + v * W, d * grad_y + load(delta_ + at) * q);
        store(row_ + TILE + v * W, grad_delta);
        if (p_.z.data) store(row_ + 2 * TILE + v * W, load(y_ + at) * load(gate_ + at));
        add_to(grad_d_ + v * W, grad_y * u);
        add_to(grad_bias_ + v * W, grad_delta);
    }

    // Padding has gradient 0; the first tile of a group also speaks for B and C.
    void clear(int64_t index) {
        int64_t size = size_of(p_.dtype), row = p_.length * p_.channels;
        for (char* grad : {p_.grad_u, p_.grad_delta, p_.grad_z})
            if (grad) clear_padding(p_, {grad, row, p_.channels}, index, tile_.first, tile_.count, size);
        if (!first_of_group_) return;
        int64_t width = p_.groups * p_.states, split = split_ * p_.batch * p_.length * width;
        for (T* sums : {sums_.token.b, sums_.token.c})
            if (sums)
                clear_padding(p_, {reinterpret_cast<char*>(sums + split), p_.length * width, width}, index,
                              tile_.group * p_.states, p_.states, int64_t(sizeof(T)));
    }

    const ScanProblem& p_;
    const Plan<T>& plan_;
    const Parameters<T>& parameters_;
    const PartialSums<T>& sums_;
    const typename Plan<T>::Unit unit_;
    bool fresh_ = false;           // the tile is the first of its group in this unit
    int64_t split_ = 0;            // of the tile
    bool first_of_group_ = false;  // the tile is the first of its group and split
    Tile tile_{};
    T *delta_, *du_, *u_, *grad_y_, *y_, *q_, *r_;  // [vector][token][lane]
    T* slope_;                                      // derivative of the step size
    T* gate_;                                       // gradient of out times the derivative of the gate
    T* row_;                                        // four rows of a tile
    T *carries_, *carry_, *start_;                  // [vector][n][lane]
    MixingSource<T> b_, c_;
    T *decay_, *kept_, *second_, *sum_b_, *sum_c_;   // scratch of the adjoint
    T* zeros_;                                      // [n][lane]
    T *grad_a_, *grad_b_, *grad_c_, *grad_d_, *grad_bias_;
    bool checked_ = false;                          // whether a step of the chunk is large
};

template <class T>
void backward_all(const ScanProblem* problems, int64_t count, int threads) {
    std::vector<PartialSums<T>> sums(static_cast<size_t>(count));
    auto sums_of = [&](const ScanProblem& p) -> PartialSums<T>& { return sums[size_t(&p - problems)]; };
    Prepared<T> prepared(problems, count, threads, [&](auto& setup, Arena& arena) {
        sums_of(setup.problem).take(arena, setup.plan, setup.problem);
    });
    for (auto& setup : prepared.setups) {
        const ScanProblem& p = setup.problem;
        for (char* grad : {p.grad_u, p.grad_delta, p.grad_z})
            seqmamba::prefer_large_pages(grad, p.batch * p.length * p.channels * size_of(p.dtype));
    }
    seqmamba::parallel_for(prepared.units, prepared.threads, [&](int64_t index) {
        auto [setup, unit] = prepared.find(index);
        BackwardUnit<T>(setup->problem, setup->plan, setup->parameters, sums_of(setup->problem), unit).run();
    });
    for (auto& setup : prepared.setups)
        reduce<T>(setup.plan, setup.problem, sums_of(setup.problem), prepared.threads);
}

}  // namespace

void scan_backward(const ScanProblem* problems, int64_t count, int threads) {
    by_type(problems, count, [&](auto type, const ScanProblem* p, int64_t n) {
        backward_all<decltype(type)>(p, n, threads);
    });
}

}  // namespace SEQMAMBA_ISA
