"""Windows by index arithmetic."""

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from seqmamba.datasets.samples import Batch
from seqmamba.datasets.series.columns import Columns
from seqmamba.datasets.series.read import ReadOptions, read_panel
from seqmamba.datasets.windows import WindowSamples, fill_forward, fill_linear
from seqmamba.errors import DataError


def samples(
    lengths: tuple[int, ...] = (30,), size: int = 6, h: int = 3, **options: Any
) -> WindowSamples:
    rows = [(f"s{k}", t, 100.0 * k + t) for k, n in enumerate(lengths) for t in range(n)]
    frame = pl.DataFrame(rows, schema=["unique_id", "ds", "y"], orient="row")
    panel = read_panel(frame, Columns(), ReadOptions(grouping="each", frequency=1))[0]
    first = np.full(len(lengths), size)
    count = np.maximum(panel.lengths - h - size + 1, 0)
    return WindowSamples(panel, size, h, first, count, **options)


def targets(batch: Batch) -> torch.Tensor:
    assert batch.y is not None
    return batch.y


def test_windows_are_counted_and_cut_as_sliding_views() -> None:
    found = samples()
    batch = found.batch(np.arange(len(found)))

    views = np.lib.stride_tricks.sliding_window_view(np.arange(30.0), 9)
    assert len(found) == 22
    np.testing.assert_array_equal(batch.x[:, :, 0], views[:, :6])
    np.testing.assert_array_equal(targets(batch)[:, :, 0], views[:, 6:])


# forecasting specification, 6: windows (train, valid, test) with look-back 96 and context
COUNTS = {
    ("etth1", 96): (8449, 2785, 2785),
    ("etth1", 720): (7825, 2161, 2161),
    ("ettm1", 192): (34273, 11329, 11329),
    ("exchange_rate", 720): (4496, 41, 798),
    ("weather", 336): (36456, 4935, 10204),
}
BORDERS = {
    "etth1": (8640, 2880, 2880),
    "ettm1": (34560, 11520, 11520),
    "exchange_rate": (5311, 760, 1517),
    "weather": (36887, 5270, 10539),
}


@pytest.mark.parametrize(("name", "h"), COUNTS)
def test_window_counts_of_the_literature(name: str, h: int) -> None:
    train, valid, test = BORDERS[name]

    parts = samples((train + valid,), size=96, h=h).split(valid)
    after = samples((96 + test,), size=96, h=h)

    assert (*map(len, parts), len(after)) == COUNTS[name, h]


def test_no_training_window_reaches_into_the_held_out_rows() -> None:
    train, valid = samples((30, 20)).split(8)

    last = targets(train.batch(np.arange(len(train))))[:, -1, 0]
    first = targets(valid.batch(np.arange(len(valid))))[:, 0, 0]
    assert sorted(v % 100 for v in last[last < 100].tolist())[-1] == 21
    assert first[first < 100].min() == 22
    assert last[last >= 100].max() == 111


def test_a_fraction_holds_out_at_least_one_horizon() -> None:
    _, valid = samples().split(0.01)

    assert len(valid) == 1


def test_a_split_without_training_windows_names_the_sizes() -> None:
    with pytest.raises(DataError, match=r"no training window.*input_size=6, h=3"):
        samples((12,)).split(10)


def test_indices_cross_groups() -> None:
    found = samples((12, 10))

    group, cut = found.place(np.arange(len(found)))

    assert group.tolist() == [0] * 4 + [1] * 2
    assert cut.tolist() == [6, 7, 8, 9, 6, 7]


def test_rows_before_the_start_are_masked() -> None:
    short = samples((7,), has_missing=True)
    short = WindowSamples(short.panel, 6, 3, np.array([4]), np.array([1]), has_missing=True)

    batch = short.batch(np.array([0]))

    assert batch.extra["observed"][0, :, 0].tolist() == [False] * 2 + [True] * 4
    assert batch.x[0, :, 0].tolist() == [0, 0, 0, 1, 2, 3]


def test_a_stride_skips_cuts() -> None:
    found = samples()
    every = WindowSamples(found.panel, 6, 3, np.array([6]), np.array([5]), stride=4)

    assert targets(every.batch(np.arange(5)))[:, 0, 0].tolist() == [6, 10, 14, 18, 22]


def test_without_targets_the_horizon_may_lie_beyond_the_panel() -> None:
    end = samples((10,))
    ahead = WindowSamples(end.panel, 6, 3, np.array([10]), np.array([1]), has_targets=False)

    batch = ahead.batch(np.array([0]))

    assert batch.y is None
    assert batch.x[0, :, 0].tolist() == [4, 5, 6, 7, 8, 9]


def test_calendar_features_belong_to_the_look_back() -> None:
    hours = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 2), "1h", eager=True)
    frame = pl.DataFrame({"ds": hours, "a": np.arange(25.0)})
    panel = read_panel(frame, Columns())[0]
    found = WindowSamples(panel, 6, 3, np.array([6]), np.array([2]), features=("hour",))

    marks = found.batch(np.array([1])).extra["marks"]

    torch.testing.assert_close(marks[0, :, 0] * 23 + 11.5, torch.arange(1.0, 7.0))


HOLES = np.array([np.nan, 1.0, np.nan, np.nan, 4.0, np.nan], np.float32)[None, :, None]


def test_gaps_are_filled_from_before() -> None:
    filled, observed = fill_forward(HOLES)

    assert filled[0, :, 0].tolist() == [1, 1, 1, 1, 4, 4]
    assert observed[0, :, 0].tolist() == [False, True, False, False, True, False]


def test_gaps_can_be_interpolated_inside_the_window() -> None:
    filled, observed = fill_linear(HOLES)

    assert filled[0, :, 0].tolist() == [1, 1, 2, 3, 4, 4]
    assert observed.all()


def test_an_empty_column_is_zero_and_unobserved() -> None:
    filled, observed = fill_forward(np.full((1, 3, 1), np.nan, np.float32))

    assert filled.tolist() == [[[0.0]] * 3]
    assert not observed.any()
