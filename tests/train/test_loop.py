"""The training loop keeps the best weights, stops in time and repeats itself bit for bit."""

import math
import os
import signal
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from seqmamba.errors import SeqmambaWarning, TrainingDivergedError
from seqmamba.train.callbacks import Callback, State
from seqmamba.train.loop import mean_loss, run
from seqmamba.train.seeds import order_generator
from seqmamba.train.settings import Settings

SETTINGS = Settings(learning_rate=0.02, batch_size=16, max_epochs=5)


class SignalAt(Callback):
    """Interrupts the run at one step, as Ctrl-C does."""

    def __init__(self, step: int, number: int = signal.SIGINT) -> None:
        self.step, self.number = step, number

    def on_step(self, state: State) -> None:
        if state.step == self.step:
            os.kill(os.getpid(), self.number)


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def test_training_lowers_the_loss(samples: Any, make_net: Any, loss: Any) -> None:
    train, valid = samples.split(16)
    net = make_net()
    before = mean_loss(loss, "cpu", 64)(net.eval(), valid)

    history = run(net, loss, train, valid, settings=replace(SETTINGS, max_epochs=30))

    assert history.best < 0.5 * before


def test_same_seed_gives_the_same_bits(samples: Any, make_net: Any, loss: Any) -> None:
    train, valid = samples.split(16)
    first, second = make_net(), make_net()

    one = run(first, loss, train, valid, settings=SETTINGS, seed=3)
    torch.rand(7)  # unrelated use of the global generator
    two = run(second, loss, train, valid, settings=SETTINGS, seed=3)

    assert same_weights(first, second)
    assert one.table().drop("seconds").equals(two.table().drop("seconds"))


def test_global_generator_is_left_as_found(samples: Any, make_net: Any, loss: Any) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)

    torch.manual_seed(5)
    run(make_net(), loss, samples, None, settings=SETTINGS)

    assert torch.equal(torch.rand(1), expected)


def test_best_weights_are_kept(samples: Any, make_net: Any, loss: Any) -> None:
    train, valid = samples.split(16)
    wild = replace(SETTINGS, learning_rate=0.5, max_epochs=8)
    net = make_net()

    history = run(net, loss, train, valid, settings=wild)

    assert mean_loss(loss, "cpu", 256)(net, valid) == pytest.approx(history.best, abs=0)
    assert history.best == min(row["objective"] for row in history.rows)


def test_last_weights_are_kept_when_asked(samples: Any, make_net: Any, loss: Any) -> None:
    train, valid = samples.split(16)
    scores = iter([3.0, 1.0, 2.0, 2.5])
    judged, unjudged = make_net(), make_net()
    settings = replace(SETTINGS, keep="last", max_epochs=4, patience=1)

    history = run(
        judged, loss, train, valid, settings=settings, objective=lambda net, part: next(scores)
    )
    run(unjudged, loss, train, None, settings=settings)

    assert (history.best_epoch, history.best) == (4, 2.5)
    assert same_weights(judged, unjudged)


def test_training_stops_when_patience_ends(samples: Any, make_net: Any, loss: Any) -> None:
    train, valid = samples.split(16)
    scores = iter([3.0, 2.0, 2.5, 2.6, 1.0])

    history = run(
        make_net(),
        loss,
        train,
        valid,
        settings=replace(SETTINGS, patience=2),
        objective=lambda net, part: next(scores),
    )

    assert [row["epoch"] for row in history.rows] == [1, 2, 3, 4]
    assert (history.best_epoch, history.best) == (2, 2.0)


def test_untrained_network_is_a_candidate_when_asked(
    samples: Any, make_net: Any, loss: Any
) -> None:
    train, valid = samples.split(16)
    net, untrained = make_net(), make_net()
    scores = iter([1.0, 2.0, 2.0, 2.0])

    history = run(
        net,
        loss,
        train,
        valid,
        settings=replace(SETTINGS, patience=3, start_is_candidate=True),
        objective=lambda net, part: next(scores),
    )

    assert history.best_epoch == 0
    assert same_weights(net, untrained)


