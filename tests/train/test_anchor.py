"""An anchored network starts as its anchor and cannot end worse on validation data."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from seqmamba.datasets.samples import Batch
from seqmamba.errors import ConfigError
from seqmamba.train.anchor import Anchor, Anchored, choose_anchor
from seqmamba.train.loop import mean_loss, run
from seqmamba.train.settings import Settings


class Constant(Anchor):
    """Always the same number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.register_buffer("value", torch.tensor(value))

    def forward(self, batch: Batch) -> Tensor:
        assert isinstance(self.value, Tensor)
        return self.value.expand(len(batch))


def test_untrained_network_equals_its_anchor(samples: Any, make_net: Any) -> None:
    anchored = Anchored(make_net(), Constant(3.0)).eval()

    out = anchored(samples.batch(torch.arange(5).numpy()))

    assert torch.equal(out, torch.full((5,), 3.0))


def test_default_never_ends_worse_than_its_anchor(samples: Any, make_net: Any, loss: Any) -> None:
    train, valid = samples.split(16)
    anchored = Anchored(make_net(), Constant(0.0))
    of_anchor = mean_loss(loss, "cpu", 64)(anchored.eval(), valid)
    harmful = Settings(learning_rate=10.0, max_epochs=3, start_is_candidate=True)

    run(anchored, loss, train, valid, settings=harmful)

    assert mean_loss(loss, "cpu", 64)(anchored, valid) <= of_anchor


def test_anchor_learns_the_residual(samples: Any, make_net: Any, loss: Any) -> None:
    train, valid = samples.split(16)
    anchored = Anchored(make_net(dropout=0.0), Constant(0.0))
    settings = Settings(learning_rate=0.02, max_epochs=40, start_is_candidate=True)

    history = run(anchored, loss, train, valid, settings=replace(settings, patience=None))

    assert history.best < 0.3 * history.rows[0]["objective"]


def test_auto_takes_the_best_on_validation(samples: Any, loss: Any) -> None:
    train, valid = samples.split(16)
    candidates = {"far": Constant(9.0), "near": Constant(0.0)}

    name, anchor, scores = choose_anchor(
        "auto", candidates, train, valid, mean_loss(loss, "cpu", 64)
    )

    assert name == "near"
    assert anchor is candidates["near"]
    assert scores["near"] < scores["far"]


def test_unknown_anchor_is_named_with_the_nearest(samples: Any, loss: Any) -> None:
    with pytest.raises(ConfigError, match=r"got 'rigde'\. Did you mean 'ridge'"):
        choose_anchor("rigde", {"ridge": Constant(0)}, samples, samples, mean_loss(loss, "cpu", 9))


@pytest.mark.parametrize(("is_sure", "expected"), [(True, "near"), (False, "far")])
def test_a_comparison_may_keep_the_simpler_anchor(
    is_sure: bool, expected: str, samples: Any, loss: Any
) -> None:
    train, valid = samples.split(16)
    candidates = {"far": Constant(9.0), "near": Constant(0.0)}
    objective = mean_loss(loss, "cpu", 64)

    name, _, _ = choose_anchor(
        "auto", candidates, train, valid, objective, lambda simple, other, part: is_sure
    )

    assert name == expected


def test_an_anchor_is_tuned_on_the_validation_part(samples: Any, loss: Any) -> None:
    class Tuned(Constant):
        def tune(self, score: Any) -> None:
            tried = [Constant(v) for v in (9.0, 0.0)]
            self.value = min(tried, key=score).value

    train, valid = samples.split(16)

    _, anchor, _ = choose_anchor(
        "auto", {"tuned": Tuned(5.0)}, train, valid, mean_loss(loss, "cpu", 64)
    )

    assert float(anchor.value) == 0.0  # type: ignore[arg-type]  # a buffer


def test_a_silenced_network_is_its_anchor(samples: Any, make_net: Any) -> None:
    anchored = Anchored(make_net(), Constant(3.0)).eval()
    torch.nn.init.ones_(anchored.net.output_layer().weight)

    assert not anchored.is_silent
    anchored.silence()
    assert anchored.is_silent

    assert torch.equal(anchored(samples.batch(torch.arange(2).numpy())), torch.full((2,), 3.0))
