// A small persistent thread pool: dynamic units, no result may depend on who runs which unit.
#pragma once

#include <cstdint>

namespace seqmamba {

// Calls work(context, unit) for every unit in [0, units) on up to `threads` threads, the caller
// among them, with subnormal numbers flushed to zero, and returns when all are done. A second
// caller that finds the pool busy runs alone. Safe after fork().
void parallel_for(int64_t units, int threads, void (*work)(void*, int64_t), void* context);

template <class F>
void parallel_for(int64_t units, int threads, F body) {
    parallel_for(
        units, threads, [](void* f, int64_t unit) { (*static_cast<F*>(f))(unit); }, &body);
}

// Scratch of the calling thread, kept between calls: 64-byte aligned, contents undefined.
// Two slots, because a unit needs scratch of its own while the caller's workspace is in use.
enum class Slot { workspace, unit };
void* scratch(Slot slot, int64_t bytes);

}  // namespace seqmamba
