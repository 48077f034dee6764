"""The panel's bookkeeping of rows."""

import numpy as np
import polars as pl

from seqmamba.datasets.series.columns import Columns
from seqmamba.datasets.series.panel import Panel
from seqmamba.datasets.series.read import ReadOptions, read_panel

LONG = pl.DataFrame(
    {"unique_id": ["a"] * 5 + ["b"] * 3, "ds": [0, 1, 2, 3, 4, 7, 8, 9], "y": np.arange(8.0)}
)


def panel() -> Panel:
    return read_panel(LONG, Columns(), ReadOptions(grouping="each", frequency=1))[0]


def test_groups_lie_below_each_other() -> None:
    assert panel().offsets.tolist() == [0, 5, 8]
    assert panel().first_tick.tolist() == [0, 7]


def test_tail_keeps_the_last_rows_and_their_times() -> None:
    tail = panel().tail(4)

    assert tail.values[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert tail.first_tick.tolist() == [1, 7]
    assert tail.column(np.array([0, 1]), np.array([3, 2])).to_list() == [4, 9]


def test_rows_cut_each_group() -> None:
    middle = panel().rows(np.array([1, 0]), np.array([3, 1]))

    assert middle.values[:, 0].tolist() == [1, 2, 5]
    assert middle.offsets.tolist() == [0, 2, 3]


def test_extend_appends_empty_rows_behind_each_group() -> None:
    longer = panel().extend(2)

    assert longer.lengths.tolist() == [7, 5]
    assert np.isnan(longer.values[5:7]).all()
    assert longer.values[7:10, 0].tolist() == [5, 6, 7]


def test_select_keeps_groups() -> None:
    second = panel().select(np.array([1]))

    assert second.values[:, 0].tolist() == [5, 6, 7]
    assert second.targets.tolist() == [[1]]
