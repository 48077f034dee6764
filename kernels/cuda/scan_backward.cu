// Backward scan: states are run again from checkpoints, in registers.
//
// Pieces of CHECKPOINT tokens are taken last to first: one run over a piece finds the states before
// its tiles, then each tile, last to first, keeps its states while its adjoints run back. Gradients
// of B and C are summed over the channels of the block in a fixed order and stored per block.
// More constants: WINDOW (local window, divides TILE), CHECKPOINT (tokens between saved states).

#include "scan.cuh"

struct BackwardRoom {
  const io* d_out;
  const float* d_last;
  float *checkpoints, *adjoints;
  io *u, *delta, *z;
  float *B, *C, *parameters, *initial;
};

struct Sums {  // gradients of parameters over the tokens of the thread
  float A[PART], B[PART], C[PART], D, bias;
};

struct Shared {
  float tile_B[TILE][ROW], tile_C[TILE][ROW];
  float d_B[WARPS][TILE][ROW], d_C[WARPS][TILE][ROW];
};

// Add the sums of the warps and store a tile of the gradients of B and C.
__device__ inline void store_tile(const Place& at, const Shared& shared, const BackwardRoom& room,
                                  int64 tile) {
  __syncthreads();
  for (int i = threadIdx.x; i < TILE * N; i += THREADS) {
    const int k = i / N, n = i % N;
    if (tile + k >= at.end) continue;
    float b = 0, c = 0;
    for (int warp = 0; warp < WARPS; ++warp) {
      b += shared.d_B[warp][k][n];
      c += shared.d_C[warp][k][n];
    }
    const int64 token = at.row * at.sizes.length + position(at, tile + k);
    const int64 all = at.sizes.rows * at.sizes.length;
    const int64 to = ((at.block * all + token) * GROUPS + at.group) * N + n;
    if (!CONSTANT_B) room.B[to] = b;
    if (!CONSTANT_C) room.C[to] = c;
  }
}

// Run a tile forward from the state before it, then its adjoints back.
__device__ inline void tile_backward(const ScanArguments& p, const Place& at, const Matrices& m,
                                     const BackwardRoom& room, Shared& shared, int64 tile, float D,
                                     float (&h)[PART], float (&behind)[PART], Sums& sums) {
  Token t[TILE];
  float before[TILE][PART], decay[TILE][PART];
  float reached[WINDOW > 1 ? TILE : 1][PART];  // from earlier tokens of the window: a S
  float within[PART] = {};
#pragma unroll
  for (int k = 0; k < TILE; ++k) t[k] = read_token(p, at, tile + k);
#pragma unroll
  for (int k = 0; k < TILE; ++k) {
    float given, slope;
    const float dy = WINDOW > 1 ? read_adjoint(p, at, room.d_out, t[k], given, slope) : 0;
#pragma unroll
    for (int i = 0; i < PART; ++i) {
      before[k][i] = h[i];
      decay[k][i] = exp2_fast(m.A[i] * t[k].step);
      h[i] = decay[k][i] * h[i] + t[k].step * t[k].u * m.b(at, k, i);
      if (WINDOW > 1) {
        reached[WINDOW > 1 ? k : 0][i] = k % WINDOW == 0 ? 0 : within[i];
        within[i] = decay[k][i] * (reached[WINDOW > 1 ? k : 0][i] + m.c(at, k, i) * dy);
      }
    }
  }
  float ahead[PART] = {};  // b of the next token of the window
  const int warp = threadIdx.x / 32;
  const bool is_first = threadIdx.x % CHANNELS_PER_WARP == 0;
#pragma unroll
  for (int k = TILE - 1; k >= 0; --k) {
    float given, gate_slope, q = 0, r = 0, y = 0;
    const float dy = read_adjoint(p, at, room.d_out, t[k], given, gate_slope);
    const float pulse = t[k].step * t[k].u;
#pragma unroll
    for (int i = 0; i < PART; ++i) {
      const float b = m.b(at, k, i), c = m.c(at, k, i);
      behind[i] += c * dy;  // F, the adjoint of f
      float d_pulse = behind[i], d_decay = behind[i] * before[k][i];
      float state = decay[k][i] * before[k][i] + pulse * b;
      if (WINDOW > 1) {
        const float other = reached[WINDOW > 1 ? k : 0][i];
        if (k % WINDOW == WINDOW - 1) ahead[i] = 0;
        d_pulse += other;
        d_decay += (other + c * dy) * ahead[i];
        state += decay[k][i] * ahead[i];
        ahead[i] = decay[k][i] * ahead[i] + pulse * b;
      }
      d_decay *= decay[k][i];
      behind[i] *= decay[k][i];
      q += d_pulse * b;
      r += d_decay * m.A[i];
      y += c * state;
      sums.A[i] += d_decay * t[k].step;
      if (CONSTANT_B) sums.B[i] += d_pulse * pulse;
      if (CONSTANT_C) sums.C[i] += state * dy;
      const float d_B = CONSTANT_B ? 0 : over_channels(d_pulse * pulse);
      const float d_C = CONSTANT_C ? 0 : over_channels(state * dy);
      if (is_first) {
        shared.d_B[warp][k][at.first_state + i] = d_B;
        shared.d_C[warp][k][at.first_state + i] = d_C;
      }
    }
    q = over_parts(q);
    r = over_parts(r) * LN2;
    y = over_parts(y) + D * t[k].u;
    const float d_delta = (t[k].u * q + r) * t[k].slope;
    if (at.part == 0) {
      sums.D += dy * t[k].u;
      sums.bias += t[k].takes ? d_delta : 0;
    }
    if (at.part != 0 || !at.inside || tile + k >= at.end) continue;
    const int64 to = (at.row * at.sizes.length + t[k].place) * at.sizes.width + at.channel;
    store(room.u + to, t[k].takes ? D * dy + t[k].step * q : 0);
    store(room.delta + to, t[k].takes ? d_delta : 0);
    if (p.z) store(room.z + to, t[k].takes ? given * gate_slope * y : 0);
  }
}

