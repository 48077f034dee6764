"""Inference over one very long bag: wide tensors exist for a piece of it at a time.

The (L, D) stream and one sum of the same size are all that grows with L. Every branch of a layer
walks over its own order of the tokens piece by piece and carries its state: the last inputs of the
convolution and the (E, N) state of the scan.
"""

from collections.abc import Iterator
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqmamba.kernels import causal_conv1d, selective_scan
from seqmamba.nn.branch import Branch, branch_of
from seqmamba.nn.directions import TwoBranchMamba
from seqmamba.nn.mamba import Mamba
from seqmamba.nn.order import reorder

__all__ = ["encode_in_chunks"]


class Projecting(Protocol):
    """A network with a projection and an encoder."""

    encoder: Any  # an Encoder, or None

    def project(self, x: Tensor) -> Tensor:
        """Return (L, D) of a piece of a bag."""
        ...


@torch.no_grad()
def encode_in_chunks(net: Projecting, x: Tensor, size: int) -> Tensor:
    """Return what the encoder makes of one bag, (L, F) -> (L, D), as the whole would.

    Parameters
    ----------
    net : Projecting
    x : Tensor (L, F)
    size : int
        Tokens per piece; a multiple of the windows of local scans.
    """
    h = torch.cat([net.project(part) for part in torch.split(x, size)])  # (L, D)
    if net.encoder is None:
        return h
    for block in net.encoder.blocks:
        total = torch.zeros_like(h)
        for walk in _walks(block.mixer, h.shape[0], h.device):
            _add_walk(total, h, block.norm, cast(Any, block.mixer), walk, size)
        h += total
    for start in range(0, len(h), size):
        h[start : start + size] = net.encoder.norm_f(h[start : start + size])
    return h


class _Walk:
    """One branch and the order in which it reads.

    Parameters
    ----------
    branch : Branch
    order : Tensor (S,)
        Token at each step; -1 = an empty place: the convolution reads it as zero.
    window : int
        Of a local scan.
    backwards : bool
        Read the pieces from the last to the first, each from its end.
    steps_on_empty : bool
        The state takes a step at an empty place, as in the released code.
    """

    def __init__(
        self,
        branch: Branch,
        order: Tensor,
        *,
        window: int = 1,
        backwards: bool = False,
        steps_on_empty: bool = False,
    ) -> None:
        self.branch, self.order, self.window, self.backwards = branch, order, window, backwards
        self.steps_on_empty = steps_on_empty

    def pieces(self, size: int) -> Iterator[Tensor]:
        """Give the tokens of each piece in the order of reading."""
        order = self.order.flip(0) if self.backwards else self.order
        yield from torch.split(order, size)


def _walks(mixer: nn.Module, length: int, device: torch.device) -> list[_Walk]:
    plain = torch.arange(length, device=device)
    if isinstance(mixer, Mamba):
        window = 1 if mixer.window == "lb" else mixer.window
        return [_Walk(branch_of(mixer), plain, window=window, backwards=mixer.reverse)]
    assert isinstance(mixer, TwoBranchMamba), "the encoders of this task have no other mixers"
    first, second = branch_of(mixer), branch_of(mixer, "_b")
    if mixer.direction != "mil_sr":
        return [_Walk(first, plain), _Walk(second, plain, backwards=True)]
    keep = mixer.pad_mode == "reference"
    found = reorder(length, mixer.rate, device=device, keep_padding=keep)
    order = found.source[0]
    empty = found.empty if keep else None if found.keep is None else ~found.keep
    if empty is not None:
        order = order.masked_fill(empty[0], -1)
    return [_Walk(first, plain), _Walk(second, order, steps_on_empty=keep)]


def _add_walk(
    total: Tensor, h: Tensor, norm: nn.Module, mixer: Any, walk: _Walk, size: int
) -> None:
    """Add what one branch gives to ``total`` (L, D)."""
    branch = walk.branch
    conv_state, state = None, None
    for tokens in walk.pieces(size):
        real = tokens >= 0
        rows = norm(h[tokens.clamp(min=0)])
        wide = mixer.in_proj(rows)[None].masked_fill(~real[None, :, None], 0)  # (1, S, 2E)
        u, z = wide.chunk(2, -1)
        mask = None if walk.steps_on_empty or bool(real.all()) else real[None]
        conv = branch.conv_arguments(u, reverse=False, mask=mask, lengths=None)
        conv["initial_state"] = conv_state
        u, conv_state = causal_conv1d(**conv, return_last_state=True, backend=mixer.backend)
        scan = branch.scan_arguments(u, z, reverse=False, mask=mask, lengths=None)
        scan["initial_state"] = state
        scan["window"] = walk.window
        y, state = selective_scan(**scan, return_last_state=True, backend=mixer.backend)
        total.index_add_(0, tokens[real], functional.linear(y[0, real], mixer.out_proj.weight))
