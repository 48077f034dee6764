// Where a thread of a scan kernel stands, and what it reads there.
//
// A block of threads owns BLOCK channels of one group and walks over the tokens of one chunk of one
// run. LANES threads share a channel and hold PART of its N states each. B and C of TILE tokens lie
// in shared memory; u, delta and z go straight to registers.
// Constants: N, LANES, PART, BLOCK, THREADS, GROUPS, TILE, SOFTPLUS, CONSTANT_B, CONSTANT_C.

#pragma once

#include "device.cuh"

constexpr int ROW = LANES * PART;             // states, padded
constexpr int CHANNELS_PER_WARP = 32 / LANES;
constexpr int WARPS = THREADS / 32;

struct ScanArguments {  // in the order of seqmamba/kernels/gpu/arguments.py
  const io *u, *delta, *z;
  const float* A;
  const void *B, *C;
  const float *D, *bias, *initial;
  const int *lengths, *borders;
  const bool* mask;
  int64 u_row, u_token, delta_row, delta_token, z_row, z_token, A_channel;
  int64 B_row, B_token, B_group, C_row, C_token, C_group, initial_run, initial_channel;
};

struct ScanSizes {
  int64 length, width, group_width, rows, runs, chunks, chunk;
};

struct ChunkRoom {
  float *starts, *sums;
  const float* start;
  const io* d_out;
};

template <class Room>
struct Launch {
  ScanArguments scans[2];
  Room rooms[2];
  ScanSizes sizes;
  int64 reverse[2];
};

struct Token {
  int64 place;  // along L
  float u, step, slope;
  bool takes;  // the token is real and the channel exists
};

struct Place {
  ScanSizes sizes;
  int scan;
  bool reverse, inside;
  int part, first_state;  // of the states that the thread holds
  int64 run, chunk, group, block, channel, row, start, count, begin, end;
};

template <class Room>
__device__ inline Place locate(const Launch<Room>& launch) {
  Place at;
  at.sizes = launch.sizes;
  const int64 blocks = ceil_div(at.sizes.group_width, BLOCK);
  int64 rest = blockIdx.x;
  at.block = rest % blocks;
  rest /= blocks;
  at.group = rest % GROUPS;
  rest /= GROUPS;
  at.chunk = rest % at.sizes.chunks;
  rest /= at.sizes.chunks;
  at.run = rest % at.sizes.runs;
  at.scan = static_cast<int>(rest / at.sizes.runs);
  at.reverse = launch.reverse[at.scan] != 0;

  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int local = warp * CHANNELS_PER_WARP + lane % CHANNELS_PER_WARP;
  at.part = lane / CHANNELS_PER_WARP;
  at.first_state = at.part * PART;
  const int64 channel = at.block * BLOCK + local;
  at.inside = local < BLOCK && channel < at.sizes.group_width;
  at.channel = at.group * at.sizes.group_width + channel;

  const ScanArguments& p = launch.scans[at.scan];
  at.row = at.run;
  at.start = 0;
  at.count = at.sizes.length;
  if (p.borders) {
    at.row = 0;
    at.start = p.borders[at.run];
    at.count = p.borders[at.run + 1] - at.start;
  }
  if (p.lengths) at.count = p.lengths[at.run];
  at.begin = at.chunk * at.sizes.chunk;
  at.end = at.begin + at.sizes.chunk < at.count ? at.begin + at.sizes.chunk : at.count;
  return at;
}

__device__ inline bool holds(const Place& at, int i) { return at.inside && at.first_state + i < N; }

__device__ inline int64 position(const Place& at, int64 order) {
  return at.start + (at.reverse ? at.count - 1 - order : order);
}

__device__ inline bool is_real(const ScanArguments& p, const Place& at, int64 order) {
  if (order >= at.end) return false;
  return !p.mask || p.mask[at.row * at.sizes.length + position(at, order)];
}

__device__ inline Token read_token(const ScanArguments& p, const Place& at, int64 order) {
  Token t = {position(at, order), 0, 0, 0, at.inside && is_real(p, at, order)};
  if (!t.takes) return t;
  t.u = load(p.u + at.row * p.u_row + t.place * p.u_token + at.channel);
  t.step = load(p.delta + at.row * p.delta_row + t.place * p.delta_token + at.channel);
  t.slope = 1;
  if (p.bias) t.step += p.bias[at.channel];
  if (SOFTPLUS) t.step = softplus(t.step, t.slope);
  return t;
}

__device__ inline float read_gate(const ScanArguments& p, const Place& at, const Token& t) {
  return load(p.z + at.row * p.z_row + t.place * p.z_token + at.channel);
}

