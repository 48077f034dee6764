// Causal depthwise convolution: a thread owns one channel of TOKENS tokens.
//
// Constants: X_IO, the format of x (IO is that of weight, bias and out); TAPS, TOKENS, CHANNELS
// (threads of a block), SILU.

#include "device.cuh"

#if X_IO == 1
typedef bfloat16 x_io;
#elif X_IO == 2
typedef float16 x_io;
#else
typedef float x_io;
#endif

struct ConvArguments {  // in the order of seqmamba/kernels/gpu/arguments.py
  const x_io* x;
  const io *weight, *bias, *initial;
  const int *lengths, *borders, *segments;
  const bool* mask;
  int64 x_row, x_token, weight_channel, initial_run, initial_channel;
};

struct ConvSizes {
  int64 rows, length, width;
};

struct RunRoom {
  io* out;
};

struct SlopesRoom {
  const io* d_out;
  float *slopes, *parts;
};

struct StartRoom {
  const float* slopes;
  io* d_initial;
};

template <class Room>
struct Launch {
  ConvArguments convs[2];
  Room rooms[2];
  ConvSizes sizes;
  int64 reverse[2];
};

struct Place {
  ConvSizes sizes;
  int conv;
  bool reverse;
  int64 piece, row, first, channel;
};

struct Run {  // the run of a token: its number, its first token, the one after its last
  int64 number, low, high;
};

template <class Room>
__device__ inline Place locate(const Launch<Room>& launch) {
  Place at;
  at.sizes = launch.sizes;
  const int64 blocks = ceil_div(at.sizes.width, CHANNELS);
  const int64 tiles = ceil_div(at.sizes.length, TOKENS);
  at.channel = blockIdx.x % blocks * CHANNELS + threadIdx.x;
  const int64 rest = blockIdx.x / blocks;
  at.piece = rest % (tiles * at.sizes.rows);
  at.conv = static_cast<int>(rest / (tiles * at.sizes.rows));
  at.row = at.piece / tiles;
  at.first = at.piece % tiles * TOKENS;
  at.reverse = launch.reverse[at.conv] != 0;
  return at;
}

__device__ inline Run run_of(const ConvArguments& p, const Place& at, int64 token) {
  if (p.borders) {
    const int64 segment = p.segments[token];
    return {segment, p.borders[segment], p.borders[segment + 1]};
  }
  return {at.row, 0, p.lengths ? p.lengths[at.row] : at.sizes.length};
}

__device__ inline bool is_real(const ConvArguments& p, const Place& at, const Run& run,
                               int64 place) {
  if (place < run.low || place >= run.high) return false;
  return !p.mask || p.mask[at.row * at.sizes.length + place];
}

// What tap k reads for a token: the sequence, or the initial state before the run.
__device__ inline float tap(const ConvArguments& p, const Place& at, const Run& run, int64 token,
                            int k) {
  const int64 back = TAPS - 1 - k, place = at.reverse ? token + back : token - back;
  if (is_real(p, at, run, place)) return load(p.x + at.row * p.x_row + place * p.x_token + at.channel);
  const int64 beyond = at.reverse ? place - run.high + 1 : run.low - place;
  if (!p.initial || beyond <= 0 || token < run.low || token >= run.high) return 0;
  return load(p.initial + run.number * p.initial_run + at.channel * p.initial_channel + TAPS - beyond);
}

__device__ inline float weighted(const ConvArguments& p, const Place& at, const Run& run,
                                 int64 token) {
  float sum = p.bias ? load(p.bias + at.channel) : 0;
#pragma unroll
  for (int k = 0; k < TAPS; ++k)
    sum += load(p.weight + at.channel * p.weight_channel + k) * tap(p, at, run, token, k);
  return sum;
}

extern "C" __global__ void __launch_bounds__(CHANNELS)
    conv_run(const __grid_constant__ Launch<RunRoom> launch) {
  const Place at = locate(launch);
  const ConvArguments& p = launch.convs[at.conv];
  if (at.channel >= at.sizes.width) return;
  for (int64 token = at.first; token < at.first + TOKENS && token < at.sizes.length; ++token) {
    const Run run = run_of(p, at, token);
    float value = 0;
    if (is_real(p, at, run, token)) {
      value = weighted(p, at, run, token);
      if (SILU) value *= logistic(value);
    }
    const int64 to = (at.row * at.sizes.length + token) * at.sizes.width + at.channel;
    store(launch.rooms[at.conv].out + to, value);
  }
}

// The gradient before the activation, and the tile's part of those of weight and bias.
extern "C" __global__ void __launch_bounds__(CHANNELS)
    conv_slopes(const __grid_constant__ Launch<SlopesRoom> launch) {
  const Place at = locate(launch);
  const ConvArguments& p = launch.convs[at.conv];
  const SlopesRoom& room = launch.rooms[at.conv];
  if (at.channel >= at.sizes.width) return;
  float part[TAPS + 1] = {};
  for (int64 token = at.first; token < at.first + TOKENS && token < at.sizes.length; ++token) {
    const Run run = run_of(p, at, token);
    const int64 to = (at.row * at.sizes.length + token) * at.sizes.width + at.channel;
    float g = 0;
    if (is_real(p, at, run, token)) {
      g = load(room.d_out + to);
      if (SILU) {
        const float sum = weighted(p, at, run, token), slope = logistic(sum);
        g *= slope * (1 + sum * (1 - slope));
      }
#pragma unroll
      for (int k = 0; k < TAPS; ++k) part[k] += g * tap(p, at, run, token, k);
      part[TAPS] += g;
    }
    room.slopes[to] = g;
  }
  for (int k = 0; k <= TAPS; ++k)
    room.parts[(at.piece * (TAPS + 1) + k) * at.sizes.width + at.channel] = part[k];
}

// The gradient of the initial state of a run: place j is read by the tokens before number j.
extern "C" __global__ void __launch_bounds__(CHANNELS)
    conv_start(const __grid_constant__ Launch<StartRoom> launch) {
  const ConvArguments& p = launch.convs[0];
  const ConvSizes& sizes = launch.sizes;
  const int64 blocks = ceil_div(sizes.width, CHANNELS);
  const int64 run = blockIdx.x / blocks, channel = blockIdx.x % blocks * CHANNELS + threadIdx.x;
  if (channel >= sizes.width) return;
  const int64 row = p.borders ? 0 : run, low = p.borders ? p.borders[run] : 0;
  int64 high = p.borders ? p.borders[run + 1] : sizes.length;
  if (p.lengths) high = p.lengths[run];
  for (int j = 0; j < TAPS; ++j) {
    float sum = 0;
    for (int t = 0; t < j && low + t < high; ++t) {
      const int64 token = launch.reverse[0] ? high - 1 - t : low + t;
      const float g = launch.rooms[0].slopes[(row * sizes.length + token) * sizes.width + channel];
      sum += g * load(p.weight + channel * p.weight_channel + j - 1 - t);
    }
    store(launch.rooms[0].d_initial + (run * sizes.width + channel) * TAPS + j, sum);
  }
}
