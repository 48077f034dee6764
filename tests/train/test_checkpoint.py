"""A resumed run equals the uninterrupted one bit for bit, and a wrong resume is refused."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from seqmamba import storage
from seqmamba.errors import ResumeMismatchError
from seqmamba.train.callbacks import Callback, State
from seqmamba.train.loop import History, run
from seqmamba.train.settings import Settings

SETTINGS = Settings(
    learning_rate=0.02,
    batch_size=10,
    max_epochs=4,
    lr_schedule="cosine",
    patience=3,
    fingerprint="a=1\nb=2",
)


class StopAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, state: State) -> None:
        if state.step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def train(net: nn.Module, samples: Any, loss: Any, settings: Settings, *callbacks: Any) -> History:
    part, valid = samples.split(16)
    return run(net, loss, part, valid, settings=settings, callbacks=callbacks, seed=1)


def rows(history: History) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history.rows]


def stop_and_resume(
    step: int, path: Path, make_net: Any, samples: Any, loss: Any
) -> tuple[nn.Module, History]:
    with pytest.warns(UserWarning, match="interrupted"):
        train(make_net(), samples, loss, replace(SETTINGS, checkpoint=path), StopAt(step))
    net = make_net(seed=9)  # other weights: all must come from the file
    return net, train(net, samples, loss, replace(SETTINGS, resume=path))


@pytest.mark.parametrize("step", [1, 2, 4, 5, 6, 9, 10, 11, 14, 19])
def test_resumed_run_equals_the_whole_one(
    step: int, tmp_path: Path, make_net: Any, samples: Any, loss: Any
) -> None:
    whole = make_net()
    expected = train(whole, samples, loss, SETTINGS)

    net, history = stop_and_resume(step, tmp_path / "c.safetensors", make_net, samples, loss)

    assert all(torch.equal(v, whole.state_dict()[k]) for k, v in net.state_dict().items())
    assert rows(history) == rows(expected)


@pytest.mark.parametrize(
    "lost",
    [
        "net.hidden.weight",
        "optimizer.0.exp_avg",
        "optimizer.0.step",
        "generator.cpu",
        "position",
        "epoch",
        "loss_sum",
        "counted",
    ],
)
def test_each_part_of_a_checkpoint_matters(
    lost: str, tmp_path: Path, make_net: Any, samples: Any, loss: Any
) -> None:
    path = tmp_path / "c.safetensors"
    whole = make_net()
    expected = train(whole, samples, loss, SETTINGS)
    with pytest.warns(UserWarning, match="interrupted"):
        train(make_net(), samples, loss, replace(SETTINGS, checkpoint=path), StopAt(7))
    _spoil(path, lost)

    net = make_net(seed=9)
    history = train(net, samples, loss, replace(SETTINGS, resume=path, max_epochs=4))

    same = all(torch.equal(v, whole.state_dict()[k]) for k, v in net.state_dict().items())
    assert not (same and rows(history) == rows(expected))


def test_best_weights_survive_a_resume(
    tmp_path: Path, make_net: Any, samples: Any, loss: Any
) -> None:
    path = tmp_path / "c.safetensors"
    part, valid = samples.split(16)
    first = make_net()
    once = replace(SETTINGS, max_epochs=1, checkpoint=path)
    run(first, loss, part, valid, settings=once, objective=lambda *_: 1.0)

    resumed = make_net(seed=9)
    more = replace(SETTINGS, max_epochs=3, resume=path)
    history = run(resumed, loss, part, valid, settings=more, objective=lambda *_: 5.0)

    assert (history.best_epoch, history.best) == (1, 1.0)
    assert all(torch.equal(v, first.state_dict()[k]) for k, v in resumed.state_dict().items())


def _spoil(path: Path, lost: str) -> None:
    tensors, header = storage.read_model(path)
    if lost == "generator.cpu":
        tensors[lost] = torch.Generator().manual_seed(77).get_state()
    elif lost in tensors:
        tensors[lost] = torch.zeros_like(tensors[lost])
    else:
        header["progress"] = json.dumps({**json.loads(header["progress"]), lost: 0})
    storage.write_model(
        path, tensors, {k: header[k] for k in ("kind", "progress", "optimizer", "fingerprint")}
    )


def test_other_configuration_is_refused_with_the_difference(
    tmp_path: Path, make_net: Any, samples: Any, loss: Any
) -> None:
    path = tmp_path / "c.safetensors"
    train(make_net(), samples, loss, replace(SETTINGS, checkpoint=path))

    with pytest.raises(ResumeMismatchError, match="was b=2; is b=3"):
        train(make_net(), samples, loss, replace(SETTINGS, resume=path, fingerprint="a=1\nb=3"))


def test_model_file_is_no_checkpoint(
    tmp_path: Path, make_net: Any, samples: Any, loss: Any
) -> None:
    path = tmp_path / "m.safetensors"
    storage.write_model(path, {"net.x": torch.zeros(1)}, {"task": "forecast"})

    with pytest.raises(ResumeMismatchError, match="not a training checkpoint"):
        train(make_net(), samples, loss, replace(SETTINGS, resume=path))
