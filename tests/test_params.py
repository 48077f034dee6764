"""One declaration of a parameter gives default, check, message and search range."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone

from seqmamba.errors import ConfigError
from seqmamba.params import (
    Choice,
    IntRange,
    LogUniform,
    Uniform,
    check_params,
    nearest,
    param,
    params_of,
)


@dataclass(eq=False, repr=False)
class Toy(BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    d_model: int = param(64, "width", low=8, search=Choice(32, 64))
    dropout: float = param(0.1, "dropout", low=0, high=0.9, search=Uniform(0, 0.5))
    pool: Literal["mean", "attention"] = param("mean", "pooling")
    learning_rate: float | Literal["auto"] = param("auto", "step size", low=0, group="training")
    n_layers: int | None = param(None, "blocks", low=1, search=IntRange(1, 4))
    level: tuple[int, ...] = param((80, 90), "levels in percent")
    size: tuple[int, float] = param((1, 0.5), "two numbers")
    verbose: bool = param(False, "tell more")
    extra: Mapping[str, int] | None = param(None, "more numbers")
    anything: Any = param(None, "whatever")
    plain: int = 3


GOOD: dict[str, list[Any]] = {
    "d_model": [8, np.int64(64)],
    "dropout": [0, 0.9, np.float32(0.5), 1 / 3],
    "pool": ["attention"],
    "learning_rate": ["auto", 1e-3, 1],
    "n_layers": [None, 1],
    "level": [(), (90,), [80]],
    "size": [(2, 3), (2, 0.5)],
    "verbose": [True],
    "extra": [None, {"a": 1}],
    "anything": ["x", [1], None],
}

BAD = [
    ("d_model", 7, r"Toy.d_model must lie in \[8, inf\], got 7"),
    ("d_model", 64.0, "Toy.d_model must be int, got 64.0"),
    ("d_model", True, "Toy.d_model must be int, got True"),
    ("d_model", "64", "Toy.d_model must be int, got '64'"),
    ("d_model", None, "Toy.d_model must be int, got None"),
    ("dropout", 1.5, r"Toy.dropout must lie in \[0, 0.9\], got 1.5"),
    ("dropout", float("nan"), r"Toy.dropout must lie in \[0, 0.9\], got nan"),
    ("dropout", "0.1", "Toy.dropout must be float, got '0.1'"),
    ("dropout", [0.1], "Toy.dropout must be float"),
    ("pool", "men", "must be one of 'mean', 'attention'; got 'men'. Did you mean 'mean'?"),
    ("pool", 3, "Toy.pool must be 'mean' or 'attention', got 3"),
    ("learning_rate", "auo", "must be one of 'auto'; got 'auo'. Did you mean 'auto'?"),
    ("learning_rate", -1.0, r"Toy.learning_rate must lie in \[0, inf\], got -1.0"),
    ("n_layers", 0, r"Toy.n_layers must lie in \[1, inf\], got 0"),
    ("n_layers", 2.5, "Toy.n_layers must be int or None, got 2.5"),
    ("d_model", np.int64(7), r"Toy.d_model must lie in \[8, inf\], got np.int64\(7\)"),
    ("d_model", np.array([64]), r"Toy.d_model must be int, got array"),
    ("dropout", np.float32(1.5), r"Toy.dropout must lie in \[0, 0.9\]"),
    ("level", "80", r"Toy.level must be tuple\[int, ...\], got '80'"),
    ("level", (80, "90"), r"Toy.level must be tuple\[int, ...\], got \(80, '90'\)"),
    ("size", (1, 2, 3), r"Toy.size must be tuple\[int, float\], got \(1, 2, 3\)"),
    ("size", (1.5, 2), r"Toy.size must be tuple\[int, float\], got \(1.5, 2\)"),
    ("extra", [("a", 1)], r"Toy.extra must be .*Mapping.* or None"),
    ("verbose", 1, "Toy.verbose must be bool, got 1"),
]


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in GOOD.items() for v in vs])
def test_fitting_values_pass(name: str, value: Any) -> None:
    check_params(Toy(**{name: value}))


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_the_message_names_parameter_value_and_range(name: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_params(Toy(**{name: value}))


def test_the_constructor_stores_and_never_checks() -> None:
    assert Toy(d_model=-1).d_model == -1


def test_only_declared_fields_are_parameters() -> None:
    declared = params_of(Toy)

    assert list(declared) == [*GOOD]
    assert declared["learning_rate"].group == "training"
    assert declared["d_model"].search == Choice(32, 64)
    assert declared["dropout"].default == 0.1
    assert params_of(Toy()) == declared


@pytest.mark.parametrize("default", [[], {}, set(), np.zeros(1)], ids=str)
def test_a_mutable_default_is_refused(default: Any) -> None:
    with pytest.raises(TypeError, match="must be immutable"):
        param(default, "help")


def test_scikit_learn_sees_the_parameters() -> None:
    toy = Toy(d_model=32)

    copy = clone(toy).set_params(dropout=0.3)

    assert copy.get_params() == {**toy.get_params(), "dropout": 0.3}


@pytest.mark.parametrize(
    ("name", "hint"),
    [("dates", " Did you mean 'date'?"), ("zzzz", ""), ("date", " Did you mean 'date'?")],
)
def test_the_nearest_name_is_offered(name: str, hint: str) -> None:
    assert nearest(name, ["store", "date", "sales"]) == hint


@pytest.mark.parametrize("search", [Choice(1), Uniform(0, 1), LogUniform(1e-5, 1), IntRange(1, 2)])
def test_search_ranges_cannot_be_changed(search: Any) -> None:
    field = dataclasses.fields(search)[0].name

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(search, field, 0)
