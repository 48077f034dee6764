# ruff: noqa: D102 - the name of a test is its promise
"""What every estimator of a task promises, as tests to subclass.

    class TestMine(EstimatorContract):
        task = "mine"

Run with pytest. The task's simulator gives the data, its ``demo_params`` the size.
"""

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks
from torch import Tensor

import seqmamba
from seqmamba import frames
from seqmamba.errors import ConfigError, DataError
from seqmamba.params import params_of
from seqmamba.tasks import Task, get_task

__all__ = ["EstimatorContract"]

DATA_FREE_CHECKS = (
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_get_params_invariance",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
)


class EstimatorContract:
    """Promises of an estimator (architecture specification, 6.4).

    A subclass names its task; it may replace :meth:`make` and :meth:`data`.
    """

    task: ClassVar[str]
    epochs: ClassVar[int] = 1
    small: ClassVar[Mapping[str, Any]] = {}  # parameters that make the test faster
    channels_are_fixed: ClassVar[bool] = True  # False: a fitted model takes any number of them

    # -- what is tested ------------------------------------------------------------------------

    @classmethod
    def entry(cls) -> Task:
        """Return the registry's entry."""
        return get_task(cls.task)

    @classmethod
    def make(cls, **params: Any) -> Any:
        """Return a small unfitted estimator."""
        task = cls.entry()
        quick = {"max_epochs": cls.epochs, "random_state": 0}
        return task.estimator_class()(**{**task.demo_params, **cls.small, **quick, **params})

    @classmethod
    def data(cls) -> tuple[Any, Any]:
        """Return training and test data: a table, (X, y), or None for what fit held out."""
        return cls.entry().demo_data(0)

    @classmethod
    def question(cls, train: Any, test: Any) -> Any:
        """Return what ``predict`` takes: by default the inputs of the test data."""
        return test[0] if isinstance(test, tuple) else test

    @pytest.fixture(scope="class")
    @classmethod
    def train(cls) -> Any:
        return cls.data()[0]

    @pytest.fixture(scope="class")
    @classmethod
    def test(cls) -> Any:
        return cls.data()[1]

    @pytest.fixture(scope="class")
    @classmethod
    def asked(cls, train: Any, test: Any) -> Any:
        return cls.question(train, test)

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, train: Any) -> Any:
        return _fit(cls.make(), train)

    @pytest.fixture(scope="class")
    @classmethod
    def again(cls, fitted: Any, train: Any) -> "Again":
        """Fit a clone once more, after unrelated randomness."""
        torch.rand(7)
        state = torch.get_rng_state()
        estimator = clone(fitted)
        return Again(estimator, _fit(estimator, train), state, torch.get_rng_state())

    # -- parameters ----------------------------------------------------------------------------

    @pytest.mark.parametrize("check", DATA_FREE_CHECKS)
    def test_scikit_learn_check_passes(self, check: str) -> None:
        estimator = self.make()

        getattr(estimator_checks, check)(type(estimator).__name__, estimator)

    def test_each_parameter_says_what_it_is(self) -> None:
        declared = params_of(self.make())

        assert set(declared) == set(self.make().get_params(deep=False))
        assert all(p.help and "\n" not in p.help for p in declared.values())

    def test_each_default_is_allowed(self, train: Any) -> None:
        defaults = {name: p.default for name, p in params_of(self.make()).items()}
        estimator = self.make(**{**defaults, "batch_size": -1})

        with pytest.raises(ConfigError, match="batch_size"):  # and nothing before it
            _fit(estimator, train)

    # -- fit -----------------------------------------------------------------------------------

    def test_unfitted_estimator_says_so(self, asked: Any) -> None:
        with pytest.raises(NotFittedError):
            self.make().predict(asked)

    def test_fit_returns_self(self, again: "Again") -> None:
        assert again.returned is again.estimator

    def test_same_seed_gives_same_bits(self, fitted: Any, again: "Again", asked: Any) -> None:
        assert _same(again.estimator.predict(asked), fitted.predict(asked))

    def test_global_generator_is_left_as_found(self, again: "Again") -> None:
        assert torch.equal(again.state_before, again.state_after)

    def test_input_is_not_modified(self, fitted: Any, train: Any, test: Any) -> None:
        first, second = self.data()

        assert _same_data(first, train)
        assert _same_data(second, test)

    def test_history_has_one_row_per_epoch(self, fitted: Any) -> None:
        table = fitted.history_.table()

        assert table["epoch"].max() == self.epochs
        assert {"train_loss", "valid_loss", "objective", "lr", "seconds"} <= set(table.columns)

    # -- predict and evaluate ------------------------------------------------------------------

    def test_second_predict_equals_first(self, fitted: Any, asked: Any) -> None:
        assert _same(fitted.predict(asked), fitted.predict(asked))

    @pytest.mark.parametrize("library", ["pandas", "pyarrow", "polars_lazy", "dict"])
    def test_every_library_gives_the_same_answer(
        self, fitted: Any, asked: Any, library: str
    ) -> None:
        table = _polars(asked)
        expected = fitted.predict(table)

        answer = fitted.predict(_converted(table, library))

        if isinstance(expected, pl.DataFrame):
            assert frames.read(answer)[1].library == library
            answer = frames.read(answer)[0]
        assert _same(answer, expected)

    def test_order_of_rows_does_not_matter(self, fitted: Any, asked: Any) -> None:
        table = _polars(asked)

        answer = fitted.predict(table.sample(fraction=1, shuffle=True, seed=0))

        assert _same(_sorted(answer), _sorted(fitted.predict(table)), tolerance=1e-5)

    def test_missing_channel_is_an_error(self, fitted: Any, asked: Any) -> None:
        if not self.channels_are_fixed:
            pytest.skip("any number of channels is welcome")
        table = _polars(asked)
        channel = next(name for name in fitted.info_.feature_names if name in table.columns)

        with pytest.raises(DataError, match=channel):
            fitted.predict(table.drop(channel))

    def test_evaluate_sets_a_baseline_beside_each_score(self, fitted: Any, test: Any) -> None:
        scores = fitted.evaluate(*test) if isinstance(test, tuple) else fitted.evaluate(test)

        assert {"metric", "value", "baseline", "skill"} <= set(scores.columns)
        assert set(scores["metric"]) <= set(self.entry().metrics)

    def test_objective_is_a_metric(self) -> None:
        assert self.entry().objective in self.entry().metrics

    # -- copies --------------------------------------------------------------------------------

    def test_loaded_model_gives_same_bits(self, fitted: Any, asked: Any, tmp_path: Path) -> None:
        fitted.save(tmp_path / "model.safetensors")

        loaded = seqmamba.load(tmp_path / "model.safetensors")

        assert type(loaded) is type(fitted)
        assert loaded.get_params() == fitted.get_params()
        assert _same(loaded.predict(asked), fitted.predict(asked))

    def test_model_file_keeps_no_secret(self, fitted: Any, tmp_path: Path) -> None:
        path = fitted.save(tmp_path / "model.safetensors")

        content = path.read_bytes().decode("latin-1")

        for secret in (str(tmp_path), str(Path.home()), str(Path.cwd())):
            assert not re.search(re.escape(secret) + r"[\w/]", content)

    def test_pickled_copy_gives_same_bits(self, fitted: Any, asked: Any) -> None:
        copy = pickle.loads(pickle.dumps(fitted))

        assert _same(copy.predict(asked), fitted.predict(asked))


