"""Tokens: delay embedding of every channel, cut into patches and mapped to the width."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["Pad", "PatchTokens", "delay_embed", "patches"]

Pad = Literal["edge", "zero", "context"]


def delay_embed(x: Tensor, dim: int, lag: int) -> Tensor:
    """Return ``(x[t - (m-1) lag], ..., x[t - lag], x[t])`` of every row that has them.

    Parameters
    ----------
    x : Tensor (B, W, V)
    dim, lag : int
        m and tau.

    Returns
    -------
    Tensor (B, W - (m - 1) lag, V, m)

    Examples
    --------
    >>> delay_embed(torch.arange(6.0).reshape(1, 6, 1), 3, 2)[0, 0].tolist()
    [[0.0, 2.0, 4.0]]
    """
    kept = x.shape[1] - (dim - 1) * lag
    return torch.stack([x[:, i * lag : i * lag + kept] for i in range(dim)], dim=-1)


def patches(embedded: Tensor, patch: int) -> Tensor:
    """Cut (B, T, V, m) into tokens (B, T / p, V * m * p): channel, then lag, then time."""
    batch, rows, channels, dim = embedded.shape
    cut = embedded.reshape(batch, rows // patch, patch, channels, dim)
    return cut.permute(0, 1, 3, 4, 2).flatten(2)


class PatchTokens(nn.Module):
    """Delay embedding, patches, linear, positions, dropout: (B, lead + T, V) -> (B, T / p, D).

    Parameters
    ----------
    lead : int
        Rows of the input before the first token; the embedding needs (m - 1) lag of them.
    pad : {"edge", "zero", "context"}
        What the embedding takes for rows before the context: its first row, zeros (the paper), or
        the real rows.
    """

    def __init__(
        self,
        channels: int,
        d_model: int,
        *,
        patch: int,
        delay_dim: int,
        delay_lag: int,
        lead: int,
        pad: Pad,
        dropout: float,
    ) -> None:
        super().__init__()
        self.patch, self.delay_dim, self.delay_lag = patch, delay_dim, delay_lag
        self.lead, self.pad = lead, pad
        self.project = nn.Linear(channels * delay_dim * patch, d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Embed; a context that is no multiple of the patch loses its oldest rows."""
        back = (self.delay_dim - 1) * self.delay_lag
        own = x[:, self.lead :]
        own = own[:, own.shape[1] % self.patch :]
        past = x[:, x.shape[1] - own.shape[1] - back : x.shape[1] - own.shape[1]]
        if self.pad == "zero":
            past = torch.zeros_like(past)
        elif self.pad == "edge":
            past = own[:, :1].expand_as(past)
        h = self.project(
            patches(
                delay_embed(torch.cat([past, own], 1), self.delay_dim, self.delay_lag), self.patch
            )
        )
        out: Tensor = self.dropout(h + positions(h.shape[1], h.shape[2]).to(h))
        return out


def positions(length: int, d_model: int) -> Tensor:
    """Return fixed sinusoids: sine on even, cosine on odd components: (length, d_model)."""
    step = torch.arange(length, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10_000.0) / d_model))
    table = torch.zeros(length, d_model)
    table[:, 0::2] = torch.sin(step * rate)
    table[:, 1::2] = torch.cos(step * rate)[:, : d_model // 2]
    return table
