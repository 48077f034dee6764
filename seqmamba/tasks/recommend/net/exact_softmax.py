"""Exact softmax over all items, rows in blocks that stay in the processor's cache."""

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["exact_softmax"]

CACHE_BLOCK = 2**19  # logits at a time: 2 MiB of float32
DEVICE_BLOCK = 2**26  # an accelerator wants few large calls
FEWEST_ROWS = 32  # below it a matrix product is as slow as that many products with a vector


def exact_softmax(
    h: Tensor, items: Tensor, targets: Tensor, smoothing: float = 0.0, block: int | None = None
) -> Tensor:
    r"""Return the mean cross-entropy of ``targets`` under the scores ``h @ items.T``: ().

    .. math:: \frac1M \sum_m \Big[\log \sum_i e^{s_{mi}} - (1 - \epsilon) s_{m y_m}
              - \frac{\epsilon}{V} \sum_i s_{mi}\Big]

    The gradient of a mean of cross-entropies is known as soon as its value is, so both are computed
    block by block in the forward pass: each logit is made once and never leaves the cache, and the
    memory is that of one block. Differentiable once.

    Parameters
    ----------
    h : Tensor (M, D)
    items : Tensor (V, D)
    targets : Tensor (M,) int64
        1..V.
    smoothing : float
        Share of the target that is spread over all items.
    block : int or None
        Logits at a time; the value does not depend on it. None = by device.
    """
    if block is None:
        block = CACHE_BLOCK if h.device.type == "cpu" else DEVICE_BLOCK
    wide = torch.promote_types(torch.promote_types(h.dtype, items.dtype), torch.float32)
    with torch.autocast(h.device.type, enabled=False):  # sums of exponentials need float32
        loss: Tensor = _ExactSoftmax.apply(  # type: ignore[no-untyped-call]  # torch's
            h.to(wide), items.to(wide), targets - 1, smoothing, block
        )
    return loss


class _ExactSoftmax(torch.autograd.Function):
    """Value and gradients in one walk over blocks of rows."""

    @staticmethod
    def forward(
        ctx: Any, h: Tensor, items: Tensor, targets: Tensor, smoothing: float, block: int
    ) -> Tensor:
        n_rows = max(len(h), 1)
        step = max(block // len(items), min(block, FEWEST_ROWS))
        needs_gradient = any(ctx.needs_input_grad)
        h_grad = torch.empty_like(h) if needs_gradient else None
        items_grad = torch.zeros_like(items) if needs_gradient else None
        total = h.new_zeros(())
        for start in range(0, len(h), step):
            rows, wanted = h[start : start + step], targets[start : start + step, None]
            scores = rows @ items.T  # (step, V)
            total -= (1 - smoothing) * scores.gather(1, wanted).sum()
            if smoothing:
                total -= smoothing * scores.mean(1).sum()
            peak = scores.amax(1, keepdim=True)
            shares = scores.sub_(peak).exp_()
            mass = shares.sum(1, keepdim=True)
            total += (peak + mass.log()).sum()
            if h_grad is None or items_grad is None:
                continue
            shares *= 1 / (mass * n_rows)
            if smoothing:
                shares -= smoothing / (len(items) * n_rows)
            shares.scatter_add_(1, wanted, shares.new_full(wanted.shape, -(1 - smoothing) / n_rows))
            torch.mm(shares, items, out=h_grad[start : start + step])
            items_grad.addmm_(shares.T, rows)
        ctx.save_for_backward(h_grad, items_grad)
        return total / n_rows if len(h) else total + math.nan

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        h_grad, items_grad = ctx.saved_tensors
        return h_grad * grads[0], items_grad * grads[0], None, None, None