@dataclass(frozen=True)
class Again:
    """A second fit, and the state of torch's generator around it."""

    estimator: Any
    returned: Any
    state_before: Tensor
    state_after: Tensor


def _fit(estimator: Any, data: Any) -> Any:
    return estimator.fit(*data) if isinstance(data, tuple) else estimator.fit(data)


def _polars(table: Any) -> pl.DataFrame:
    if isinstance(table, np.ndarray | list):
        pytest.skip("the data of this task are no table")
    return frames.read(table)[0]


def _converted(table: pl.DataFrame, library: str) -> Any:
    if library == "pandas":
        return table.to_pandas()
    if library == "pyarrow":
        return table.to_arrow()
    return table.lazy() if library == "polars_lazy" else table.to_dict(as_series=False)


def _sorted(answer: Any) -> Any:
    if isinstance(answer, pl.DataFrame):
        keys = [name for name, dtype in answer.schema.items() if not dtype.is_float()]
        return answer.sort(keys)
    return np.sort(np.asarray(answer), axis=0)


def _same(first: Any, second: Any, tolerance: float = 0.0) -> bool:
    """Compare answers: tables by their cells, arrays by their bits unless a tolerance is given."""
    if isinstance(first, np.ndarray):
        return first.shape == second.shape and np.allclose(
            first, second, rtol=tolerance, atol=tolerance, equal_nan=True
        )
    one, other = frames.read(first)[0], frames.read(second)[0]
    if one.columns != other.columns or one.height != other.height:
        return False
    numeric = [name for name, dtype in one.schema.items() if dtype.is_float()]
    keys = [name for name in one.columns if name not in numeric]
    values = np.allclose(
        one.select(numeric).to_numpy(),
        other.select(numeric).to_numpy(),
        rtol=tolerance,
        atol=tolerance,
        equal_nan=True,
    )
    texts = [one.select(pl.col(keys).cast(pl.String)), other.select(pl.col(keys).cast(pl.String))]
    return values and texts[0].equals(texts[1])


def _same_data(first: Any, second: Any) -> bool:
    if first is None:
        return second is None
    if isinstance(first, tuple | list):
        return len(first) == len(second) and all(map(_same_data, first, second))
    if isinstance(first, np.ndarray):
        return bool(np.array_equal(first, second, equal_nan=first.dtype.kind == "f"))
    return frames.read(first)[0].equals(frames.read(second)[0])
