"""Index maps of token orders over the real part of each row: partial flip and reordering."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Order", "partial_flip_order", "reorder", "take"]


class Order(NamedTuple):
    """How to reorder the tokens of a batch, and how to come back."""

    source: Tensor  # (B or 1, S): old position of each new one
    empty: Tensor | None  # (B or 1, S) bool: True at a place without token that is read as zero
    keep: Tensor | None  # (B or 1, S) bool: False at a place that is not read
    inverse: Tensor  # (B or 1, L): new position of each old one


def take(x: Tensor, source: Tensor) -> Tensor:
    """Return ``x`` (B, L, C) in another order; ``source`` (B or 1, S) -> (B, S, C)."""
    if source.shape[0] == 1 and x.shape[0] != 1:
        return x.index_select(1, source[0])
    return x.gather(1, source.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


def partial_flip_order(
    length: int,
    keep_last: int,
    *,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Return the source (B or 1, L) that reverses all real tokens but the last ``keep_last``.

    Padding and holes stay where they are; the map is its own inverse.
    Source: SIGMA, arXiv 2408.11451; recommendation specification, 3.4.
    """
    position, rank, count, real = _ranks(length, mask, lengths, device)
    turned = count - keep_last  # (B, 1)
    flipped = torch.where(rank < turned, turned - 1 - rank, rank)
    source = position.gather(1, flipped.clamp(0, length - 1))
    return torch.where(real, source, torch.arange(length, device=source.device))


def reorder(
    length: int,
    rate: int,
    *,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    device: torch.device | None = None,
    keep_padding: bool = False,
) -> Order:
    """Return the order that reads each row column by column out of lines of ``rate`` tokens.

    A row of n real tokens fills k = ceil(n / rate) lines; new position ``j * k + i`` takes token
    number ``i * rate + j``. Source: MambaMIL, arXiv 2403.06800; kernels specification, 5.

    Parameters
    ----------
    length : int
        L, the padded length.
    rate : int
    mask, lengths : Tensor, optional
        Which tokens are real; at most one of the two.
    device : torch.device, optional
    keep_padding : bool
        Treat the empty places of the last line as tokens, as the released code does.
    """
    rate = min(rate, length)  # one line for every row in either case
    position, rank, count, real = _ranks(length, mask, lengths, device)
    lines = torch.div(count + rate - 1, rate, rounding_mode="floor").clamp(min=1)  # (B, 1)
    slot = torch.arange(-(-length // rate) * rate, device=position.device)
    token = slot % lines * rate + torch.div(slot, lines, rounding_mode="floor")  # rank, (B, S)
    filled = slot < lines * rate
    known = token < count
    source = position.gather(1, token.clamp(max=length - 1))
    inverse = rank % rate * lines + torch.div(rank, rate, rounding_mode="floor")
    inverse = torch.where(real, inverse, 0)
    same = mask is None and lengths is None  # every row is full
    if keep_padding:
        return Order(source, filled & ~known, None if same else filled, inverse)
    return Order(source, None, None if same and length % rate == 0 else filled & known, inverse)


def _ranks(
    length: int, mask: Tensor | None, lengths: Tensor | None, device: torch.device | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return position of real token number r, number of the token at a position, count, and where.

    Shapes (B or 1, L), the count (B or 1, 1).
    """
    arange = torch.arange(length, device=device)
    if mask is not None:
        arange = arange.to(mask.device)
        rank = mask.cumsum(1) - 1
        position = torch.argsort(~mask, dim=1, stable=True)
        return position, rank.clamp(min=0), mask.sum(1, keepdim=True), mask
    count = arange.new_full((1, 1), length) if lengths is None else lengths.long().unsqueeze(1)
    arange = arange.to(count.device).expand(count.shape[0], -1)
    return arange, arange, count, arange < count
