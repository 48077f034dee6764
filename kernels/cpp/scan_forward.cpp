// Forward selective scan: for each run and tile of channels, chunk by chunk.
#include "chunk.h"
#include "entry.h"
#include "local.h"
#include "pages.h"
#include "prepared.h"

namespace SEQMAMBA_ISA {
namespace {

using seqmamba::Slot;

template <class T>
class ForwardUnit {
public:
    ForwardUnit(const ScanProblem& p, const Plan<T>& plan, const Parameters<T>& parameters, int64_t unit)
        : p_(p), plan_(plan), parameters_(parameters), unit_(plan.unit(unit)) {
        Arena count(nullptr);
        take(count);
        Arena arena(seqmamba::scratch(Slot::unit, count.used()));
        take(arena);
        std::fill_n(zeros_, MAX_STATES<T> * W, T(0));
    }

    void run() {
        for (int64_t i = 0; i < plan_.runs_in(p_, unit_.block); ++i)
            scan(plan_.run(p_, unit_.block, i, !p_.reverse));
    }

private:
    static constexpr int W = LANES<T>;

    void take(Arena& arena) {
        int64_t lanes = plan_.chunk * TILE;
        delta_ = arena.take<T>(lanes);
        du_ = arena.take<T>(lanes);
        y_ = arena.take<T>(lanes);
        row_ = arena.take<T>(2 * TILE);
        states_ = arena.take<T>((unit_.end - unit_.begin) * TILE * p_.states);
        zeros_ = arena.take<T>(MAX_STATES<T> * W);
        decay_ = p_.window > 1 ? arena.take<T>(plan_.chunk * MAX_STATES<T> * W) : nullptr;
        int64_t copied = MixingSource<T>::copied(plan_, p_);
        b_ = {&p_.b, p_.b_group_stride, parameters_.b, arena.take<T>(copied)};
        c_ = {&p_.c, p_.c_group_stride, parameters_.c, arena.take<T>(copied)};
    }

    template <class F>
    void each_tile(F&& body) {
        int64_t first = plan_.tile(unit_.begin).vector;
        for (int64_t t = unit_.begin; t < unit_.end; ++t) {
            tile_ = plan_.tile(t);
            fresh_ = t == unit_.begin || t % plan_.group_tiles == 0;
            state_ = states_ + (tile_.vector - first) * p_.states * W;
            body(t);
        }
    }

    // Tiles inside chunks: neighbouring tiles share memory pages.
    void scan(int64_t index) {
        Run run = run_of(p_, index);
        int64_t size = size_of(p_.dtype);
        if (p_.initial_state || !run.length)
            each_tile([&](int64_t) { to_state<T>(p_, tile_, p_.initial_state, index, state_); });
        for (int64_t start = 0; start < run.length; start += plan_.chunk) {
            Span<ScanProblem> span{&p_, run, start, std::min(plan_.chunk, run.length - start)};
            int64_t checkpoint = plan_.first_checkpoint(p_, index) + start / plan_.chunk - 1;
            each_tile([&](int64_t t) {
                if (p_.saved && start) save_state(checkpoint);
                read(span);
                Streams streams(delta_);
                look_ahead(span, t, streams);
                recur(span, streams);
                write(span);
            });
        }
        each_tile([&](int64_t) {
            clear_padding(p_, seqmamba::Rows{p_.out, p_.length * p_.channels, p_.channels}, index,
                          tile_.first, tile_.count, size);
            from_state<T>(p_, tile_, state_, index, p_.last_state);
        });
    }

    void save_state(int64_t checkpoint) {
        T* to = reinterpret_cast<T*>(p_.saved) +
                (checkpoint * plan_.vectors + tile_.vector) * p_.states * W;
        std::memcpy(to, state_, size_t(tile_.vectors * p_.states * W) * sizeof(T));
    }

    // Step sizes and inputs of the chunk; y starts as D u.
    void read(const Span<ScanProblem>& span) {
        RowCursor u = span.rows(p_.u, p_.dtype, tile_.first);
        RowCursor raw = span.rows(p_.delta, p_.dtype, tile_.first);
        Ints<T> checked = {};
        for (int64_t t = 0; t < span.length; ++t) {
            if (span.hidden(t)) {
                for (int64_t v = 0; v < tile_.vectors; ++v) {
                    int64_t at = (v * plan_.chunk + t) * W;
                    store(delta_ + at, Vec<T>{});
                    store(du_ + at, Vec<T>{});
                    store(y_ + at, Vec<T>{});
                }
                continue;
            }
            load_row<T>(p_.dtype, u[t], tile_.count, row_);
            load_row<T>(p_.dtype, raw[t], tile_.count, row_ + TILE);
            vector_groups(tile_.vectors, [&](auto count, int64_t v) { checked |= read_vectors<count()>(v, t); });
        }
        checked_ = any<T>(checked);
    }

    // Returns where the checked exponential is needed.
    template <int K>
    SEQMAMBA_INLINE Ints<T> read_vectors(int64_t first, int64_t t) {
        Vec<T> delta[K];
        int64_t lane = (tile_.vector + first) * W;
#pragma GCC unroll 8
        for (int k = 0; k < K; ++k)
            delta[k] = load(row_ + TILE + (first + k) * W) + load(parameters_.bias + lane + k * W);
        if (p_.softplus) softplus<T, K>(delta);
        Ints<T> checked = {};
#pragma GCC unroll 8
        for (int k = 0; k < K; ++k) {
            int64_t at = ((first + k) * plan_.chunk + t) * W;
            Vec<T> u = load(row_ + (first + k) * W);
            store(delta_ + at, delta[k]);
            store(du_ + at, delta[k] * u);
            store(y_ + at, load(parameters_.d + lane + k * W) * u);
            checked |= ~Ints<T>(-negative_magnitude<T>(delta[k]) <= load(parameters_.limit + lane + k * W));
        }
        return checked;
    }