__device__ inline void store_sums(const Place& at, const Sums& sums, const BackwardRoom& room) {
  const int64 rows = N * (1 + CONSTANT_B + CONSTANT_C) + 2;
  const int64 width = at.sizes.width;
  float* to = room.parameters + (at.run * at.sizes.chunks + at.chunk) * rows * width + at.channel;
  for (int i = 0; i < PART; ++i) {
    if (!holds(at, i)) continue;
    const int64 n = at.first_state + i;
    to[n * width] = sums.A[i];
    if (CONSTANT_B) to[(N + n) * width] = sums.B[i];
    if (CONSTANT_C) to[(N * (1 + CONSTANT_B) + n) * width] = sums.C[i];
  }
  if (at.part != 0 || !at.inside) return;
  to[(rows - 2) * width] = sums.D;
  to[(rows - 1) * width] = sums.bias;
}

extern "C" __global__ void __launch_bounds__(THREADS)
    scan_backward(const __grid_constant__ Launch<BackwardRoom> launch) {
  __shared__ Shared shared;
  const Place at = locate(launch);
  const ScanArguments& p = launch.scans[at.scan];
  const BackwardRoom& room = launch.rooms[at.scan];
  Matrices m(p, at, shared.tile_B, shared.tile_C);
  const float D = p.D && at.inside ? p.D[at.channel] : 0;
  float behind[PART];
  const int64 after = room.adjoints ? chunk_slot(p, at) + at.chunk : 0;
  for (int i = 0; i < PART; ++i) {
    behind[i] = 0;
    if (!holds(at, i)) continue;
    if (room.adjoints) behind[i] = *slot_state(room.adjoints, at, after, i);
    else if (room.d_last) behind[i] = room.d_last[run_state(at, i)];
  }
  Sums sums = {};
  const int64 slot = checkpoint_slot(p, at, CHECKPOINT);
  const int64 pieces = at.end > at.begin ? ceil_div(at.end - at.begin, CHECKPOINT) : 0;
  for (int64 c = pieces - 1; c >= 0; --c) {
    const int64 piece = at.begin + c * CHECKPOINT;
    float h[PART], starts[CHECKPOINT / TILE][PART];  // states before the tiles of the piece
    initial_state(p, at, h);
    if (piece > 0)
      for (int i = 0; i < PART; ++i)
        h[i] = holds(at, i) ? *slot_state(room.checkpoints, at, slot + piece / CHECKPOINT, i) : 0;
    int tiles = 0;
    for (int64 tile = piece; tiles < CHECKPOINT / TILE && tile < at.end; tile += TILE, ++tiles) {
      for (int i = 0; i < PART; ++i) starts[tiles][i] = h[i];
      if (tiles + 1 == CHECKPOINT / TILE || tile + TILE >= at.end) continue;
      m.fill(p, at, tile);
#pragma unroll
      for (int k = 0; k < TILE; ++k) {
        const Token t = read_token(p, at, tile + k);
#pragma unroll
        for (int i = 0; i < PART; ++i)
          h[i] = exp2_fast(m.A[i] * t.step) * h[i] + t.step * t.u * m.b(at, k, i);
      }
    }
    while (--tiles >= 0) {
      const int64 tile = piece + tiles * TILE;
      for (int i = 0; i < PART; ++i) h[i] = starts[tiles][i];
      m.fill(p, at, tile);
      tile_backward(p, at, m, room, shared, tile, D, h, behind, sums);
      store_tile(at, shared, room, tile);
    }
  }
  store_sums(at, sums, room);
  if (room.initial && at.chunk == 0)
    for (int i = 0; i < PART; ++i)
      if (holds(at, i)) room.initial[run_state(at, i)] = behind[i];
}
