"""A Mamba-1 block written token by token, from the kernels specification, sections 1.2, 2 and 3."""

from collections.abc import Callable, Mapping
from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.nn import functional

PlainBranch = Callable[..., Tensor]
Order = list[int]


@pytest.fixture
def plain_branch() -> PlainBranch:
    """Return the branch between the projections of one row: xz (L, 2E) -> gated y (L, E)."""

    def branch(
        weights: Mapping[str, Tensor],
        xz: Tensor,
        order: Order | None = None,
        suffix: Literal["", "_b"] = "",
    ) -> Tensor:
        order = list(range(len(xz))) if order is None else order
        x, z = xz.chunk(2, -1)
        conv, conv_bias = weights[f"conv1d{suffix}.weight"], weights[f"conv1d{suffix}.bias"]
        A = -torch.exp(weights[f"A{suffix}_log"])
        rank, taps = weights[f"dt_proj{suffix}.weight"].shape[1], conv.shape[-1]
        h = torch.zeros_like(A)
        y = dict[int, Tensor]()
        for place, token in enumerate(order):
            u = conv_bias
            for k in range(taps):
                before = place - taps + 1 + k
                u = u if before < 0 else u + conv[:, 0, k] * x[order[before]]
            u = functional.silu(u)
            low = weights[f"x_proj{suffix}.weight"] @ u
            dt, B, C = torch.split(low, [rank, *[A.shape[1]] * 2])
            raw = weights[f"dt_proj{suffix}.weight"] @ dt + weights[f"dt_proj{suffix}.bias"]
            step = functional.softplus(raw).unsqueeze(-1)
            h = torch.exp(step * A) * h + step * u.unsqueeze(-1) * B
            out = h @ C + weights[f"D{suffix}"] * u
            y[token] = out * functional.silu(z[token])
        return torch.stack([y[token] for token in range(len(xz))])

    return branch


@pytest.fixture
def plain_mamba(plain_branch: PlainBranch) -> PlainBranch:
    """Return a whole block over a batch: weights, x (B, L, D), order -> (B, L, D)."""

    def mamba(weights: Mapping[str, Tensor], x: Tensor, order: Order | None = None) -> Tensor:
        xz = x @ weights["in_proj.weight"].T
        y = torch.stack([plain_branch(weights, row, order) for row in xz])
        return y @ weights["out_proj.weight"].T

    return mamba
