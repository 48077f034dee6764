"""Padded, packed or reversed tokens as plain rows in scan order, and index maps of token orders."""

from dataclasses import dataclass

import torch
from torch import Tensor

from seqmamba.kernels.problem import Conv

__all__ = ["Runs", "conv_last_state", "inverse_index", "partial_flip_index", "runs_of", "sr_index"]


@dataclass(frozen=True, slots=True)
class Runs:
    """How the tokens of a call form independent rows in scan order.

    S rows of T tokens: T = L, or the longest segment of a packed call.
    """

    index: Tensor | None  # (S, T): position along L of each token in scan order
    inverse: Tensor | None  # packed only, (L,): place of each token in the flattened rows
    keep: Tensor | None  # (S, T) bool: False at padding
    flipped: bool  # whole rows are reversed and no index is needed

    def take(self, x: Tensor) -> Tensor:
        """Return (B, L, ...) as rows (S, T, ...), zero at padding."""
        if self.inverse is not None and self.index is not None:
            x = x[0, self.index]
        elif self.index is not None:
            x = x.gather(1, _spread(self.index, x))
        elif self.flipped:
            x = x.flip(1)
        return x if self.keep is None else torch.where(_spread(self.keep, x), x, 0)

    def give(self, rows: Tensor) -> Tensor:
        """Return rows (S, T, ...) as (B, L, ...), zero at padding."""
        if self.keep is not None:
            rows = torch.where(_spread(self.keep, rows), rows, 0)
        if self.inverse is not None:
            return rows.flatten(0, 1)[self.inverse].unsqueeze(0)
        if self.index is not None:
            return rows.gather(1, _spread(self.index, rows))
        return rows.flip(1) if self.flipped else rows


def runs_of(
    x: Tensor,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    mask: Tensor | None = None,
    reverse: bool = False,
) -> Runs:
    """Return the rows of tokens x (B, L, ...)."""
    length = x.shape[1]
    if cu_seqlens is not None:
        return _packed_runs(cu_seqlens, length, reverse)
    if lengths is not None:
        keep = torch.arange(length, device=x.device) < lengths[:, None]
        index = partial_flip_index(lengths, length) if reverse else None
        return Runs(index, None, keep, flipped=False)
    keep_rows = mask.flip(1) if mask is not None and reverse else mask
    return Runs(None, None, keep_rows, flipped=reverse)


def conv_last_state(call: Conv) -> Tensor:
    """Return the last W inputs of each run in scan order, (S, E, W), zeros at masked tokens.

    Tokens before the start of a run come from ``initial_state``, or are 0.
    """
    taps, length = call.weight.shape[1], call.x.shape[1]
    device = call.x.device
    rows = 1 if call.cu_seqlens is not None else call.x.shape[0]
    start = torch.zeros(rows, dtype=torch.int64, device=device)
    count = torch.full((rows,), length, device=device) if call.lengths is None else call.lengths
    if call.cu_seqlens is not None:
        start, count = call.cu_seqlens[:-1], call.cu_seqlens.diff()
    order = count[:, None] - taps + torch.arange(taps, device=device)  # (S, W), scan order
    before = call.initial_state
    if before is None:
        before = call.x.new_zeros(count.shape[0], call.x.shape[2], taps)
    old = before.gather(2, _spread_middle((order + taps).clamp(max=taps - 1), before))
    if length == 0:
        return old
    seen = order.clamp(min=0)
    place = start[:, None] + (count[:, None] - 1 - seen if call.reverse else seen)
    place = place.clamp(0, length - 1).long()
    x = call.x if call.mask is None else torch.where(call.mask[..., None], call.x, 0)
    recent = x[0, place] if call.cu_seqlens is not None else x.gather(1, _spread(place, x))
    return torch.where((order >= 0)[:, None, :], recent.transpose(1, 2), old)


def partial_flip_index(lengths: Tensor, length: int, keep_last: int = 0) -> Tensor:
    """Return the order that reverses the first ``lengths - keep_last`` tokens of each row.

    The last ``keep_last`` valid tokens and the padding stay in place; the map is its own inverse.
    Source: SIGMA, arXiv 2408.11451.

    Parameters
    ----------
    lengths : Tensor (B,), integer
    length : int
        L, the padded length.
    keep_last : int >= 0

    Returns
    -------
    Tensor (B, L), int64
        New position t takes old position ``index[b, t]``.
    """
    position = torch.arange(length, device=lengths.device)
    turned = (lengths.long() - keep_last)[:, None]
    return torch.where(position < turned, turned - 1 - position, position)


def sr_index(length: int, rate: int, device: torch.device | None = None) -> Tensor:
    """Return the order that reads a sequence column by column out of rows of ``rate`` tokens.

    The sequence is thought padded to k = ceil(length / rate) rows; new position ``j * k + i`` takes
    old position ``i * rate + j``. Source: MambaMIL, arXiv 2403.06800.

    Parameters
    ----------
    length, rate : int
    device : torch.device or None

    Returns
    -------
    Tensor (k * rate,), int64
        A permutation of ``range(k * rate)``; values of ``length`` or more are padding.
    """
    rows = -(-length // rate)
    return torch.arange(rows * rate, device=device).view(rows, rate).t().reshape(-1)


def inverse_index(index: Tensor) -> Tensor:
    """Return the inverse of a permutation (T,)."""
    inverse = torch.empty_like(index)
    inverse[index] = torch.arange(index.shape[0], device=index.device)
    return inverse


def _packed_runs(cu_seqlens: Tensor, length: int, reverse: bool) -> Runs:
    start, count = cu_seqlens[:-1].long(), cu_seqlens.diff().long()
    longest = int(count.max()) if count.numel() else 0
    offset = torch.arange(longest, device=cu_seqlens.device)
    keep = offset < count[:, None]
    index = start[:, None] + torch.where(
        keep, count[:, None] - 1 - offset if reverse else offset, 0
    )
    index = index.clamp(max=max(length - 1, 0))
    inverse = torch.zeros(length, dtype=torch.int64, device=cu_seqlens.device)
    inverse[index[keep]] = torch.arange(keep.numel(), device=inverse.device)[keep.flatten()]
    return Runs(index, inverse, keep, flipped=False)


def _spread(index: Tensor, x: Tensor) -> Tensor:
    """Give (S, T) trailing axes so that it fits x (S, T, ...)."""
    index = index.view(*index.shape, *[1] * (x.ndim - 2))
    return index if index.dtype == torch.bool else index.expand(*index.shape[:2], *x.shape[2:])


def _spread_middle(index: Tensor, x: Tensor) -> Tensor:
    """Give (S, W) the channel axis of x (S, E, W)."""
    return index.long().unsqueeze(1).expand(-1, x.shape[1], -1)
