"""Measure the scan kernels and keep the figures: python kernels/bench/scan.py [arm ...].

Writes ``kernels/bench/results/scan-<instruction set>.json`` with machine, versions and commit. The
arms stand beside the compiled kernels: back-ends and peers of ``seqmamba bench scan``.
"""

import sys

from record import record

from seqmamba.kernels.bench import bench_scan

if __name__ == "__main__":
    record("scan", bench_scan(against=tuple(sys.argv[1:]) or ("torch", "reference")))
