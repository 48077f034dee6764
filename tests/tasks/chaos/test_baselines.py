"""Cheap models alone: the same interface, and the order that is known of them."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from seqmamba.datasets.simulate.chaotic.orbits import orbits
from seqmamba.errors import ConfigError, DataError
from seqmamba.tasks.chaos.baselines import (
    NGRC,
    AnalogForecaster,
    CheapForecaster,
    ESNForecaster,
    Persistence,
    RFFForecaster,
)

CLOCK: dict[str, Any] = {"dt": 0.0369, "lyapunov_time": 1.106}
SMALL = [
    NGRC(**CLOCK),
    RFFForecaster(n_features=100, **CLOCK),
    ESNForecaster(units=100, input_size=40, **CLOCK),
    AnalogForecaster(**CLOCK),
    Persistence(**CLOCK),
]


@pytest.fixture(scope="module")
def orbit() -> NDArray[np.float64]:
    found: NDArray[np.float64] = orbits("lorenz63", 1_000, seed=0)[0]
    return found


def valid_time(model: CheapForecaster, x: NDArray[np.float64]) -> float:
    scores = model.evaluate(x, metrics=["vpt"], h=200, starts=10)
    return float(scores["value"][0])


@pytest.mark.parametrize("model", SMALL, ids=lambda m: type(m).__name__)
def test_the_interface_is_that_of_the_forecaster(
    model: CheapForecaster, orbit: NDArray[np.float64]
) -> None:
    table = pl.DataFrame(orbit[:600], ["x", "y", "z"])
    fresh = clone(model)
    with pytest.raises(NotFittedError):
        fresh.predict(h=3)

    fresh.fit(table)

    assert fresh.predict(h=3).columns == ["step", "x", "y", "z"]
    assert fresh.evaluate(table, h=60, starts=4)["metric"].to_list()[0] == "vpt"


def test_maps_beat_analogues_and_those_persistence(orbit: NDArray[np.float64]) -> None:
    fitted = [clone(model).fit(orbit[:600]) for model in (SMALL[0], SMALL[3], SMALL[4])]

    ngrc, analogues, persistence = (valid_time(model, orbit[600:]) for model in fitted)

    assert ngrc > 2 * analogues > 4 * persistence


def test_bad_input_is_named(orbit: NDArray[np.float64]) -> None:
    with pytest.raises(ConfigError, match="n_features must lie in"):
        RFFForecaster(n_features=1).fit(orbit)
    with pytest.raises(DataError, match="fitted on 3 channels"):
        Persistence(**CLOCK).fit(orbit).predict(orbit[:, :2])
