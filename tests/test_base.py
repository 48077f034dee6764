"""The estimator template: four hooks make an estimator that learns, stores and repeats itself."""

import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pytest
import sklearn.base
import torch
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError
from torch import Tensor, nn

import seqmamba.errors as errors
from seqmamba import storage
from seqmamba.base import BaseEstimator
from seqmamba.datasets.samples import Batch, Info, Samples
from seqmamba.params import param
from seqmamba.train.anchor import Anchor


@dataclass(frozen=True)
class Rows:
    x: Tensor
    y: Tensor | None

    @property
    def info(self) -> Info:
        return Info(channels=self.x.shape[1])

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        rows = torch.from_numpy(indices)
        return Batch(x=self.x[rows], y=None if self.y is None else self.y[rows])

    def split(self, held_out: float | int) -> tuple[Samples, Samples]:
        assert self.y is not None
        n = len(self) - int(held_out * len(self))
        head = replace(self, x=self.x[:n], y=self.y[:n])
        return head, replace(self, x=self.x[n:], y=self.y[n:])


class Mean(Anchor):
    value: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(()))

    def fit(self, samples: Samples) -> Self:
        target = samples.batch(np.arange(len(samples))).y
        assert target is not None
        self.value = target.mean()
        return self

    def forward(self, batch: Batch) -> Tensor:
        return self.value.expand(len(batch))


class Zero(Mean):
    def fit(self, samples: Samples) -> Self:
        return self


class Net(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels, width), nn.Tanh(), nn.Linear(width, 1))

    def forward(self, batch: Batch) -> Tensor:
        out: Tensor = self.layers(batch.x)
        return out.squeeze(-1)

    def output_layer(self) -> nn.Linear:
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        return last


@dataclass(eq=False, repr=False)
class TinyRegressor(sklearn.base.RegressorMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """Two layers on rows of numbers."""

    width: int = param(8, "width of the hidden layer", low=1, high=10**6)
    anchor: Literal["auto", "mean", "zero"] | None = param(None, "cheap model to stand on")

    _task = "tiny"
    _state_names = ("scale_",)
    _default_val_size = 0.25

    def _read(self, X: Any, y: Any, fit: bool, **tables: Any) -> Rows:
        x = np.asarray(X, dtype=np.float32)
        if fit:
            self.scale_ = np.asarray([np.std(y)], dtype=np.float32)
        target = None if y is None else torch.tensor(np.asarray(y) / self.scale_)
        return Rows(torch.from_numpy(x), target)

    def _build(self, info: Info) -> nn.Module:
        return Net(info.channels, self.width)

    def _anchors(self, info: Info) -> dict[str, Anchor]:
        return {"mean": Mean(), "zero": Zero()}

    def _loss(self, net: nn.Module, batch: Batch) -> Tensor:
        assert batch.y is not None
        return nn.functional.mse_loss(net(batch), batch.y)

    def _decode(self, out: Tensor, samples: Samples) -> Any:
        return out.numpy() * self.scale_


@pytest.fixture
def table() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((120, 3)).astype(np.float32)
    return x, (5 + x @ np.array([1, -1, 2]) + np.tanh(x[:, 0] * x[:, 1])).astype(np.float32)


FAST: dict[str, Any] = {"max_epochs": 20, "learning_rate": 0.02, "random_state": 0}


def test_fit_learns_more_than_the_constant(table: Any) -> None:
    x, y = table

    scores = TinyRegressor(**FAST).fit(x[:90], y[:90]).evaluate(x[90:], y[90:])

    assert scores.columns == ["metric", "value", "baseline", "skill"]
    assert scores["skill"].min() > 0.3  # type: ignore[operator]  # a float column


def test_second_fit_starts_afresh(table: Any) -> None:
    model = TinyRegressor(**FAST).fit(*table)
    first = model.predict(table[0])

    again = model.fit(*table).predict(table[0])

    assert np.array_equal(first, again)


def test_random_state_none_draws_a_new_seed(table: Any) -> None:
    free = TinyRegressor(**{**FAST, "random_state": None, "max_epochs": 1})

    first, second = (sklearn.base.clone(free).fit(*table).predict(table[0]) for _ in range(2))

    assert not np.array_equal(first, second)


@pytest.mark.parametrize("anchor", [None, "auto"])
def test_saved_model_predicts_the_same_bits(table: Any, tmp_path: Path, anchor: Any) -> None:
    model = TinyRegressor(**FAST, anchor=anchor).fit(*table)

    loaded = TinyRegressor.load(model.save(tmp_path / "m.safetensors"))

    assert np.array_equal(loaded.predict(table[0]), model.predict(table[0]))
    assert loaded.get_params() == model.get_params()


def test_pickle_and_folder_round_trip(table: Any, tmp_path: Path) -> None:
    model = TinyRegressor(**FAST).fit(*table)
    model.save(tmp_path)

    copies = [pickle.loads(pickle.dumps(model)), TinyRegressor.load(tmp_path)]

    for copy in copies:
        assert np.array_equal(copy.predict(table[0]), model.predict(table[0]))


def test_model_of_another_class_is_refused(table: Any, tmp_path: Path) -> None:
    @dataclass(eq=False, repr=False)
    class Other(TinyRegressor):
        pass

    path = TinyRegressor(**FAST).fit(*table).save(tmp_path / "m.safetensors")

    with pytest.raises(errors.ModelFileError, match=r"holds a TinyRegressor .* not a Other"):
        Other.load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header["sklearn_params"].update(width=10**9),
        lambda header: header["sklearn_params"].update(depth=3),
        lambda header: header["sklearn_params"].update(width=9),
        lambda header: header.pop("summary"),
    ],
    ids=["out of range", "unknown parameter", "other shape", "lost part"],
)
def test_crafted_file_with_a_true_digest_is_refused(
    table: Any, tmp_path: Path, change: Any
) -> None:
    path = TinyRegressor(**FAST).fit(*table).save(tmp_path / "m.safetensors")
    tensors, header = storage.read_model(path)
    change(header)
    reserved = ("format", "schema", "versions", "sha256")
    storage.write_model(path, tensors, {k: v for k, v in header.items() if k not in reserved})

    with pytest.raises(errors.CorruptModelError, match="does not fit a TinyRegressor"):
        TinyRegressor.load(path)


