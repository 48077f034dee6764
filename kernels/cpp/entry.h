// The entry points that every instruction set implements.
#pragma once

#include "abi.h"

namespace SEQMAMBA_ISA {

void scan_forward(const seqmamba::ScanProblem*, int64_t count, int threads);
void scan_backward(const seqmamba::ScanProblem*, int64_t count, int threads);
void scan_step(const seqmamba::ScanProblem*, int threads);
void conv_forward(const seqmamba::ConvProblem*, int64_t count, int threads);
void conv_backward(const seqmamba::ConvProblem*, int64_t count, int threads);
void conv_step(const seqmamba::ConvProblem*, int threads);
double clock();

}  // namespace SEQMAMBA_ISA
