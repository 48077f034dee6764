// The exported functions: choose the instruction set at load, keep exceptions inside.
#include <new>

#include "abi.h"

#if defined(_WIN32)
#define SEQMAMBA_EXPORT extern "C" __declspec(dllexport)
#else
#define SEQMAMBA_EXPORT extern "C" __attribute__((visibility("default")))
#endif

#define SEQMAMBA_DECLARE(isa)                                             \
    namespace isa {                                                       \
    void scan_forward(const seqmamba::ScanProblem*, int64_t, int);        \
    void scan_backward(const seqmamba::ScanProblem*, int64_t, int);       \
    void scan_step(const seqmamba::ScanProblem*, int);                    \
    void conv_forward(const seqmamba::ConvProblem*, int64_t, int);        \
    void conv_backward(const seqmamba::ConvProblem*, int64_t, int);       \
    void conv_step(const seqmamba::ConvProblem*, int);                    \
    double clock();                                                       \
    }
#define SEQMAMBA_KERNELS(isa)                                                                  \
    {                                                                                          \
#isa, isa::scan_forward, isa::scan_backward, isa::scan_step, isa::conv_forward,        \
            isa::conv_backward, isa::conv_step, isa::clock                                     \
    }

// SEQMAMBA_X86_LEVELS: built for several x86-64 levels (set by CMake), else for one machine.
#if defined(SEQMAMBA_X86_LEVELS)
SEQMAMBA_DECLARE(x86_64_v2)
SEQMAMBA_DECLARE(x86_64_v3)
SEQMAMBA_DECLARE(x86_64_v4)
#else
SEQMAMBA_DECLARE(native)
#endif

namespace {

const seqmamba::Kernels table[] = {
#if defined(SEQMAMBA_X86_LEVELS)
    SEQMAMBA_KERNELS(x86_64_v2), SEQMAMBA_KERNELS(x86_64_v3), SEQMAMBA_KERNELS(x86_64_v4)
#else
    SEQMAMBA_KERNELS(native)
#endif
};

// Index of the widest set that this processor has.
int widest() {
#if defined(SEQMAMBA_X86_LEVELS)
    __builtin_cpu_init();
    bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
              __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl");
    return v4 ? 2 : v3 ? 1 : 0;
#else
    return 0;
#endif
}

int chosen = widest();

// 0: done; 1: out of memory.
template <class F>
int guarded(F&& body) {
    try {
        body(table[chosen]);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}

}  // namespace

SEQMAMBA_EXPORT int seqmamba_version() { return 1; }

SEQMAMBA_EXPORT const char* seqmamba_isa() { return table[chosen].name; }

// For tests and benchmarks: uses at most instruction set `level` (0 is the smallest); returns what
// is used.
SEQMAMBA_EXPORT int seqmamba_limit_isa(int level) {
    int best = widest();
    chosen = level < 0 ? 0 : level < best ? level : best;
    return chosen;
}

// Cycles per second of this processor now, at vector work.
SEQMAMBA_EXPORT double seqmamba_clock() { return table[chosen].clock(); }

SEQMAMBA_EXPORT int seqmamba_scan_forward(const seqmamba::ScanProblem* p, int64_t count, int threads) {
    return guarded([&](auto& kernels) { kernels.scan_forward(p, count, threads); });
}
SEQMAMBA_EXPORT int seqmamba_scan_backward(const seqmamba::ScanProblem* p, int64_t count, int threads) {
    return guarded([&](auto& kernels) { kernels.scan_backward(p, count, threads); });
}
SEQMAMBA_EXPORT int seqmamba_scan_step(const seqmamba::ScanProblem* p, int threads) {
    return guarded([&](auto& kernels) { kernels.scan_step(p, threads); });
}
SEQMAMBA_EXPORT int seqmamba_conv_forward(const seqmamba::ConvProblem* p, int64_t count, int threads) {
    return guarded([&](auto& kernels) { kernels.conv_forward(p, count, threads); });
}
SEQMAMBA_EXPORT int seqmamba_conv_backward(const seqmamba::ConvProblem* p, int64_t count, int threads) {
    return guarded([&](auto& kernels) { kernels.conv_backward(p, count, threads); });
}
SEQMAMBA_EXPORT int seqmamba_conv_step(const seqmamba::ConvProblem* p, int threads) {
    return guarded([&](auto& kernels) { kernels.conv_step(p, threads); });
}
