// One token of the scan for a batch, in place. The state (B, E, N) is contiguous over n, so here
// the vectors run over the states, not over the channels.
#include "chunk.h"
#include "entry.h"
#include "prepared.h"

namespace SEQMAMBA_ISA {
namespace {

template <class T>
SEQMAMBA_INLINE Vec<T> load_part(const T* from, int64_t count) {
    Vec<T> v = {};
    std::memcpy(&v, from, size_t(count) * sizeof(T));
    return v;
}

// New state of one channel; returns the sum of C h.
template <class T>
SEQMAMBA_INLINE T step_channel(T delta, T du, const T* a, const T* b, const T* c, int64_t n, T* h) {
    constexpr int W = LANES<T>;
    Vec<T> sum = {};
    for (int64_t first = 0; first < n; first += W) {
        int64_t count = std::min<int64_t>(W, n - first);
        Vec<T> rate = (count == W ? load_part<T>(a + first, W) : load_part<T>(a + first, count)) *
                      T(1.4426950408889634);
        Vec<T> state = load_part<T>(h + first, count);
        state = exp2_product<T, true>(splat<T>(delta), rate) * state + du * load_part<T>(b + first, count);
        sum += load_part<T>(c + first, count) * state;
        std::memcpy(h + first, &state, size_t(count) * sizeof(T));
    }
    T total = 0;
    for (int i = 0; i < W; ++i) total += sum[i];
    return total;
}

template <class T>
void step_tile(const ScanProblem& p, const Plan<T>& plan, int64_t row, const Tile& tile) {
    constexpr int W = LANES<T>;
    int64_t n = p.states, size = size_of(p.dtype);
    alignas(64) T u[TILE], delta[TILE], z[TILE], y[TILE];
    T* mixing = static_cast<T*>(seqmamba::scratch(seqmamba::Slot::unit, 2 * (n + W) * int64_t(sizeof(T))));
    auto line = [&](const seqmamba::Rows& rows, int64_t offset) {
        return rows.data + (row * rows.batch_stride + offset) * size;
    };
    auto factor = [&](const seqmamba::Rows& rows, int64_t constant, int64_t stride, T* copy) {
        if (constant) return reinterpret_cast<const T*>(rows.data);
        load_row<T>(p.dtype, line(rows, tile.group * stride), n, copy);
        return static_cast<const T*>(copy);
    };
    (void)plan;
    const T* b = factor(p.b, p.constant_b, p.b_group_stride, mixing);
    const T* c = factor(p.c, p.constant_c, p.c_group_stride, mixing + ceil_div(n, W) * W);
    load_row<T>(p.dtype, line(p.u, tile.first), tile.count, u);
    load_row<T>(p.dtype, line(p.delta, tile.first), tile.count, delta);
    if (p.z.data) load_row<T>(p.dtype, line(p.z, tile.first), tile.count, z);
    const T *bias = reinterpret_cast<const T*>(p.delta_bias), *d = reinterpret_cast<const T*>(p.d);
    const T* a = reinterpret_cast<const T*>(p.a);
    T* state = reinterpret_cast<T*>(p.last_state) + (row * p.channels + tile.first) * n;
    for (int64_t e = 0; bias && e < tile.count; ++e) delta[e] += bias[tile.first + e];
    for (int64_t e = 0; p.softplus && e < tile.count; e += W) softplus<T, 1>(reinterpret_cast<Vec<T>*>(delta + e));
    for (int64_t e = 0; e < tile.count; ++e) {
        int64_t channel = tile.first + e;
        y[e] = step_channel<T>(delta[e], delta[e] * u[e], a + channel * n,
                               p.constant_b ? b + channel * p.b.token_stride : b,
                               p.constant_c ? c + channel * p.c.token_stride : c, n, state + e * n);
        if (d) y[e] += d[channel] * u[e];
    }
    for (int64_t e = 0; p.z.data && e < tile.count; e += W) {
        Vec<T> gate = load(z + e);
        store(y + e, load(y + e) * gate * sigmoid<T>(gate));
    }
    store_row<T>(p.dtype, y, tile.count, p.out + (row * p.channels + tile.first) * size);
}

}  // namespace

// Length 1; `last_state` is read and overwritten.
void scan_step(const ScanProblem* problem, int threads) {
    const ScanProblem& p = *problem;
    by_type(problem, 1, [&](auto type, const ScanProblem*, int64_t) {
        using T = decltype(type);
        Plan<T> plan(p);
        bool small = p.batch * p.channels * p.states < 50000;
        seqmamba::parallel_for(p.batch * plan.tiles, small ? 1 : threads, [&](int64_t unit) {
            step_tile<T>(p, plan, unit / plan.tiles, plan.tile(unit % plan.tiles));
        });
    });
}

}  // namespace SEQMAMBA_ISA
