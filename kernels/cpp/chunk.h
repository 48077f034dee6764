// One chunk of tokens of one tile of channels in scratch: what the recurrence reads and writes.
#pragma once

#include <type_traits>

#include "parameters.h"

namespace SEQMAMBA_ISA {

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

// B or C of a chunk in scan order. Entry (t, n) lies at data[t * stride + n], or, in the form of
// vectors, is the vector at data[t * stride + n * LANES].
template <class T>
struct Mixing {
    const T* data;
    int64_t stride;
};

// How B or C of a scan are found: in user memory, in a copy, or constant.
template <class T>
struct MixingSource {
    const seqmamba::Rows* rows;
    int64_t group_stride;
    const T* constant;  // [vector][n][lane] or null
    T* copy;            // [token][n], or [token][n][lane]

    static int64_t copied(const Plan<T>& plan, const ScanProblem& p) {
        int64_t width = p.constant_b || p.constant_c ? LANES<T> : 1;
        return plan.chunk * ceil_div(p.states, LANES<T>) * LANES<T> * width;
    }

    // Rows are read in place if they have the computing type; hidden tokens, which may hold NaN, and
    // half precision go through the copy, which is `fresh` to be made or still there.
    Mixing<T> variable(const Span<ScanProblem>& span, int64_t group, bool vectors, bool fresh) const {
        const ScanProblem& p = *span.problem;
        RowCursor from = span.rows(*rows, p.dtype, group * group_stride);
        if (size_of(p.dtype) == int64_t(sizeof(T)) && !p.mask && !vectors)
            return {reinterpret_cast<const T*>(from.first), from.step / int64_t(sizeof(T))};
        int64_t width = vectors ? LANES<T> : 1, stride = ceil_div(p.states, LANES<T>) * LANES<T> * width;
        for (int64_t t = 0; fresh && t < span.length; ++t) {
            T* to = copy + t * stride;
            if (span.hidden(t))
                std::fill_n(to, p.states, T(0));
            else
                load_row<T>(p.dtype, from[t], p.states, to);
            for (int64_t n = p.states - 1; vectors && n >= 0; --n) store(to + n * width, splat<T>(to[n]));
        }
        return {copy, stride};
    }

    // Where the states from n on of a vector of channels are.
    Mixing<T> at(const Mixing<T>& variable, int64_t vector, int64_t states, int64_t n, bool vectors) const {
        if (constant) return {constant + (vector * states + n) * LANES<T>, 0};
        return {variable.data + n * (vectors ? LANES<T> : 1), variable.stride};
    }
};

// Largest block of states at once: what the registers hold beside the constants.
template <class T>
constexpr int MAX_STATES = sizeof(T) == 8 ? 4 : VECTOR_BYTES == 64 ? 16 : 8;

// Calls body with std::integral_constant<int, NB> for blocks that cover [0, states).
template <int NB, class F>
SEQMAMBA_INLINE void state_blocks(int64_t first, int64_t states, F&& body) {
    for (; first + NB <= states; first += NB) body(std::integral_constant<int, NB>{}, first);
    if constexpr (NB > 1) state_blocks<NB / 2>(first, states, body);
}

// Calls body with the form of the recurrence as compile-time constants: block of states, checked
// exponential, vectors of B and C. Double precision and vectors always take the checked form: they
// are too rare for forms of their own.
template <class T, int NB, class F>
SEQMAMBA_INLINE void specialise(bool checked, bool vectors, F&& body) {
    using Size = std::integral_constant<int, NB>;
    if (vectors)
        body(Size{}, std::true_type{}, std::true_type{});
    else if (checked || sizeof(T) == 8)
        body(Size{}, std::true_type{}, std::false_type{});
    else if constexpr (sizeof(T) == 4)
        body(Size{}, std::false_type{}, std::false_type{});
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
