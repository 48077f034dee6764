"""Losses of a next-item model: exact softmax, plain or in blocks, and sampled ones.

All take vectors h (M, D), item vectors (V, D) and targets (M,) numbered 1..V, and return the mean.
Source: recommendation specification, 4.2.
"""

import math
from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from seqmamba.tasks.recommend.net.exact_softmax import exact_softmax

__all__ = [
    "SAMPLED",
    "LossName",
    "Rows",
    "bpr",
    "chunked_logsumexp",
    "gbce",
    "resolve_loss",
    "sampled_softmax",
]
__all__ += ["softmax", "softmax_chunked"]

LossName = Literal["softmax", "softmax_chunked", "sampled", "gbce", "bpr"]
SAMPLED: tuple[LossName, ...] = ("sampled", "gbce", "bpr")  # read a few rows of the item table
CHUNK = 8192
LOGIT_BYTES = 512 * 2**20  # above this the logits are computed in blocks
MANY_ITEMS = 1_000_000


class Rows(Protocol):
    """Item vectors (V, D) that are looked up: a tensor, or a table with sparse gradients."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Tensor, /) -> Tensor: ...


def resolve_loss(n_targets: int, n_items: int) -> LossName:
    """Return the loss that ``"auto"`` stands for, by targets per step and items."""
    if n_items > MANY_ITEMS:
        return "sampled"
    return "softmax" if n_targets * n_items * 4 < LOGIT_BYTES else "softmax_chunked"


def softmax(h: Tensor, items: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the mean of -s_y + logsumexp over all items."""
    return exact_softmax(h, items, targets, smoothing)


def softmax_chunked(
    h: Tensor, items: Tensor, targets: Tensor, smoothing: float = 0.0, chunk: int = CHUNK
) -> Tensor:
    """Return the value of :func:`softmax` in M * chunk memory; backward recomputes the logits."""
    own = (h * items[targets - 1]).sum(-1)
    loss = chunked_logsumexp(h, items, chunk) - (1 - smoothing) * own
    if smoothing:
        loss = loss - smoothing * (h @ items.mean(0))
    return loss.mean()


def chunked_logsumexp(h: Tensor, items: Tensor, chunk: int = CHUNK) -> Tensor:
    """Return logsumexp over items of ``h @ items.T``, item block by item block: (M,)."""
    out: Tensor = _ChunkedLogSumExp.apply(h, items, chunk)  # type: ignore[no-untyped-call]  # torch's
    return out


def sampled_softmax(
    h: Tensor, items: Rows, targets: Tensor, n_negatives: int, weights: Tensor | None = None
) -> Tensor:
    """Return softmax over the target and negatives that the batch shares, corrected for sampling.

    Negatives are drawn with replacement from q, uniform or proportional to ``weights`` (V,); their
    logits are lowered by log(k q), and those that hit a row's own target are left out.
    """
    n_items = len(items)
    if weights is None:
        drawn = torch.randint(n_items, (n_negatives,), device=h.device)
        expected = torch.full_like(drawn, 1, dtype=h.dtype) * (n_negatives / n_items)
    else:
        drawn = torch.multinomial(weights, n_negatives, replacement=True)
        expected = weights[drawn] / weights.sum() * n_negatives
    logits = h @ items[drawn].T - expected.log()  # (M, k)
    logits = logits.masked_fill(drawn == (targets - 1)[:, None], -math.inf)
    own = (h * items[targets - 1]).sum(-1, keepdim=True)
    return (torch.cat([own, logits], 1).logsumexp(1) - own[:, 0]).mean()


def gbce(h: Tensor, items: Rows, targets: Tensor, n_negatives: int, t: float = 0.75) -> Tensor:
    r"""Return generalised binary cross-entropy with k uniform negatives per row.

    .. math:: -\frac{1}{k+1}\Big[\beta \log\sigma(s_y) + \sum_j \log(1 - \sigma(s_j))\Big],
              \quad \beta = \alpha (t (1 - 1/\alpha) + 1/\alpha), \quad \alpha = k / (V - 1)

    Source: gSASRec, arXiv 2308.07192. t = 0 is plain binary cross-entropy.
    """
    alpha = n_negatives / max(len(items) - 1, 1)
    beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
    drawn = torch.randint(len(items), (len(h), n_negatives), device=h.device)
    negative = torch.einsum("md,mkd->mk", h, items[drawn])
    own = (h * items[targets - 1]).sum(-1)
    total = beta * functional.logsigmoid(own) + functional.logsigmoid(-negative).sum(1)
    return -total.mean() / (n_negatives + 1)


def bpr(h: Tensor, items: Rows, targets: Tensor, histories: Tensor) -> Tensor:
    """Return -log sigmoid(s_y - s_j) with one uniform negative outside the row's history.

    ``histories`` (M, L) holds item numbers, 0 = none. RecBole adds 1e-10 inside the logarithm;
    log-sigmoid needs none.
    """
    known = torch.cat([histories, targets[:, None]], 1)
    drawn = _draw_outside(known, len(items))
    margin = (h * (items[targets - 1] - items[drawn - 1])).sum(-1)
    return -functional.logsigmoid(margin).mean()


def _draw_outside(known: Tensor, n_items: int) -> Tensor:
    """Draw one item per row, uniformly from those that are not ``known`` (M, L), 0 = none: (M,).

    Number r of the free items is r + #{j: k_j - j <= r} for the known ones k_0 < k_1 < ... of the
    row (all counted from 0).
    """
    taken = known.sort(1).values
    repeated = torch.zeros_like(taken, dtype=torch.bool)
    repeated[:, 1:] = taken[:, 1:] == taken[:, :-1]
    taken = taken.masked_fill(repeated | (taken == 0), 2 * n_items).sort(1).values - 1
    n_free = n_items - (taken < n_items).sum(1)
    r = (torch.rand(len(known), device=known.device) * n_free).long()
    steps = torch.arange(taken.shape[1], device=known.device)
    drawn = r + (taken - steps <= r[:, None]).sum(1)
    return drawn.clamp(max=n_items - 1) + 1  # a row that knows everything gets the last item


class _ChunkedLogSumExp(torch.autograd.Function):
    """Running maximum and sum over blocks of items; backward recomputes each block."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, items: Tensor, chunk: int) -> Tensor:
        total = h.new_full((len(h),), -math.inf)
        for start in range(0, len(items), chunk):
            total = torch.logaddexp(total, (h @ items[start : start + chunk].T).logsumexp(1))
        ctx.save_for_backward(h, items, total)
        ctx.chunk = chunk
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        h, items, total = ctx.saved_tensors
        h_grad, items_grad = torch.zeros_like(h), torch.empty_like(items)
        for start in range(0, len(items), ctx.chunk):
            block = items[start : start + ctx.chunk]
            share = torch.exp(h @ block.T - total[:, None]) * grads[0][:, None]  # (M, chunk)
            h_grad += share @ block
            items_grad[start : start + ctx.chunk] = share.T @ h
        return h_grad, items_grad, None
