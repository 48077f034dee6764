// One token of a scan and of a convolution: a thread owns one channel of one row.
//
// Constants: N (states, or taps), CHANNELS (threads of a block), SOFTPLUS, SILU.

#include "device.cuh"

struct ScanStep {
  float* state;
  const io *u, *delta, *z;
  const float* A;
  const void *B, *C;
  const float *D, *bias;
  io* out;
  int64 width, state_row, state_channel, state_place, u_row, delta_row, z_row, A_channel;
  int64 B_groups, B_row, B_group, C_groups, C_row, C_group;  // no groups: constant, row is channel
};

struct ConvStep {
  io* state;
  const io *x, *weight, *bias;
  io* out;
  int64 width, state_row, state_channel, state_place, x_row, weight_channel;
};

__device__ inline float read_matrix(const void* from, int64 groups, int64 row_stride,
                                    int64 group_stride, int64 row, int64 channel, int64 width,
                                    int n) {
  if (groups == 0) return static_cast<const float*>(from)[channel * row_stride + n];
  const int64 group = channel / (width / groups);
  return load(static_cast<const io*>(from) + row * row_stride + group * group_stride + n);
}

extern "C" __global__ void __launch_bounds__(CHANNELS)
    scan_step(const __grid_constant__ ScanStep s) {
  const int64 blocks = ceil_div(s.width, CHANNELS);
  const int64 row = blockIdx.x / blocks, channel = blockIdx.x % blocks * CHANNELS + threadIdx.x;
  if (channel >= s.width) return;
  const float u = load(s.u + row * s.u_row + channel);
  float step = load(s.delta + row * s.delta_row + channel), slope;
  if (s.bias) step += s.bias[channel];
  if (SOFTPLUS) step = softplus(step, slope);
  float* state = s.state + row * s.state_row + channel * s.state_channel;
  float y = 0;
  for (int n = 0; n < N; ++n) {
    const float decay = exp2_fast(s.A[channel * s.A_channel + n] * LOG2E * step);
    const float b = read_matrix(s.B, s.B_groups, s.B_row, s.B_group, row, channel, s.width, n);
    const float c = read_matrix(s.C, s.C_groups, s.C_row, s.C_group, row, channel, s.width, n);
    const float h = decay * state[n * s.state_place] + step * u * b;
    state[n * s.state_place] = h;
    y += c * h;
  }
  if (s.D) y += s.D[channel] * u;
  if (s.z) {
    const float z = load(s.z + row * s.z_row + channel);
    y *= z * logistic(z);
  }
  store(s.out + row * s.width + channel, y);
}

extern "C" __global__ void __launch_bounds__(CHANNELS)
    conv_step(const __grid_constant__ ConvStep s) {
  const int64 blocks = ceil_div(s.width, CHANNELS);
  const int64 row = blockIdx.x / blocks, channel = blockIdx.x % blocks * CHANNELS + threadIdx.x;
  if (channel >= s.width) return;
  io* state = s.state + row * s.state_row + channel * s.state_channel;
  float sum = s.bias ? load(s.bias + channel) : 0;
  for (int k = 0; k < N; ++k) {
    const io value = k + 1 < N ? state[(k + 1) * s.state_place] : s.x[row * s.x_row + channel];
    state[k * s.state_place] = value;
    sum += load(s.weight + channel * s.weight_channel + k) * load(&value);
  }
  if (SILU) sum *= logistic(sum);
  store(s.out + row * s.width + channel, sum);
}
