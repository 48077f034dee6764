"""Outer scaling."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from seqmamba.datasets.series.columns import Columns
from seqmamba.datasets.series.panel import Panel
from seqmamba.datasets.series.read import ReadOptions, read_panel
from seqmamba.datasets.series.scaling import Scaling
from seqmamba.errors import DataError

VALUES = np.random.default_rng(0).gamma(2.0, size=(40, 3)) * [1, 100, 1e6]


def panel_of(values: Any, grouping: Any = "all") -> Panel:
    frame = pl.DataFrame({f"x{k}": values[:, k] for k in range(values.shape[1])})
    return read_panel(frame, Columns(), ReadOptions(grouping=grouping))[0]


@pytest.mark.parametrize(
    ("kind", "theirs"),
    [("standard", StandardScaler()), ("robust", RobustScaler()), ("minmax", MinMaxScaler())],
)
def test_scikit_learn_scales_alike(kind: Any, theirs: Any) -> None:
    panel = panel_of(VALUES)

    ours = Scaling.learn(panel, np.array([40]), kind).apply(panel, np.arange(3))

    np.testing.assert_allclose(ours.values, theirs.fit_transform(VALUES), rtol=1e-5, atol=1e-6)


def test_rows_behind_the_border_teach_nothing() -> None:
    changed = VALUES.copy()
    changed[30:] *= 1e3

    one = Scaling.learn(panel_of(VALUES), np.array([30]), "standard")
    two = Scaling.learn(panel_of(changed), np.array([30]), "standard")

    np.testing.assert_array_equal(one.center, two.center)
    np.testing.assert_array_equal(one.scale, two.scale)


def test_each_series_has_its_scale_in_every_grouping() -> None:
    one = Scaling.learn(panel_of(VALUES), np.array([40]), "standard")
    each = Scaling.learn(panel_of(VALUES, "each"), np.array([40] * 3), "standard")

    np.testing.assert_allclose(one.scale, each.scale, rtol=1e-12)


def test_a_constant_series_keeps_scale_one() -> None:
    panel = panel_of(np.full((10, 1), 7.3))

    scaling = Scaling.learn(panel, np.array([10]), "standard")

    assert scaling.scale.tolist() == [1.0]
    assert scaling.apply(panel, np.arange(1)).values.tolist() == [[0.0]] * 10


def test_missing_cells_are_left_out() -> None:
    holes = VALUES.copy()
    holes[::4] = np.nan

    scaling = Scaling.learn(panel_of(holes), np.array([40]), "standard")

    np.testing.assert_allclose(scaling.center, np.nanmean(holes, axis=0))
    np.testing.assert_allclose(scaling.scale, np.nanstd(holes, axis=0))


def test_an_unseen_series_is_scaled_by_its_own_history() -> None:
    scaling = Scaling.learn(panel_of(VALUES[:, :2]), np.array([40]), "standard")

    center, scale = scaling.of(panel_of(VALUES), np.array([0, 1, -1]))

    np.testing.assert_allclose(center[2], VALUES[:, 2].mean())
    np.testing.assert_allclose(scale[2], VALUES[:, 2].std())


def test_log1p_refuses_values_without_a_logarithm() -> None:
    with pytest.raises(DataError, match="'x0' holds -2, and scaler='log1p'"):
        Scaling.learn(panel_of(np.array([[1.0], [-2.0]])), np.array([2]), "log1p")
