"""Inference over one long bag: wide tensors exist for a piece of it at a time.

A layer with one branch keeps nothing but the (L, D) stream. A layer with two keeps the input of
its branches and the output of the first, (L, E) each: the second branch reads in another order, so
each token then passes the projections once, as it does where the bag is held whole.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

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
    h = _project(net, x, size)
    if net.encoder is None:
        return h
    store: _Store | None = None
    for block in net.encoder.blocks:
        if isinstance(block.mixer, Mamba):
            _add_mamba(h, block.norm, block.mixer, size)
        else:
            assert isinstance(block.mixer, TwoBranchMamba), "the encoders here have no other mixers"
            store = store or _Store.of(h, block.mixer.d_inner)
            _add_two_branches(h, block.norm, block.mixer, size, store)
    for piece in _pieces(len(h), size):
        h[piece] = net.encoder.norm_f(h[piece])
    return h


def _project(net: Projecting, x: Tensor, size: int) -> Tensor:
    first = net.project(x[:size])
    h = first.new_empty(len(x), first.shape[1])
    h[:size] = first
    for start in range(size, len(x), size):
        h[start : start + size] = net.project(x[start : start + size])
    return h


class _Store(NamedTuple):
    """What a layer of two branches keeps of each token; every layer writes over it."""

    inner: Tensor  # (L, E): input of the branches
    first: Tensor  # (L, E): output of the first branch, not gated

    @classmethod
    def of(cls, h: Tensor, width: int) -> "_Store":
        return cls(h.new_empty(len(h), width), h.new_empty(len(h), width))


class _Walk:
    """A branch that reads a bag piece by piece and carries its state along.

    The state is the last inputs of the convolution and the (E, N) state of the scan.
    """

    def __init__(
        self, branch: Branch, backend: str, *, window: int = 1, reverse: bool = False
    ) -> None:
        self.branch, self.backend, self.window, self.reverse = branch, backend, window, reverse
        self.taps: Tensor | None = None
        self.state: Tensor | None = None

    def read(self, u: Tensor, z: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Return the output (S, E) at the next piece ``u`` (S, E), gated by ``z`` if given."""
        steps = None if mask is None else mask[None]
        conv = self.branch.conv_arguments(u[None], reverse=self.reverse, mask=steps, lengths=None)
        conv["initial_state"] = self.taps
        u, self.taps = causal_conv1d(**conv, return_last_state=True, backend=self.backend)
        gate = None if z is None else z[None]
        scan = self.branch.scan_arguments(u, gate, reverse=self.reverse, mask=steps, lengths=None)
        scan["initial_state"], scan["window"] = self.state, self.window
        y, self.state = selective_scan(**scan, return_last_state=True, backend=self.backend)
        return y[0]


def _pieces(length: int, size: int, *, backwards: bool = False) -> Iterator[slice]:
    """Give the borders of the pieces; backwards from the last, which then is a full one."""
    for start in range(0, length, size):
        stop = min(start + size, length)
        yield slice(length - stop, length - start) if backwards else slice(start, stop)


def _add_mamba(h: Tensor, norm: nn.Module, mixer: Mamba, size: int) -> None:
    """Add what a layer of one branch makes of ``h`` (L, D)."""
    window = 1 if mixer.window == "lb" else mixer.window
    walk = _Walk(branch_of(mixer), mixer.backend, window=window, reverse=mixer.reverse)
    for piece in _pieces(len(h), size, backwards=mixer.reverse):
        u, z = mixer.in_proj(norm(h[piece])).chunk(2, -1)  # (S, E) each
        h[piece] += mixer.out_proj(walk.read(u, z))


def _add_two_branches(
    h: Tensor, norm: nn.Module, mixer: TwoBranchMamba, size: int, store: _Store
) -> None:
    """Add what a layer of two branches makes of ``h`` (L, D): both are gated at the second."""
    to_inner, to_gate = mixer.in_proj.weight.chunk(2)
    walk = _Walk(branch_of(mixer), mixer.backend)
    for piece in _pieces(len(h), size):
        torch.mm(norm(h[piece]), to_inner.T, out=store.inner[piece])
        store.first[piece] = walk.read(store.inner[piece])
    if mixer.direction == "mil_sr":
        _add_reordered(h, norm, mixer, size, store)
        return
    walk = _Walk(branch_of(mixer, "_b"), mixer.backend, reverse=True)
    for piece in _pieces(len(h), size, backwards=True):
        y = walk.read(store.inner[piece]).add_(store.first[piece])
        y *= functional.silu(functional.linear(norm(h[piece]), to_gate), inplace=True)
        h[piece] += mixer.out_proj(y)


def _add_reordered(
    h: Tensor, norm: nn.Module, mixer: TwoBranchMamba, size: int, store: _Store
) -> None:
    """Add the second branch of a reordering layer, and the first that is kept in ``store``."""
    to_gate = mixer.in_proj.weight.chunk(2)[1]
    steps_on_empty = mixer.pad_mode == "reference"
    found = reorder(len(h), mixer.rate, device=h.device, keep_padding=steps_on_empty)
    empty = found.empty if steps_on_empty else None if found.keep is None else ~found.keep
    walk = _Walk(branch_of(mixer, "_b"), mixer.backend)
    for piece in _pieces(found.source.shape[1], size):
        tokens = found.source[0, piece]
        u = store.inner[tokens]
        real = None if empty is None or not bool(empty[0, piece].any()) else ~empty[0, piece]
        if real is not None:  # the convolution reads an empty place as zero
            u = u.masked_fill(~real[:, None], 0)
        y = walk.read(u, mask=None if steps_on_empty else real)
        if real is not None:
            tokens, y = tokens[real], y[real]
        y = store.first[tokens].add_(y)
        rows = h[tokens]
        y *= functional.silu(functional.linear(norm(rows), to_gate), inplace=True)
        h[tokens] = rows.add_(mixer.out_proj(y))
