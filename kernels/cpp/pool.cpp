#include "pool.h"

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#if !defined(_WIN32)
#include <pthread.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace seqmamba {
namespace {

// Decaying states reach subnormals, which are slow; the caller's mode is restored on exit.
class FlushSubnormals {
public:
    FlushSubnormals() : saved_(read()) { write(saved_ | BITS); }
    ~FlushSubnormals() { write(saved_); }
    FlushSubnormals(const FlushSubnormals&) = delete;
    FlushSubnormals& operator=(const FlushSubnormals&) = delete;

private:
#if defined(__x86_64__)
    static constexpr unsigned BITS = 0x8040;  // FTZ and DAZ
    static unsigned read() { return _mm_getcsr(); }
    static void write(unsigned mode) { _mm_setcsr(mode); }
    unsigned saved_;
#elif defined(__aarch64__)
    static constexpr uint64_t BITS = uint64_t(1) << 24;  // FZ
    static uint64_t read() {
        uint64_t mode;
        __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
        return mode;
    }
    static void write(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
    uint64_t saved_;
#else
    static constexpr unsigned BITS = 0;
    static unsigned read() { return 0; }
    static void write(unsigned) {}
    unsigned saved_;
#endif
};

struct Job {
    int64_t units = 0;
    void (*work)(void*, int64_t) = nullptr;
    void* context = nullptr;
    std::atomic<int64_t> next{0};
    std::atomic<bool> failed{false};

    void drain() {
        FlushSubnormals mode;
        try {
            for (int64_t unit; (unit = next.fetch_add(1, std::memory_order_relaxed)) < units;)
                work(context, unit);
        } catch (const std::bad_alloc&) {
            failed = true;  // an exception must not leave a thread
            next = units;
        }
    }
};

class Pool {
public:
    // Returns false if another caller holds the pool.
    bool run(Job& job, int helpers) {
        std::unique_lock<std::mutex> owner(owner_, std::try_to_lock);
        if (!owner) return false;
        grow(helpers);
        {
            std::lock_guard<std::mutex> guard(mutex_);
            job_ = &job;
            wanted_ = helpers;
        }
        wake_.notify_all();
        job.drain();
        std::unique_lock<std::mutex> guard(mutex_);
        wanted_ = 0;  // a helper that has not woken yet is not waited for
        job_ = nullptr;
        done_.wait(guard, [&] { return active_ == 0; });
        return true;
    }

private:
    void grow(int helpers) {
        try {
            for (; n_threads_ < helpers; ++n_threads_)
                std::thread([this] { serve(); }).detach();  // they live as long as the process
        } catch (const std::system_error&) {
            // No more threads to be had: those that exist, and the caller, do the work.
        }
    }

    void serve() {
        std::unique_lock<std::mutex> guard(mutex_);
        for (;;) {
            wake_.wait(guard, [&] { return wanted_ > 0; });
            --wanted_;
            ++active_;
            Job* job = job_;
            guard.unlock();
            job->drain();
            guard.lock();
            if (--active_ == 0) done_.notify_one();
        }
    }

    std::mutex owner_, mutex_;
    std::condition_variable wake_, done_;
    Job* job_ = nullptr;
    int n_threads_ = 0, wanted_ = 0, active_ = 0;
};

std::atomic<Pool*> pool{nullptr};

Pool& current_pool() {
    Pool* existing = pool.load(std::memory_order_acquire);
    if (existing) return *existing;
    Pool* fresh = new Pool;
    if (pool.compare_exchange_strong(existing, fresh)) return *fresh;
    delete fresh;
    return *existing;
}

#if !defined(_WIN32)
// A forked child has none of the parent's threads and perhaps a locked mutex: it starts anew and
// leaks the parent's pool object.
const int fork_handler = pthread_atfork(nullptr, nullptr, [] { pool.store(nullptr); });
#endif

struct Buffer {
    void* data = nullptr;
    int64_t bytes = 0;
    ~Buffer() { std::free(data); }
};

}  // namespace

void parallel_for(int64_t units, int threads, void (*work)(void*, int64_t), void* context) {
    Job job;
    job.units = units;
    job.work = work;
    job.context = context;
    int64_t helpers = (threads < units ? threads : units) - 1;
    if (helpers <= 0 || !current_pool().run(job, int(helpers))) job.drain();
    if (job.failed) throw std::bad_alloc();
}

void* scratch(Slot slot, int64_t bytes) {
    static thread_local Buffer buffers[2];
    Buffer& buffer = buffers[int(slot)];
    if (buffer.bytes < bytes) {
        std::free(buffer.data);
        buffer.bytes = 0;
        int64_t rounded = (bytes + 4095) / 4096 * 4096;
        buffer.data = std::aligned_alloc(64, size_t(rounded));
        if (!buffer.data) throw std::bad_alloc();
        buffer.bytes = rounded;
    }
    return buffer.data;
}

}  // namespace seqmamba
