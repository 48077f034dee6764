// CUDA's language on a CPU, one thread after the other: enough to run the kernels of kernels/cuda.
//
// The threads of a block are fibers that take turns at every __syncthreads and shuffle. All of them
// reach the same points in the same order, so that one turn each is a barrier.

#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#define ON_HOST
#define __device__
#define __global__
#define __shared__ static
#define __launch_bounds__(threads)
#define __grid_constant__

struct Index {
  int x;
};

struct Fiber {
  ucontext_t context;
  Index thread;
  int shuffles = 0;
  bool is_done = false;
  std::unique_ptr<char[]> stack{new char[1 << 17]};
};

inline Index blockIdx;
inline std::vector<Fiber>* fibers;
inline Fiber* current;
inline ucontext_t scheduler;
inline float exchanged[2][1024];
inline void (*entry)();

#define threadIdx (current->thread)

inline void take_turns() { swapcontext(&current->context, &scheduler); }
inline void __syncthreads() { take_turns(); }

inline float __shfl_xor_sync(unsigned, float x, int bit) {
  float* slots = exchanged[current->shuffles++ % 2];  // the other half may still be read
  slots[current->thread.x] = x;
  take_turns();
  return slots[current->thread.x ^ bit];
}

inline float exp2_fast(float x) { return std::exp2(x); }

inline float __uint_as_float(unsigned bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

inline unsigned __float_as_uint(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}

inline float float_of_half(unsigned short bits) {
  _Float16 x;
  std::memcpy(&x, &bits, 2);
  return x;
}

inline unsigned short half_of_float(float x) {
  const _Float16 y = x;
  unsigned short bits;
  std::memcpy(&bits, &y, 2);
  return bits;
}

inline void run_fiber() {
  entry();
  current->is_done = true;
  take_turns();
}

// Run a kernel over all blocks; its only parameter lies at arguments.
template <class Kernel>
void run_blocks(Kernel, int programs, int threads) {
  for (blockIdx.x = 0; blockIdx.x < programs; ++blockIdx.x) {
    std::vector<Fiber> block(threads);
    fibers = &block;
    for (int i = 0; i < threads; ++i) {
      block[i].thread.x = i;
      getcontext(&block[i].context);
      block[i].context.uc_stack.ss_sp = block[i].stack.get();
      block[i].context.uc_stack.ss_size = 1 << 17;
      makecontext(&block[i].context, run_fiber, 0);
    }
    for (int left = threads; left > 0;) {
      for (Fiber& fiber : block) {
        if (fiber.is_done) continue;
        current = &fiber;
        swapcontext(&scheduler, &fiber.context);
        left -= fiber.is_done;
      }
    }
  }
}

template <auto kernel>
struct Caller;

template <class Arguments, void (*kernel)(Arguments)>
struct Caller<kernel> {
  inline static Arguments given;
  static void call() { kernel(given); }
  static void run(const void* arguments, int programs, int threads) {
    std::memcpy(&given, arguments, sizeof given);
    entry = call;
    run_blocks(kernel, programs, threads);
  }
};
