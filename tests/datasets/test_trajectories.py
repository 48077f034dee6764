"""The reader of trajectories: segments, times, and what is refused."""

import numpy as np
import polars as pl
import pytest

from seqmamba.datasets.simulate.chaotic.orbits import orbits
from seqmamba.datasets.trajectories import read_trajectories
from seqmamba.errors import DataError, SeqmambaWarning

WAVE = np.sin(np.arange(60) * 0.3)


def test_arrays_are_orbits() -> None:
    single, several = read_trajectories(WAVE), read_trajectories([WAVE, WAVE[:9]])

    assert [s.shape for s in single.segments] == [(60, 1)]
    assert [len(s) for s in several.segments] == [60, 9]
    assert several.ids == ["0", "1"]


def test_gaps_and_missing_rows_end_a_segment() -> None:
    times = np.delete(np.arange(60), [20, 21])
    values = np.delete(WAVE, [20, 21])
    values[40] = np.nan

    found = read_trajectories({"ds": times, "x": values})

    assert [len(s) for s in found.segments] == [20, 20, 17]
    assert found.notes == {"missing rows": 1, "gaps": 1, "jumps": 0}
    assert found.ends == [19.0, 41.0, 59.0]


def test_orbits_of_a_table_have_names() -> None:
    table = pl.DataFrame({"unique_id": ["b"] * 5 + ["a"] * 4, "ds": [*range(5), *range(4)]})
    table = table.with_columns(x=pl.Series(WAVE[:9]))

    found = read_trajectories(table)

    assert found.ids == ["a", "b"]
    assert found.dt == 1.0
    assert found.last_of_each().ids == ["a", "b"]


def test_rows_are_put_in_the_order_of_time() -> None:
    table = pl.DataFrame({"ds": np.arange(60) * 0.5, "x": WAVE})

    shuffled = read_trajectories(table.sample(fraction=1, shuffle=True, seed=0))

    np.testing.assert_array_equal(shuffled.segments[0][:, 0], WAVE)
    assert shuffled.dt == 0.5


def test_time_stamps_are_seconds() -> None:
    days = pl.datetime_range(pl.datetime(2020, 1, 1), pl.datetime(2020, 1, 9), "1d", eager=True)

    assert read_trajectories(pl.DataFrame({"ds": days, "x": WAVE[:9]})).dt == 86_400


def test_glued_orbits_are_cut_and_single_ones_are_not() -> None:
    first, second = orbits("lorenz63", 500, n=2, seed=0)

    assert len(read_trajectories(first).segments) == 1
    with pytest.warns(SeqmambaWarning, match="leaps 1 time"):
        glued = read_trajectories(np.concatenate([first, second]))
    assert [len(s) for s in glued.segments] == [500, 500]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"ds": [0.0, 1.0, 2.0, 2.5, 3.5], "x": WAVE[:5]}, "rows 3 and 4 of orbit 0 are 0.5"),
        ({"ds": [0, 1, 1], "x": WAVE[:3]}, "repeats a time"),
        ({"ds": [0, 1, 2]}, "no channel besides ds"),
        (np.array([[1.0], [np.inf]]), "'x0' is infinite at row 2"),
        (np.full((5, 2), np.nan), "no row is complete"),
        ([np.zeros((5, 2)), np.zeros((5, 3))], r"alike; got \(5, 2\), \(5, 3\)"),
        ({"x": ["a", "b"]}, "x"),
    ],
    ids=["uneven", "repeated", "empty", "infinite", "missing", "widths", "text"],
)
def test_faults_are_named(source: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_trajectories(source)