    // Adds the rows of the tile after tile `index`.
    void look_ahead(const Span<ScanProblem>& span, int64_t index, Streams& found) {
        auto ahead = plan_.ahead(p_, unit_, index);
        int64_t size = size_of(p_.dtype), channel = tile_.first + ahead.channels;
        auto add = [&](const RowCursor& rows) {
            found.add(rows[ahead.tokens], rows.step, ahead.count * size);
        };
        add(span.rows(p_.u, p_.dtype, channel));
        add(span.rows(p_.delta, p_.dtype, channel));
        if (p_.z.data) add(span.rows(p_.z, p_.dtype, channel));
        add(span.rows(p_.out, p_.dtype, p_.channels, channel));
    }

    void recur(const Span<ScanProblem>& span, Streams& streams) {
        bool vectors = p_.constant_b || p_.constant_c;
        Mixing<T> b{}, c{};
        if (!p_.constant_b) b = b_.variable(span, tile_.group, vectors, fresh_);
        if (!p_.constant_c) c = c_.variable(span, tile_.group, vectors, fresh_);
        for (int64_t v = 0; v < tile_.vectors; ++v) {
            int64_t column = v * plan_.chunk * W, vector = tile_.vector + v;
            state_blocks<MAX_STATES<T>>(0, p_.states, [&](auto size, int64_t n) {
                Mixing<T> b_n = b_.at(b, vector, p_.states, n, vectors);
                Mixing<T> c_n = c_.at(c, vector, p_.states, n, vectors);
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
                T* state = state_ + (v * p_.states + n) * W;
                bool fresh = span.start == 0 && !p_.initial_state;
                advance<size()>(x, fresh ? zeros_ : state, state, vectors);
            });
        }
        streams.finish(span.length);
    }

    template <int NB>
    void advance(const Column<T>& x, const T* before, T* state, bool vectors) {
        specialise<T, NB>(checked_, vectors, [&](auto size, auto checked_form, auto vector_form) {
            if (p_.window > 1)
                local_states<T, size(), checked_form(), vector_form()>(x, before, state);
            else
                forward_states<T, size(), checked_form(), vector_form()>(x, before, state);
        });
    }

    // out = y, gated by silu(z) if there is a z; 0 at hidden tokens.
    void write(const Span<ScanProblem>& span) {
        RowCursor out = span.rows(p_.out, p_.dtype, p_.channels, tile_.first);
        RowCursor z = span.rows(p_.z, p_.dtype, tile_.first);
        for (int64_t t = 0; t < span.length; ++t) {
            bool hidden = span.hidden(t);
            if (p_.z.data && !hidden) load_row<T>(p_.dtype, z[t], tile_.count, row_);
            vector_groups(tile_.vectors, [&](auto count, int64_t v) { write_vectors<count()>(v, t, hidden); });
            store_row<T>(p_.dtype, row_ + TILE, tile_.count, out[t]);
        }
    }

    template <int K>
    SEQMAMBA_INLINE void write_vectors(int64_t first, int64_t t, bool hidden) {
        Vec<T> z[K], s[K];
        if (p_.z.data) {
#pragma GCC unroll 8
            for (int k = 0; k < K; ++k) z[k] = load(row_ + (first + k) * W);
            sigmoid<T, K>(z, s);
        }
#pragma GCC unroll 8
        for (int k = 0; k < K; ++k) {
            Vec<T> y = load(y_ + ((first + k) * plan_.chunk + t) * W);
            if (p_.z.data) y *= z[k] * s[k];
            store(row_ + TILE + (first + k) * W, hidden ? Vec<T>{} : y);
        }
    }

    const ScanProblem& p_;
    const Plan<T>& plan_;
    const Parameters<T>& parameters_;
    const typename Plan<T>::Unit unit_;
    Tile tile_{};
    bool fresh_ = false;       // the tile is the first of its group in this unit
    T *delta_, *du_, *y_;      // [vector][token][lane]
    T* row_;                   // two rows of a tile
    T *states_, *state_;       // of all tiles of the unit, of this tile: [vector][n][lane]
    T* zeros_;                 // [n][lane]
    T* decay_;                 // of a locally bidirectional scan: [token][n][lane]
    MixingSource<T> b_, c_;
    bool checked_ = false;  // whether a step of the chunk is large
};

template <class T>
void forward_all(const ScanProblem* problems, int64_t count, int threads) {
    Prepared<T> prepared(problems, count, threads);
    for (auto& setup : prepared.setups) {
        const ScanProblem& p = setup.problem;
        seqmamba::prefer_large_pages(p.out, p.batch * p.length * p.channels * size_of(p.dtype));
        seqmamba::prefer_large_pages(p.saved, setup.plan.checkpoints(p) * setup.plan.vectors * p.states * VECTOR_BYTES);
    }
    seqmamba::parallel_for(prepared.units, prepared.threads, [&](int64_t index) {
        auto [setup, unit] = prepared.find(index);
        ForwardUnit<T>(setup->problem, setup->plan, setup->parameters, unit).run();
    });
}

}  // namespace

void scan_forward(const ScanProblem* problems, int64_t count, int threads) {
    by_type(problems, count, [&](auto type, const ScanProblem* p, int64_t n) {
        forward_all<decltype(type)>(p, n, threads);
    });
}

}  // namespace SEQMAMBA_ISA
