"""The shared encoder: scan blocks, directions, layers, pooling. Knows tensors only."""

from seqmamba.nn.block import Block
from seqmamba.nn.encoder import Encoder
from seqmamba.nn.mamba import Mamba
from seqmamba.nn.mamba2 import Mamba2
from seqmamba.nn.pooling import AttentionPool, ClsPool, MeanPool

__all__ = ["AttentionPool", "Block", "ClsPool", "Encoder", "Mamba", "Mamba2", "MeanPool"]
