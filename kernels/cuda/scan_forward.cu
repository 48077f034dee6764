// Forward scan, and the chunk kernels that serve both directions of time.
//
// More constants: WINDOW (local window, divides TILE), CHECKPOINT (tokens between saved states),
// ADJOINT (chunk kernels: run against time with C dy in place of step u B).

#include "scan.cuh"

struct ForwardRoom {
  io* out;
  float *last, *checkpoints, *starts;
};

#if defined(WINDOW)
extern "C" __global__ void __launch_bounds__(THREADS)
    scan_forward(const __grid_constant__ Launch<ForwardRoom> launch) {
  __shared__ float tile_B[TILE][ROW], tile_C[TILE][ROW];
  const Place at = locate(launch);
  const ScanArguments& p = launch.scans[at.scan];
  const ForwardRoom& room = launch.rooms[at.scan];
  Matrices m(p, at, tile_B, tile_C);
  const float D = p.D && at.inside ? p.D[at.channel] : 0;
  float h[PART];
  initial_state(p, at, h);
  if (room.starts) {
    const int64 slot = chunk_slot(p, at) + at.chunk;
    for (int i = 0; i < PART; ++i) h[i] = holds(at, i) ? *slot_state(room.starts, at, slot, i) : 0;
  }
  const int64 slot = checkpoint_slot(p, at, CHECKPOINT);
  for (int64 tile = at.begin; tile < at.end; tile += TILE) {
    if (room.checkpoints && tile > 0 && tile % CHECKPOINT == 0)
      for (int i = 0; i < PART; ++i)
        if (holds(at, i)) *slot_state(room.checkpoints, at, slot + tile / CHECKPOINT, i) = h[i];
    m.fill(p, at, tile);
    Token t[TILE];
    float y[TILE];
#pragma unroll
    for (int k = 0; k < TILE; ++k) t[k] = read_token(p, at, tile + k);
    float decay[WINDOW > 1 ? TILE : 1][PART];
#pragma unroll
    for (int k = 0; k < TILE; ++k) {
      const int j = WINDOW > 1 ? k : 0;
      y[k] = 0;
#pragma unroll
      for (int i = 0; i < PART; ++i) {
        decay[j][i] = exp2_fast(m.A[i] * t[k].step);
        h[i] = decay[j][i] * h[i] + t[k].step * t[k].u * m.b(at, k, i);
        y[k] += m.c(at, k, i) * h[i];
      }
    }
    if (WINDOW > 1) {  // y += C a b_{t+1}, b running against time inside a window
      float behind[PART] = {};
#pragma unroll
      for (int k = TILE - 1; k >= 0; --k) {
        const int j = WINDOW > 1 ? k : 0;
#pragma unroll
        for (int i = 0; i < PART; ++i) {
          behind[i] = k % WINDOW == WINDOW - 1 ? 0 : decay[j][i] * behind[i];
          y[k] += m.c(at, k, i) * behind[i];
          behind[i] += t[k].step * t[k].u * m.b(at, k, i);
        }
      }
    }
#pragma unroll
    for (int k = 0; k < TILE; ++k) {
      float value = over_parts(y[k]) + D * t[k].u;
      if (p.z && t[k].takes) {
        const float z = read_gate(p, at, t[k]);
        value *= z * logistic(z);
      }
      const int64 to = (at.row * at.sizes.length + t[k].place) * at.sizes.width + at.channel;
      if (at.part == 0 && at.inside && tile + k < at.end) store(room.out + to, t[k].takes ? value : 0);
    }
  }
  if (room.last && at.end == at.count && (at.begin < at.count || at.chunk == 0))
    for (int i = 0; i < PART; ++i)
      if (holds(at, i)) room.last[run_state(at, i)] = h[i];
}
#endif

#if defined(ADJOINT)
// Every chunk from a state of zero: its end state and its sum of steps.
extern "C" __global__ void __launch_bounds__(THREADS)
    end_states(const __grid_constant__ Launch<ChunkRoom> launch) {
  __shared__ float tile_B[TILE][ROW], tile_C[TILE][ROW];
  const Place at = locate(launch);
  const ScanArguments& p = launch.scans[at.scan];
  const ChunkRoom& room = launch.rooms[at.scan];
  Matrices m(p, at, tile_B, tile_C);
  float h[PART] = {}, total = 0;
  const int64 tiles = at.end > at.begin ? ceil_div(at.end - at.begin, TILE) : 0;
  for (int64 i = 0; i < tiles; ++i) {
    const int64 tile = at.begin + (ADJOINT ? tiles - 1 - i : i) * TILE;
    m.fill(p, at, tile);
#pragma unroll
    for (int j = 0; j < TILE; ++j) {
      const int k = ADJOINT ? TILE - 1 - j : j;
      const Token t = read_token(p, at, tile + k);
      float given, slope;
      const float pulse = ADJOINT ? read_adjoint(p, at, room.d_out, t, given, slope) : t.step * t.u;
      total += t.step;
#pragma unroll
      for (int s = 0; s < PART; ++s) {
        const float decay = exp2_fast(m.A[s] * t.step);
        h[s] = ADJOINT ? decay * (h[s] + pulse * m.c(at, k, s)) : decay * h[s] + pulse * m.b(at, k, s);
      }
    }
  }
  if (at.begin >= at.count && at.chunk > 0) return;
  const int64 slot = chunk_slot(p, at) + at.chunk;
  for (int i = 0; i < PART; ++i)
    if (holds(at, i)) *slot_state(room.starts, at, slot, i) = h[i];
  if (at.part == 0 && at.inside) room.sums[slot * at.sizes.width + at.channel] = total;
}

// End states from zero become the states before each chunk (after it with ADJOINT).
extern "C" __global__ void __launch_bounds__(THREADS)
    carry_chunks(const __grid_constant__ Launch<ChunkRoom> launch) {
  const Place at = locate(launch);
  const ScanArguments& p = launch.scans[at.scan];
  const ChunkRoom& room = launch.rooms[at.scan];
  if (!at.inside) return;
  float A[PART], h[PART];
  read_wide(p.A, p.A_channel, at, LOG2E, A);
  for (int i = 0; i < PART; ++i)
    h[i] = room.start && holds(at, i) ? room.start[run_state(at, i)] : 0;
  const int64 first = chunk_slot(p, at), chunks = ceil_div(at.count, at.sizes.chunk);
  for (int64 c = 0; c < (chunks > 1 ? chunks : 1); ++c) {
    const int64 slot = first + (ADJOINT ? (chunks > 1 ? chunks : 1) - 1 - c : c);
    const float total = room.sums[slot * at.sizes.width + at.channel];
    for (int i = 0; i < PART; ++i) {
      if (!holds(at, i)) continue;
      float* state = slot_state(room.starts, at, slot, i);
      const float pulse = *state;
      *state = h[i];
      h[i] = exp2_fast(A[i] * total) * h[i] + pulse;
    }
  }
}
#endif
