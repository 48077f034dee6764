"""Scans and convolutions of Mamba layers: one entry per operation, several back-ends behind it.

Everything is channels-last: (B, L, E) = batch, tokens, channels; N states per channel, W taps.

    selective_scan(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, *,
                   initial_state=None, mask=None, lengths=None, cu_seqlens=None, reverse=False,
                   window=1, return_last_state=False, backend="auto") -> out | (out, last_state)
    scan_pair(first: ScanArguments, second: ScanArguments, *, backend="auto") -> (out, out)
    state_step(state, u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, *,
               backend="auto") -> out                                  # state updated in place
    causal_conv1d(x, weight, bias=None, activation=None, *, initial_state=None, mask=None,
                  lengths=None, cu_seqlens=None, reverse=False, return_last_state=False,
                  backend="auto") -> out | (out, last_state)
    conv_pair(first: ConvArguments, second: ConvArguments, *, backend="auto") -> (out, out)
    conv_step(state, x, weight, bias=None, activation=None, *, backend="auto") -> out   # in place
    ssd(x, dt, A, B, C, D=None, z=None, dt_bias=None, dt_softplus=False, *, dt_limit=(0, inf),
        chunk_size=64, initial_state=None, mask=None, lengths=None, cu_seqlens=None, reverse=False,
        return_last_state=False) -> out | (out, last_state)
    ssd_step(state, x, dt, A, B, C, D=None, z=None, dt_bias=None, dt_softplus=False, *,
             dt_limit=(0, inf)) -> out                                 # state updated in place
    sr_index(length, rate), inverse_index(index), partial_flip_index(lengths, length, keep_last=0)
"""

from seqmamba.kernels.conv import ConvArguments, causal_conv1d, conv_pair, conv_step
from seqmamba.kernels.dispatch import backends, use
from seqmamba.kernels.runs import inverse_index, partial_flip_index, sr_index
from seqmamba.kernels.scan import ScanArguments, scan_pair, selective_scan, state_step
from seqmamba.kernels.ssd import ssd, ssd_step

__all__ = [
    "ConvArguments",
    "ScanArguments",
    "backends",
    "causal_conv1d",
    "conv_pair",
    "conv_step",
    "inverse_index",
    "partial_flip_index",
    "scan_pair",
    "selective_scan",
    "sr_index",
    "ssd",
    "ssd_step",
    "state_step",
    "use",
]
