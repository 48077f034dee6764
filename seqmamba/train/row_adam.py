"""Adam for a table of which each step touches few rows."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["RowAdam", "stored_values"]


class RowAdam(torch.optim.AdamW):
    """AdamW whose sparse gradients move the touched rows and their moments only.

    Dense gradients are left to AdamW; sparse ones follow the rule of ``torch.optim.SparseAdam``,
    without weight decay. A step on a table of V rows then costs what it touches, not V.
    """

    def step(self, closure: Any = None) -> Any:
        """Update all parameters that have a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    self._move_rows(parameter, group)
                    parameter.grad = None  # AdamW passes it by
        return super().step(closure)

    @torch.no_grad()
    def _move_rows(self, table: Tensor, group: dict[str, Any]) -> None:
        assert table.grad is not None
        grad = table.grad.coalesce()
        rows, values = grad.indices()[0], grad.values()
        state = self.state[table]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(table)
            state["exp_avg_sq"] = torch.zeros_like(table)
        state["step"] += 1
        (beta1, beta2), step = group["betas"], float(state["step"])
        mean = state["exp_avg"][rows].lerp(values, 1 - beta1)
        square = state["exp_avg_sq"][rows].lerp(values * values, 1 - beta2)
        state["exp_avg"][rows], state["exp_avg_sq"][rows] = mean, square
        rate = group["lr"] * (1 - beta2**step) ** 0.5 / (1 - beta1**step)
        table.index_add_(0, rows, mean / (square.sqrt() + group["eps"]), alpha=-rate)


def stored_values(parameter: Tensor) -> Tensor:
    """Return the gradient of a parameter, or the stored rows of a sparse one."""
    assert parameter.grad is not None
    if not parameter.grad.is_sparse:
        return parameter.grad
    parameter.grad = parameter.grad.coalesce()
    return parameter.grad.values()
