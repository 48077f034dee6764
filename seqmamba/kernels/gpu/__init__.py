"""What the two GPU back-ends share: sizes, memory and sums, no kernels."""
