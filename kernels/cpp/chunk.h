// One chunk of tokens of one tile of channels in scratch: what the recurrence reads and writes.
#pragma once

#include <type_traits>

#include "parameters.h"

namespace SEQMAMBA_ISA {

// B or C of a chunk, in scan order: entry (t, n) lies at data[t * stride + n].
template <class T>
struct Mixing {
    const T* data;
    int64_t stride;
};

// The tokens [start, start + length) of a run in scan order.
template <class Problem>
struct Span {
    const Problem* problem;
    Run run;
    int64_t start, length;

    RowCursor rows(const seqmamba::Rows& rows, DType dtype, int64_t offset) const {
        RowCursor all = cursor(rows, dtype, run, problem->reverse, offset);
        return {all[start], all.step};
    }
    // Rows of a contiguous (batch, length, width) array.
    RowCursor rows(char* data, DType dtype, int64_t width, int64_t offset) const {
        return rows(seqmamba::Rows{data, problem->length * width, width}, dtype, offset);
    }
    // Whether a token is padding or a hole: an identity step.
    bool hidden(int64_t t) const {
        if (!problem->mask) return false;
        int64_t i = start + t, token = problem->reverse ? run.length - 1 - i : i;
        return !problem->mask[run.row * problem->length + run.first + token];
    }
};

// Variable B and C are read in place if they have the computing type; hidden tokens, which may hold
// NaN, and half precision go through a copy.
template <class T>
Mixing<T> mixing(const Span<ScanProblem>& span, const seqmamba::Rows& rows, int64_t group_offset, T* copy) {
    const ScanProblem& p = *span.problem;
    RowCursor from = span.rows(rows, p.dtype, group_offset);
    if (size_of(p.dtype) == int64_t(sizeof(T)) && !p.mask)
        return {reinterpret_cast<const T*>(from.first), from.step / int64_t(sizeof(T))};
    int64_t stride = ceil_div(p.states, LANES<T>) * LANES<T>;
    for (int64_t t = 0; t < span.length; ++t) {
        if (span.hidden(t))
            std::fill_n(copy + t * stride, p.states, T(0));
        else
            load_row<T>(p.dtype, from[t], p.states, copy + t * stride);
    }
    return {copy, stride};
}

// Largest block of states at once: what the registers hold beside the constants.
template <class T>
constexpr int MAX_STATES = VECTOR_BYTES == 64 ? 16 : 8;

// Calls body with std::integral_constant<int, NB> for blocks that cover [0, states).
template <int NB, class F>
SEQMAMBA_INLINE void state_blocks(int64_t first, int64_t states, F&& body) {
    for (; first + NB <= states; first += NB) body(std::integral_constant<int, NB>{}, first);
    if constexpr (NB > 1) state_blocks<NB / 2>(first, states, body);
}

// What distinguishes the compiled forms of a recurrence.
struct Traits {
    bool checked, constant_b, constant_c;
};

// Calls body with the three traits as compile-time constants.
template <class F>
SEQMAMBA_INLINE void specialise(const Traits& traits, F&& body) {
    auto pick = [](bool flag, auto&& next) { flag ? next(std::true_type{}) : next(std::false_type{}); };
    pick(traits.checked, [&](auto checked) {
        pick(traits.constant_b, [&](auto constant_b) {
            pick(traits.constant_c, [&](auto constant_c) { body(checked, constant_b, constant_c); });
        });
    });
}

template <class T>
SEQMAMBA_INLINE bool any(Ints<T> flags) {
    bool found = false;
    for (int i = 0; i < LANES<T>; ++i) found |= flags[i] != 0;
    return found;
}

// Zeroes the rows of tokens that belong to no run: beyond `lengths`, before or after all segments.
inline void clear_rows(const seqmamba::Rows& rows, int64_t row, int64_t from, int64_t to,
                       int64_t offset, int64_t bytes, int64_t size) {
    for (int64_t t = from; t < to; ++t)
        std::memset(rows.data + (row * rows.batch_stride + t * rows.token_stride + offset) * size, 0,
                    size_t(bytes));
}

// Zeroes what run `index` is responsible for in columns [offset, offset + count) of `rows`.
template <class Problem>
void clear_padding(const Problem& p, const seqmamba::Rows& rows, int64_t index, int64_t offset,
                   int64_t count, int64_t size) {
    Run run = run_of(p, index);
    if (!p.cu_seqlens) {
        clear_rows(rows, run.row, run.length, p.length, offset, count * size, size);
        return;
    }
    if (index == 0) clear_rows(rows, 0, 0, run.first, offset, count * size, size);
    if (index == p.runs - 1)
        clear_rows(rows, 0, run.first + run.length, p.length, offset, count * size, size);
}

}  // namespace SEQMAMBA_ISA