def test_objective_does_not_depend_on_batch_size(samples: Any, make_net: Any, loss: Any) -> None:
    net = make_net().eval()

    values = [mean_loss(loss, "cpu", size)(net, samples) for size in (1, 7, 64)]

    assert values == pytest.approx([values[0]] * 3, rel=1e-6)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_interrupt_keeps_best_weights_and_warns(
    samples: Any, make_net: Any, loss: Any, number: int
) -> None:
    train, valid = samples.split(16)
    net = make_net()

    with pytest.warns(SeqmambaWarning, match="best weights"):
        history = run(net, loss, train, valid, settings=SETTINGS, callbacks=[SignalAt(7, number)])

    assert history.signal == number
    assert len(history.rows) == 2  # 3 steps an epoch: the third was broken off
    assert mean_loss(loss, "cpu", 256)(net, valid) == pytest.approx(history.best, abs=0)


def test_epoch_draws_without_replacement(samples: Any, make_net: Any, loss: Any) -> None:
    seen: list[int] = []

    class Watched(type(samples)):  # type: ignore[misc]  # the class is known at run time only
        def batch(self, indices: Any) -> Any:
            seen.extend(indices.tolist())
            return super().batch(indices)

    settings = replace(SETTINGS, epoch_samples=20, max_epochs=1)
    run(make_net(), loss, Watched(samples.x, samples.y), None, settings=settings)

    assert len(seen) == len(set(seen)) == 20


def test_bad_steps_are_left_out(samples: Any, make_net: Any, loss: Any) -> None:
    calls = iter(range(10_000))

    def sometimes_nan(net: nn.Module, batch: Any) -> Any:
        return loss(net, batch) * (math.nan if next(calls) == 4 else 1.0)

    net = make_net()
    history = run(net, sometimes_nan, samples, None, settings=SETTINGS)

    assert history.skipped_steps == 1
    assert all(torch.isfinite(p).all() for p in net.parameters())


def test_three_bad_steps_halve_the_rate(samples: Any, make_net: Any, loss: Any) -> None:
    calls = iter(range(10_000))

    def nan_for_a_while(net: nn.Module, batch: Any) -> Any:
        return loss(net, batch) * (math.nan if 4 <= next(calls) < 7 else 1.0)

    history = run(make_net(), nan_for_a_while, samples, None, settings=SETTINGS)

    assert history.rows[0]["lr"] == SETTINGS.learning_rate
    assert history.rows[-1]["lr"] == SETTINGS.learning_rate / 2


def test_lasting_nan_raises_with_step_and_tensor(samples: Any, make_net: Any, loss: Any) -> None:
    net, untrained = make_net(), make_net()

    with pytest.raises(
        TrainingDivergedError, match=r"epoch 3, step 9 .*First non-finite: gradient"
    ):
        run(net, lambda n, b: loss(n, b) * math.nan, samples, None, settings=SETTINGS)

    assert same_weights(net, untrained)


def test_last_incomplete_batch_is_dropped_when_asked(
    samples: Any, make_net: Any, loss: Any
) -> None:
    settings = replace(SETTINGS, batch_size=30, max_epochs=1, drop_last=True)

    history = run(make_net(), loss, samples, None, settings=settings)

    assert history.rows[-1]["step"] == 2


def test_order_differs_between_epochs(samples: Any) -> None:
    orders = [order_generator(0, epoch).permutation(64) for epoch in (0, 1, 0)]

    assert not np.array_equal(orders[0], orders[1])
    assert np.array_equal(orders[0], orders[2])


def test_patience_waits_for_the_least_number_of_epochs(
    samples: Any, make_net: Any, loss: Any
) -> None:
    train, valid = samples.split(16)
    stuck = replace(SETTINGS, learning_rate=0.0, max_epochs=9, patience=1)

    def worse(net: nn.Module, part: Any) -> float:
        return next(values)

    values = iter(range(100))
    early = run(make_net(), loss, train, valid, settings=stuck, objective=worse)
    values = iter(range(100))
    late = run(
        make_net(), loss, train, valid, settings=replace(stuck, min_epochs=6), objective=worse
    )

    assert (len(early.rows), len(late.rows)) == (2, 6)


def test_batches_of_the_validation_loss_do_not_change_it(
    samples: Any, make_net: Any, loss: Any
) -> None:
    train, valid = samples.split(16)

    one = run(make_net(), loss, train, valid, settings=SETTINGS)
    small = run(make_net(), loss, train, valid, settings=replace(SETTINGS, valid_batch=3))

    assert one.rows[-1]["valid_loss"] == pytest.approx(small.rows[-1]["valid_loss"], rel=1e-5)
