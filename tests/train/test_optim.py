"""Learning-rate schedules and the rule of weight decay."""

import pytest
import torch
from torch import nn

from seqmamba.train.optim import make_optimizer, schedule_factor
from seqmamba.train.row_adam import stored_values


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


def test_one_cycle_rises_for_a_quarter() -> None:
    factors = [schedule_factor("one_cycle", e, 0.0, 8) for e in range(8)]

    assert factors[:3] == [0.01, 0.5, 1.0]
    assert factors[2:] == sorted(factors[2:], reverse=True)
    assert schedule_factor("one_cycle", 7, 0.999, 8) < 0.01


def test_marked_parameters_and_vectors_do_not_decay() -> None:
    net = nn.Linear(3, 3)
    marked = nn.Parameter(torch.ones(2, 2))
    marked._no_weight_decay = True  # type: ignore[attr-defined]  # mamba-ssm's mark
    net.register_parameter("A_log", marked)

    groups = make_optimizer(net, "adamw", 1e-3, 0.1).param_groups

    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decays == {id(net.weight): 0.1, id(net.bias): 0.0, id(marked): 0.0}


def test_sparse_gradients_move_the_touched_rows_as_torch_does() -> None:
    torch.manual_seed(0)
    ours, theirs = (nn.Embedding(6, 2, sparse=True) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    untouched = ours.weight[5].clone()
    mine = make_optimizer(ours, "adamw", 0.1, 0.5)
    reference = torch.optim.SparseAdam(theirs.parameters(), lr=0.1)

    for indices in ([0, 1, 1], [1, 4], [0, 2, 3]):
        for table, optimizer in ((ours, mine), (theirs, reference)):
            optimizer.zero_grad()
            (table(torch.tensor(indices)) ** 2).sum().backward()
            optimizer.step()

    torch.testing.assert_close(ours.weight, theirs.weight)
    assert ours.weight[5].equal(untouched)


def test_the_norm_of_a_sparse_gradient_is_that_of_the_dense_one() -> None:
    table = nn.Embedding(6, 2, sparse=True)
    table(torch.tensor([1, 1, 3])).sum().backward()
    dense = table.weight.grad

    assert dense is not None
    assert stored_values(table.weight).norm() == dense.to_dense().norm()
