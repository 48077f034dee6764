// Several scans as one list of units, so that both directions of a layer share a parallel region.
#pragma once

#include <utility>
#include <vector>

#include "parameters.h"
#include "pool.h"

namespace SEQMAMBA_ISA {

template <class T>
struct Prepared {
    struct Setup {
        const ScanProblem& problem;
        Plan<T> plan;
        Parameters<T> parameters;
        int64_t first_unit;
    };
    std::vector<Setup> setups;
    int64_t units = 0;
    int threads;

    // `extra(setup, arena)` may take more workspace; it is called twice.
    template <class F>
    Prepared(const ScanProblem* problems, int64_t count, int wanted, F&& extra)
        : threads(worthwhile(problems, count) ? std::max(wanted, 1) : 1) {
        setups.reserve(size_t(count));
        for (int64_t i = 0; i < count; ++i) {
            const ScanProblem& p = problems[i];
            setups.push_back({p, Plan<T>(p), Parameters<T>{}, units});
            setups.back().plan.hand_out(threads);
            units += setups.back().plan.units;
        }
        auto take = [&](void* block) {
            Arena arena(block);
            for (Setup& setup : setups) {
                setup.parameters.take(arena, setup.plan, setup.problem);
                extra(setup, arena);
            }
            return arena.used();
        };
        take(seqmamba::scratch(seqmamba::Slot::workspace, take(nullptr)));
        for (Setup& setup : setups) setup.parameters.fill(setup.plan, setup.problem);
    }
    Prepared(const ScanProblem* problems, int64_t count, int wanted)
        : Prepared(problems, count, wanted, [](Setup&, Arena&) {}) {}

    std::pair<const Setup*, int64_t> find(int64_t unit) const {
        const Setup* setup = &setups.back();
        while (setup->first_unit > unit) --setup;
        return {setup, unit - setup->first_unit};
    }

private:
    // Waking other threads costs some microseconds: too much for a small call.
    static bool worthwhile(const ScanProblem* problems, int64_t count) {
        int64_t elements = 0;
        for (const ScanProblem* p = problems; p < problems + count; ++p)
            elements += p->batch * p->length * p->channels * (p->states + 4);
        return elements >= 50000;
    }
};

// Calls body with a value of the computing type, on as many problems at once as share it.
template <class Problem, class F>
void by_type(const Problem* problems, int64_t count, F&& body) {
    for (int64_t i = 0, end; i < count; i = end) {
        bool wide = problems[i].dtype == DType::f64;
        for (end = i + 1; end < count && (problems[end].dtype == DType::f64) == wide;) ++end;
        wide ? body(double{}, problems + i, end - i) : body(float{}, problems + i, end - i);
    }
}

}  // namespace SEQMAMBA_ISA
