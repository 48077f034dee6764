// How a scan is cut into blocks of runs and splits of channels, each with partial sums of its own, and
// how these are handed out as units of work. The cut depends on the shape alone, so that every sum is
// formed in the same order for any number of threads.
#pragma once

#include <algorithm>

#include "rows.h"

namespace SEQMAMBA_ISA {

using seqmamba::ScanProblem;

constexpr int64_t CHUNK = 32;       // tokens between checkpoints
constexpr int64_t ROW_BLOCKS = 32;  // at most so many partial sums of the gradients of A, D, bias
constexpr int64_t SPLITS = 4;       // wanted blocks times splits per problem; few, because wide rows stream best

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Tokens of one independent run: a row of the batch or a packed segment.
struct Run {
    int64_t row, first, length;
};

template <class Problem>
Run run_of(const Problem& p, int64_t run) {
    if (p.cu_seqlens) return {0, p.cu_seqlens[run], p.cu_seqlens[run + 1] - p.cu_seqlens[run]};
    return {run, 0, p.lengths ? p.lengths[run] : p.length};
}

// Channels [first, first + count) of one group, as `vectors` vectors; `vector` counts over all tiles.
struct Tile {
    int64_t group, first, count, vectors, vector;
};

// The row of the i-th token in scan order, and the step between neighbours in bytes.
struct RowCursor {
    char* first;
    int64_t step;
    char* operator[](int64_t i) const { return first + i * step; }
};

template <class T>
struct Plan {
    int64_t group_channels, group_vectors, group_tiles, tiles;
    int64_t splits, tiles_per_split, row_blocks, runs_per_block;
    int64_t chunk, vectors;
    int64_t splits_per_unit, units_per_block, units;  // see hand_out

    explicit Plan(const ScanProblem& p) {
        group_channels = p.channels / p.groups;
        group_vectors = ceil_div(group_channels, LANES<T>);
        group_tiles = ceil_div(group_channels, TILE);
        tiles = group_tiles * p.groups;
        vectors = group_vectors * p.groups;
        runs_per_block = std::max<int64_t>(1, ceil_div(p.runs, ROW_BLOCKS));
        row_blocks = ceil_div(p.runs, runs_per_block);
        int64_t wanted = std::max<int64_t>(1, SPLITS / std::max<int64_t>(1, row_blocks));
        tiles_per_split = std::max<int64_t>(1, ceil_div(tiles, wanted));
        splits = ceil_div(tiles, tiles_per_split);
        // A chunk holds whole windows; a window longer than the sequence is the sequence.
        int64_t window = std::min(p.window, std::max<int64_t>(1, p.length));
        chunk = ceil_div(CHUNK, window) * window;
    }

    // A unit takes as many splits as leave one unit for each thread: the wider the rows, the better.
    void hand_out(int64_t threads) {
        splits_per_unit = std::clamp<int64_t>(splits * row_blocks / threads, 1, splits);
        units_per_block = ceil_div(splits, splits_per_unit);
        units = row_blocks * units_per_block;
    }

    // A block of runs and the tiles [begin, end) of its splits.
    struct Unit {
        int64_t block, begin, end;
    };
    Unit unit(int64_t index) const {
        int64_t width = splits_per_unit * tiles_per_split, begin = index % units_per_block * width;
        return {index / units_per_block, begin, std::min(tiles, begin + width)};
    }

    // The i-th run of a block; `ascending` follows the order in which memory is walked through.
    int64_t run(const ScanProblem& p, int64_t block, int64_t i, bool ascending) const {
        int64_t first = block * runs_per_block, end = std::min(p.runs, first + runs_per_block);
        return ascending ? first + i : end - 1 - i;
    }
    int64_t runs_in(const ScanProblem& p, int64_t block) const {
        return std::min(runs_per_block, p.runs - block * runs_per_block);
    }

    Tile tile(int64_t index) const {
        // One group is the rule, and divisions are slow.
        int64_t group = index < group_tiles ? 0 : index / group_tiles, inner = index - group * group_tiles;
        int64_t count = std::min(TILE, group_channels - inner * TILE);
        return {group, group * group_channels + inner * TILE, count, ceil_div(count, LANES<T>),
                group * group_vectors + inner * (TILE / LANES<T>)};
    }

    // Where the rows lie that are needed after those of a tile: in the next tile of the unit, or in its
    // first tile of the chunk that follows in memory. Runs are visited in the order of memory, so that
    // this holds beyond the end of a run too.
    struct Ahead {
        int64_t tokens, channels, count;
    };
    Ahead ahead(const ScanProblem& p, const Unit& unit, int64_t index) const {
        Tile now = tile(index);
        if (index + 1 < unit.end) return {0, now.count, tile(index + 1).count};
        Tile first = tile(unit.begin);
        return {std::min(chunk, p.length), first.first - now.first, first.count};
    }

    // Checkpoints stand before tokens chunk, 2 * chunk, ... of a run; this is the first one's index.
    int64_t first_checkpoint(const ScanProblem& p, int64_t run) const {
        if (p.cu_seqlens) return p.cu_seqlens[run] / chunk;
        return run * (std::max<int64_t>(p.length - 1, 0) / chunk);
    }
    int64_t checkpoints(const ScanProblem& p) const {
        return p.cu_seqlens ? p.length / chunk : first_checkpoint(p, p.batch);
    }
};

inline RowCursor cursor(const seqmamba::Rows& rows, DType dtype, const Run& run, bool reverse,
                        int64_t offset) {
    int64_t size = size_of(dtype), step = rows.token_stride * size;
    int64_t token = reverse ? run.first + run.length - 1 : run.first;
    char* first = rows.data + (run.row * rows.batch_stride + offset) * size + token * step;
    return {first, reverse ? -step : step};
}

// Hands out aligned pieces of one block; a null block only counts. Pieces of whole pages would lie at
// the same place in their page, where a load waits for the stores of its neighbours: hence the gap.
class Arena {
public:
    explicit Arena(void* block) : block_(static_cast<char*>(block)) {}
    template <class T>
    T* take(int64_t count) {
        char* piece = block_ ? block_ + used_ : nullptr;
        used_ += ceil_div(count * int64_t(sizeof(T)), 64) * 64 + GAP;
        return reinterpret_cast<T*>(piece);
    }
    int64_t used() const { return used_; }

private:
    static constexpr int64_t GAP = 9 * 64;
    char* block_;
    int64_t used_ = 0;
};

}  // namespace SEQMAMBA_ISA
