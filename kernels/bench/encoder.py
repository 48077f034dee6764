"""Measure encoders and keep the figures: python kernels/bench/encoder.py [package ...].

Writes ``kernels/bench/results/encoder-<instruction set>.json``. The packages stand beside our
directions: peers of ``seqmamba bench encoder``.
"""

import sys

from record import record

from seqmamba.nn.bench import bench_encoder

if __name__ == "__main__":
    record("encoder", bench_encoder(against=tuple(sys.argv[1:])))
