"""Tables larger than memory."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from seqmamba.datasets.series.columns import Columns
from seqmamba.datasets.series.read import ReadOptions, read_panel
from seqmamba.datasets.series.scaling import Scaling
from seqmamba.datasets.series.stream import large_table, stream_panel, stream_tail
from seqmamba.errors import ConfigError, DataError


@pytest.fixture
def table() -> pl.DataFrame:
    random = np.random.default_rng(0)
    parts = []
    for k, n in enumerate([40, 25, 60]):
        hours = pl.Series(np.arange(n) + 24 * k)
        stamps = (hours * 3_600_000_000 + 1_704_067_200_000_000).cast(pl.Datetime("us"))
        values = random.normal(size=n) * 10**k
        values[::9] = np.nan
        heat = random.normal(size=n)
        parts.append(pl.DataFrame({"unique_id": f"s{k}", "ds": stamps, "y": values, "heat": heat}))
    return pl.concat(parts).sample(fraction=1, shuffle=True, seed=0)


COLUMNS = Columns(hist=("heat",))


def test_a_stream_gives_the_panel_of_the_whole_table(table: pl.DataFrame) -> None:
    streamed = stream_panel(table.lazy(), COLUMNS, "h")
    whole, _ = read_panel(table, COLUMNS, ReadOptions(grouping="each", frequency="h"))

    np.testing.assert_array_equal(streamed.values, whole.values.astype(np.float32))
    np.testing.assert_array_equal(streamed.offsets, whole.offsets)
    np.testing.assert_array_equal(streamed.first_tick, whole.first_tick)
    assert streamed.ids == whole.ids
    assert isinstance(streamed.values, np.memmap)


def test_scaling_in_place_equals_scaling_in_memory(table: pl.DataFrame) -> None:
    streamed = stream_panel(table.lazy(), COLUMNS, "h")
    whole, _ = read_panel(table, COLUMNS, ReadOptions(grouping="each", frequency="h"))
    stop, codes = np.array([30, 20, 50]), np.arange(3)

    found = Scaling.learn(streamed, stop, "standard").apply(streamed, codes)
    expected = Scaling.learn(whole, stop, "standard").apply(whole, codes)

    np.testing.assert_allclose(found.values, expected.values, rtol=1e-4, atol=1e-5)
    assert found.values is streamed.values


def test_the_period_is_inferred_from_the_first_rows(table: pl.DataFrame) -> None:
    assert (
        stream_panel(table.sort("unique_id", "ds").lazy(), COLUMNS, "infer").frequency.label == "h"
    )


def test_the_tail_holds_the_last_rows_of_each_series(table: pl.DataFrame) -> None:
    frequency = stream_panel(table.lazy(), COLUMNS, "h").frequency

    tail = stream_tail(table.lazy(), COLUMNS, frequency, 5)

    last = table.sort("ds").group_by("unique_id").tail(5).sort("unique_id", "ds")
    assert tail.sort("unique_id", "ds").equals(last.select(tail.columns))


def test_only_large_tables_are_streamed(table: pl.DataFrame, tmp_path: Path) -> None:
    table.write_parquet(tmp_path / "a.parquet")

    assert large_table(table) is None
    assert large_table(tmp_path / "a.parquet") is None
    assert large_table(tmp_path / "a.parquet", rows=100) is not None
    assert large_table(str(tmp_path / "*.parquet"), rows=100) is not None
    assert large_table(table.lazy(), rows=100) is not None
    assert large_table(tmp_path / "none.parquet", rows=100) is None


def test_faults_are_named(table: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="1 rows repeat"):
        stream_panel(pl.concat([table, table.drop_nans()[:1]]).lazy(), COLUMNS, "h")
    with pytest.raises(DataError, match="off the grid of period 2h"):
        stream_panel(table.lazy(), COLUMNS, "2h")
    with pytest.raises(DataError, match="no column 'heat'"):
        stream_panel(table.drop("heat").lazy(), COLUMNS, "h")
    with pytest.raises(ConfigError, match="use 'each'"):
        stream_panel(table.lazy(), Columns(group="plant"), "h")
