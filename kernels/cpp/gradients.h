// Partial gradients that several units contribute to, and their sums in a fixed order.
#pragma once

#include "chunk.h"
#include "prepared.h"

namespace SEQMAMBA_ISA {

// Gradients of the per-channel parameters: one partial sum per block of runs, in vector order.
template <class T>
struct ChannelSums {
    T *a, *d, *bias;             // [block][vector][n][lane]; [block][vector][lane]
    T *b = nullptr, *c = nullptr;  // constant B and C, as a
};

// Gradients of variable B and C: one partial sum per split of the channels, unless a single unit
// sees all channels and may write to the result itself.
template <class T>
struct TokenSums {
    T *b = nullptr, *c = nullptr;  // [split][batch][token][group][n]
    bool direct_b = false, direct_c = false;
};

template <class T>
struct PartialSums {
    ChannelSums<T> channel;
    TokenSums<T> token;

    void take(Arena& arena, const Plan<T>& plan, const ScanProblem& p) {
        int64_t lanes = plan.row_blocks * plan.vectors * LANES<T>;
        channel.a = arena.take<T>(lanes * p.states);
        channel.d = arena.take<T>(lanes);
        channel.bias = arena.take<T>(lanes);
        if (p.constant_b) channel.b = arena.take<T>(lanes * p.states);
        if (p.constant_c) channel.c = arena.take<T>(lanes * p.states);
        bool direct = plan.splits == 1 && size_of(p.dtype) == int64_t(sizeof(T));
        int64_t tokens = plan.splits * p.batch * p.length * p.groups * p.states;
        token.direct_b = direct && !p.constant_b;
        token.direct_c = direct && !p.constant_c;
        if (!p.constant_b) token.b = direct ? reinterpret_cast<T*>(p.grad_b) : arena.take<T>(tokens);
        if (!p.constant_c) token.c = direct ? reinterpret_cast<T*>(p.grad_c) : arena.take<T>(tokens);
    }
};

// Sums the partial sums `from` of one tile over the blocks of runs and writes rows of (E, n).
template <class T>
void reduce_channels(const Plan<T>& plan, const Tile& tile, T* from, int64_t n, char* to) {
    if (!to) return;
    int64_t block = plan.vectors * n * LANES<T>, width = tile.vectors * n * LANES<T>;
    T* sum = from + tile.vector * n * LANES<T>;
    for (int64_t i = 1; i < plan.row_blocks; ++i)
        for (int64_t j = 0; j < width; j += LANES<T>) store(sum + j, load(sum + j) + load(sum + i * block + j));
    from_vectors<T>(tile, sum, n, to);
}

// Sums the partial sums of tokens [first, last) over the splits that hold channels of a group.
template <class T>
void reduce_tokens(const Plan<T>& plan, const ScanProblem& p, T* from, int64_t first, int64_t last,
                   char* to) {
    int64_t n = p.states, width = p.groups * n, split = p.batch * p.length * width;
    int64_t size = size_of(p.dtype);
    for (int64_t token = first; token < last; ++token) {
        for (int64_t group = 0; group < p.groups; ++group) {
            T* sum = from + token * width + group * n;
            int64_t begin = group * plan.group_tiles / plan.tiles_per_split;
            int64_t end = ((group + 1) * plan.group_tiles - 1) / plan.tiles_per_split;
            T* target = sum + begin * split;
            for (int64_t s = begin + 1; s <= end; ++s)
                for (int64_t j = 0; j < n; ++j) target[j] += sum[s * split + j];
            store_row<T>(p.dtype, target, n, to + (token * width + group * n) * size);
        }
    }
}

// One unit per tile for the channel sums, then blocks of tokens for B and C.
template <class T>
void reduce(const Plan<T>& plan, const ScanProblem& p, const PartialSums<T>& sums, int threads) {
    constexpr int64_t BLOCK = 256;
    bool tokens_b = sums.token.b && !sums.token.direct_b, tokens_c = sums.token.c && !sums.token.direct_c;
    int64_t tokens = tokens_b || tokens_c ? p.batch * p.length : 0;
    auto body = [&](int64_t unit) {
        if (unit < plan.tiles) {
            Tile tile = plan.tile(unit);
            reduce_channels<T>(plan, tile, sums.channel.a, p.states, p.grad_a);
            reduce_channels<T>(plan, tile, sums.channel.d, 1, p.grad_d);
            reduce_channels<T>(plan, tile, sums.channel.bias, 1, p.grad_bias);
            if (p.constant_b) reduce_channels<T>(plan, tile, sums.channel.b, p.states, p.grad_b);
            if (p.constant_c) reduce_channels<T>(plan, tile, sums.channel.c, p.states, p.grad_c);
            return;
        }
        int64_t first = (unit - plan.tiles) * BLOCK, last = std::min(tokens, first + BLOCK);
        if (tokens_b) reduce_tokens<T>(plan, p, sums.token.b, first, last, p.grad_b);
        if (tokens_c) reduce_tokens<T>(plan, p, sums.token.c, first, last, p.grad_c);
    };
    seqmamba::parallel_for(plan.tiles + ceil_div(tokens, BLOCK), threads, body);
}

}  // namespace SEQMAMBA_ISA
