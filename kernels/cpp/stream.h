// Prefetching spread over the arithmetic. The rows of a tile lie a whole row of all channels apart,
// so the hardware does not see the next one coming; and fetched in one go they would fill the
// processor's line buffers and stop it.
#pragma once

#include <cstdint>

#include "vec.h"

namespace SEQMAMBA_ISA {

constexpr int AHEAD = 4;  // streams that one pass over a chunk fetches

// The same cache line of every row of a chunk.
struct Stream {
    const char* first;
    int64_t step;
    SEQMAMBA_INLINE void fetch(int64_t t) const { __builtin_prefetch(first + t * step, 0, 2); }
};

// The lines of a tile, handed out to the passes over the tile before it.
class Streams {
public:
    explicit Streams(const void* nowhere) : idle_{static_cast<const char*>(nowhere), 0} {}

    void add(const char* first, int64_t step, int64_t bytes) {
        for (int64_t i = 0; i < bytes && count_ < CAPACITY; i += 64) items_[count_++] = {first + i, step};
    }
    Stream next() { return used_ < count_ ? items_[used_++] : idle_; }
    // What more passes than there are would have fetched.
    void finish(int64_t length) {
        for (; used_ < count_; ++used_)
            for (int64_t t = 0; t < length; ++t) items_[used_].fetch(t);
    }

private:
    static constexpr int CAPACITY = 64;
    Stream items_[CAPACITY], idle_;
    int count_ = 0, used_ = 0;
};

}  // namespace SEQMAMBA_ISA
