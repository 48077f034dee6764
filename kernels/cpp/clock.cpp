// The speed of this processor at vector work, which may be lower than at other work.
#include <algorithm>
#include <chrono>

#include "entry.h"
#include "vec.h"

namespace SEQMAMBA_ISA {

// Independent chains of multiply-adds, as many as keep two units busy for the time one takes.
double clock() {
    constexpr int CHAINS = 12, ROUNDS = 200000;
    constexpr double PER_CYCLE = 2;
    volatile float one = 1.0f;  // read and written while the clock runs, which keeps the work there
    double best = 0;
    for (int attempt = 0; attempt < 40; ++attempt) {
        auto start = std::chrono::steady_clock::now();
        Vec<float> sum[CHAINS], factor = splat<float>(0.5f * one), term = splat<float>(0.25f * one);
        for (Vec<float>& s : sum) s = splat<float>(one);
        for (int i = 0; i < ROUNDS; ++i) {
#pragma GCC unroll 12
            for (int k = 0; k < CHAINS; ++k) sum[k] = sum[k] * factor + term;
        }
        for (const Vec<float>& s : sum) one = s[0];
        std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
        best = std::max(best, double(ROUNDS) * CHAINS / PER_CYCLE / seconds.count());
    }
    return best;
}

}  // namespace SEQMAMBA_ISA
