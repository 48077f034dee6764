"""One-step maps fitted by ridge regression: the cheap models of chaotic systems."""
