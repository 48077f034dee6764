"""Losses of a next-item model: exact softmax, plain or in blocks, and sampled ones.

All take vectors h (M, D), item vectors (V, D) and targets (M,) numbered 1..V, and return the mean.
Source: recommendation specification, 4.2.
"""

import math
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["LossName", "bpr", "chunked_logsumexp", "gbce", "resolve_loss", "sampled_softmax"]
__all__ += ["softmax", "softmax_chunked"]

LossName = Literal["softmax", "softmax_chunked", "sampled", "gbce", "bpr"]
CHUNK = 8192
LOGIT_BYTES = 512 * 2**20  # above this the logits are computed in blocks
MANY_ITEMS = 1_000_000


def resolve_loss(n_targets: int, n_items: int) -> LossName:
    """Return the loss that ``"auto"`` stands for, by targets per step and items."""
    if n_items > MANY_ITEMS:
        return "sampled"
    return "softmax" if n_targets * n_items * 4 < LOGIT_BYTES else "softmax_chunked"


def softmax(h: Tensor, items: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the mean of -s_y + logsumexp over all items."""
    return functional.cross_entropy(h @ items.T, targets - 1, label_smoothing=smoothing)


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
    h: Tensor, items: Tensor, targets: Tensor, n_negatives: int, weights: Tensor | None = None
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


def gbce(h: Tensor, items: Tensor, targets: Tensor, n_negatives: int, t: float = 0.75) -> Tensor:
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


def bpr(h: Tensor, items: Tensor, targets: Tensor, histories: Tensor) -> Tensor:
    """Return -log sigmoid(s_y - s_j) with one uniform negative outside the row's history.

    ``histories`` (M, L) holds item numbers, 0 = none. A row that drew only items of its history in
    eight tries keeps the last. RecBole adds 1e-10 inside the logarithm; log-sigmoid needs none.
    """
    drawn = torch.randint(1, len(items) + 1, (len(h),), device=h.device)
    for _ in range(8):
        known = (histories == drawn[:, None]).any(1) | (drawn == targets)
        fresh = torch.randint(1, len(items) + 1, (len(h),), device=h.device)
        drawn = torch.where(known, fresh, drawn)
    margin = (h * (items[targets - 1] - items[drawn - 1])).sum(-1)
    return -functional.logsigmoid(margin).mean()


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