def test_auto_anchor_takes_the_better_one_and_zero_epochs_is_the_anchor(table: Any) -> None:
    model = TinyRegressor(**{**FAST, "max_epochs": 0}, anchor="auto").fit(*table)

    assert model.anchor_ == "mean"
    assert model.anchor_scores_["mean"] < model.anchor_scores_["zero"]
    assert np.allclose(model.predict(table[0]), table[1][:90].mean(), rtol=1e-4)


def test_validation_set_may_be_given(table: Any) -> None:
    x, y = table

    model = TinyRegressor(**FAST).fit(x[:60], y[:60], eval_set=(x[60:], y[60:]))

    truth, predicted = y[60:], model.predict(x[60:])
    expected = np.mean((truth - predicted) ** 2) / model.scale_[0] ** 2
    assert model.history_.best == pytest.approx(expected, rel=1e-4)


def test_unfitted_estimator_says_so(table: Any) -> None:
    with pytest.raises(NotFittedError):
        TinyRegressor().predict(table[0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 0}, r"TinyRegressor\.width must lie in \[1, 1e\+06\], got 0"),
        ({"optimizer": "adma"}, r"must be one of 'adam', 'adamw'; got 'adma'\. Did you mean"),
        ({"batch_size": 2.5}, r"TinyRegressor\.batch_size must be int, got 2\.5"),
        ({"learning_rate": float("nan")}, r"learning_rate must lie in \[0, inf\], got nan"),
    ],
)
def test_wrong_parameter_is_named_in_fit(table: Any, wrong: Any, message: str) -> None:
    with pytest.raises(errors.ConfigError, match=message):
        TinyRegressor(**wrong).fit(*table)


def test_absent_device_is_refused(table: Any) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has the device")

    with pytest.raises(errors.BackendError, match="device 'cuda' is not here"):
        TinyRegressor(device="cuda").fit(*table)


def test_threads_are_restored(table: Any) -> None:
    before = torch.get_num_threads()

    TinyRegressor(**FAST, num_threads=before + 1).fit(*table)

    assert torch.get_num_threads() == before
