// The C interface. Every field is a 64-bit integer or pointer, so that the Python side packs a
// problem with one call; seqmamba/kernels/cpp/pack.py lists the same fields in the same order.
#pragma once

#include <cstdint>

namespace seqmamba {

enum class DType : int64_t { f32 = 0, f64 = 1, bf16 = 2, f16 = 3 };

// Strides are in elements. The last axis of every array has stride 1.
struct Rows {
    char* data;  // (batch, token, channel) or (batch, token, group, state)
    int64_t batch_stride, token_stride;
};

struct ScanProblem {
    int64_t batch, length, channels, states, groups, runs;
    DType dtype;  // of u, delta, z, variable B and C and their gradients; all else is the state dtype
    int64_t softplus, reverse, window, constant_b, constant_c;
    Rows u, delta, z, b, c;  // constant B and C: token_stride is the stride over channels
    int64_t b_group_stride, c_group_stride;
    const char* a;  // (E, N) contiguous
    const char *d, *delta_bias, *initial_state;
    const int32_t *lengths, *cu_seqlens;
    const uint8_t* mask;  // (B, L) contiguous
    char *out, *last_state, *saved;  // contiguous; saved: checkpoints of the training forward
    // Backward only.
    Rows grad_out;
    const char* grad_last;
    char *grad_u, *grad_delta, *grad_a, *grad_b, *grad_c, *grad_d, *grad_z, *grad_bias, *grad_initial;
};

struct ConvProblem {
    int64_t batch, length, channels, taps, runs;
    DType dtype;
    int64_t silu, reverse;
    Rows x;
    const char *weight, *bias, *initial_state;  // (E, W), (E,), (S, E, W), contiguous
    const int32_t *lengths, *cu_seqlens;
    const uint8_t* mask;
    char* out;
    Rows grad_out;
    char *grad_x, *grad_weight, *grad_bias, *grad_initial;
};

// The entry points of one instruction set.
struct Kernels {
    const char* name;
    void (*scan_forward)(const ScanProblem*, int64_t count, int threads);
    void (*scan_backward)(const ScanProblem*, int64_t count, int threads);
    void (*scan_step)(const ScanProblem*, int threads);
    void (*conv_forward)(const ConvProblem*, int64_t count, int threads);
    void (*conv_backward)(const ConvProblem*, int64_t count, int threads);
    void (*conv_step)(const ConvProblem*, int threads);
    double (*clock)();  // cycles per second, from vector instructions at two a cycle
};

}  // namespace seqmamba