// The gradient of y before the gate; also that of out and the slope of the gate.
__device__ inline float read_adjoint(const ScanArguments& p, const Place& at, const io* d_out,
                                     const Token& t, float& given, float& slope) {
  given = slope = 0;
  if (!t.takes) return 0;
  given = load(d_out + (at.row * at.sizes.length + t.place) * at.sizes.width + at.channel);
  if (!p.z) return given;
  const float z = read_gate(p, at, t), g = logistic(z);
  slope = g * (1 + z * (1 - g));
  return given * z * g;
}

// A matrix (E, N) of parameters, as the thread holds it.
__device__ inline void read_wide(const void* matrix, int64 channel_stride, const Place& at,
                                 float scale, float (&to)[PART]) {
  const float* row = static_cast<const float*>(matrix) + at.channel * channel_stride;
  for (int i = 0; i < PART; ++i) to[i] = holds(at, i) ? row[at.first_state + i] * scale : 0;
}

// B or C of the tokens of a tile; the whole block takes part.
__device__ inline void read_tile(const ScanArguments& p, const Place& at, const void* matrix,
                                 int64 row, int64 token, int64 group, int64 tile,
                                 float (*to)[ROW]) {
  const io* from = static_cast<const io*>(matrix) + at.row * row + at.group * group;
  for (int i = threadIdx.x; i < TILE * ROW; i += THREADS) {
    const int k = i / ROW, n = i % ROW;
    const bool real = n < N && is_real(p, at, tile + k);
    to[k][n] = real ? load(from + position(at, tile + k) * token + n) : 0;
  }
}

struct Matrices {
  float A[PART], B[PART], C[PART];  // A for powers of two; B and C if constant
  float (*tile_B)[ROW];
  float (*tile_C)[ROW];

  __device__ Matrices(const ScanArguments& p, const Place& at, float (*tile_b)[ROW],
                      float (*tile_c)[ROW])
      : tile_B(tile_b), tile_C(tile_c) {
    read_wide(p.A, p.A_channel, at, LOG2E, A);
    if (CONSTANT_B) read_wide(p.B, p.B_row, at, 1, B);
    if (CONSTANT_C) read_wide(p.C, p.C_row, at, 1, C);
  }

  // Read B and C of a tile; all threads must call it, and none may still read the former tile.
  __device__ void fill(const ScanArguments& p, const Place& at, int64 tile) {
    __syncthreads();
    if (!CONSTANT_B) read_tile(p, at, p.B, p.B_row, p.B_token, p.B_group, tile, tile_B);
    if (!CONSTANT_C) read_tile(p, at, p.C, p.C_row, p.C_token, p.C_group, tile, tile_C);
    __syncthreads();
  }

  __device__ float b(const Place& at, int k, int i) const {
    return CONSTANT_B ? B[i] : tile_B[k][at.first_state + i];
  }
  __device__ float c(const Place& at, int k, int i) const {
    return CONSTANT_C ? C[i] : tile_C[k][at.first_state + i];
  }
};

__device__ inline int64 chunk_slot(const ScanArguments& p, const Place& at) {
  if (p.borders) return at.start / at.sizes.chunk + at.run;
  return at.run * ceil_div(at.sizes.length, at.sizes.chunk);
}

// Where the state before piece 0 of a run would lie; that of piece 1 is the first kept.
__device__ inline int64 checkpoint_slot(const ScanArguments& p, const Place& at, int64 tokens) {
  if (p.borders) return at.start / tokens - 1;
  const int64 pieces = ceil_div(at.sizes.length, tokens);
  return at.run * ((pieces > 1 ? pieces : 1) - 1) - 1;
}

// States (slots, N, E): threads side by side hold channels side by side.
__device__ inline float* slot_state(float* states, const Place& at, int64 slot, int i) {
  return states + (slot * N + at.first_state + i) * at.sizes.width + at.channel;
}

__device__ inline int64 run_state(const Place& at, int i) {  // in (S, E, N)
  return (at.run * at.sizes.width + at.channel) * N + at.first_state + i;
}

__device__ inline void initial_state(const ScanArguments& p, const Place& at, float (&h)[PART]) {
  const int64 from = at.run * p.initial_run + at.channel * p.initial_channel + at.first_state;
  for (int i = 0; i < PART; ++i) h[i] = p.initial && holds(at, i) ? p.initial[from + i] : 0;
}

// Sum over the threads that share a channel.
__device__ inline float over_parts(float x) {
  for (int bit = CHANNELS_PER_WARP; bit < 32; bit *= 2) x += __shfl_xor_sync(~0u, x, bit);
  return x;
}

// Sum over the channels of a warp.
__device__ inline float over_channels(float x) {
  for (int bit = 1; bit < CHANNELS_PER_WARP; bit *= 2) x += __shfl_xor_sync(~0u, x, bit);
  return x;
}
