"""Learning-rate schedules and the rule of weight decay."""

import pytest
import torch
from torch import nn

from seqmamba.train.optim import make_optimizer, schedule_factor


@pytest.mark.parametrize(("epoch", "factor"), [(0, 1), (1, 1), (2, 0.5), (3, 0.25), (9, 2**-8)])
def test_halve_keeps_two_epochs_then_halves(epoch: int, factor: float) -> None:
    # S-Mamba's released schedule: lr0 * 0.5 ** (e - 1) is set after epoch e = 1, 2, ...
    assert schedule_factor("halve", epoch, 0.5, 10) == factor


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_warm_schedules_rise_then_fall_to_zero(name: str) -> None:
    factors = [schedule_factor(name, e, s, 10) for e in range(10) for s in (0.0, 0.5)]  # type: ignore[arg-type]  # a Literal

    assert factors[0] < factors[1] == pytest.approx(1.0)
    assert factors[1:] == sorted(factors[1:], reverse=True)
    assert schedule_factor(name, 9, 0.999, 10) < 0.01  # type: ignore[arg-type]  # a Literal


def test_marked_parameters_and_vectors_do_not_decay() -> None:
    net = nn.Linear(3, 3)
    marked = nn.Parameter(torch.ones(2, 2))
    marked._no_weight_decay = True  # type: ignore[attr-defined]  # mamba-ssm's mark
    net.register_parameter("A_log", marked)

    groups = make_optimizer(net, "adamw", 1e-3, 0.1).param_groups

    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decays == {id(net.weight): 0.1, id(net.bias): 0.0, id(marked): 0.0}
