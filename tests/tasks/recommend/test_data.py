"""Windows serve every target once, and never show it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmamba.datasets.samples import Info
from seqmamba.tasks.recommend.data import History, SequenceSamples, Targets, query_samples
from seqmamba.tasks.recommend.data import train_samples as cut
from seqmamba.tasks.recommend.splits import leave_one_out

INFO = Info(channels=1)


def history_of(counts: list[int], held_out: int = 0) -> History:
    """Number all events 1, 2, 3, ...: an item says where it stands."""
    totals = np.array(counts)
    return History(
        np.arange(1, totals.sum() + 1, dtype=np.int32),
        np.concatenate([[0], np.cumsum(totals)]),
        np.maximum(totals - held_out, 0),
        int(totals.sum()),
    )


def pairs_of(samples: SequenceSamples) -> list[tuple[int, int]]:
    """Return (input item, its target) of all windows."""
    batch = samples.batch(np.arange(len(samples)))
    assert batch.y is not None
    inputs = batch.x.gather(1, batch.extra["at"])
    return [
        (int(x), int(y)) for x, y in zip(inputs.flatten(), batch.y.flatten(), strict=True) if y > 0
    ]


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=6),
    st.integers(1, 12),
    st.integers(0, 8),
    st.sampled_from(["last", "tail", "all"]),
    st.integers(0, 2),
)
@settings(max_examples=150, deadline=None)
def test_every_successor_is_a_target_once(
    counts: list[int], max_len: int, keep_last: int, targets: Targets, held_out: int
) -> None:
    history = history_of(counts, held_out)
    samples = cut(history, max_len, targets=targets, keep_last=keep_last, info=INFO)

    expected = [
        (int(begin) + place + 1, int(begin) + place + 2)
        for begin, trained in zip(history.offsets, history.trained, strict=False)
        for place in range(trained - 1)
    ]
    found = pairs_of(samples) if len(samples) else []
    assert sorted(found) == expected
    assert (samples.lengths <= max_len).all()
    if targets == "tail":
        assert (samples.n_targets <= keep_last + 1).all()


def test_the_targets_never_reach_the_input() -> None:
    history = history_of([9, 4])
    samples = cut(history, 5, targets="tail", keep_last=2, info=INFO)
    batch = samples.batch(np.arange(len(samples)))
    assert batch.y is not None

    newest_target = batch.y.max(1).values
    assert (batch.x.max(1).values < newest_target).all()


def test_a_walk_meets_every_window_once_and_long_ones_first() -> None:
    history = history_of([3, 300, 7, 40] * 30)
    samples = cut(history, 200, targets="tail", keep_last=5, info=INFO)

    walked = [*samples.walk()]

    assert sorted(np.concatenate([rows for rows, _ in walked]).tolist()) == [*range(len(samples))]
    assert (np.diff([batch.x.shape[1] for _, batch in walked]) <= 0).all()
    for rows, batch in walked:
        assert batch.extra["lengths"].tolist() == samples.lengths[rows].tolist()


def test_questions_show_the_newest_items_and_hide_the_answer() -> None:
    history = history_of([6, 3, 70])
    split = leave_one_out(history.counts)
    assert split.test is not None

    batch = query_samples(history, split.test, 4, info=INFO).batch(np.arange(3))

    assert batch.x.tolist() == [[2, 3, 4, 5], [7, 8, 0, 0], [75, 76, 77, 78]]
    assert batch.y is not None
    assert batch.y[:, 0].tolist() == [6, 9, 79]
    assert batch.extra["recent"][0, :6].tolist() == [5, 4, 3, 2, 1, 0]
    assert batch.extra["recent"][2, [0, 49]].tolist() == [78, 29]


@pytest.mark.parametrize(
    ("count", "trained", "valid", "test"),
    [(1, 1, None, None), (2, 2, None, None), (3, 2, None, 2), (4, 2, 2, 3), (9, 7, 7, 8)],
)
def test_leave_one_out_treats_short_users_as_recbole_does(
    count: int, trained: int, valid: int | None, test: int | None
) -> None:
    split = leave_one_out(np.array([count]))

    assert split.trained.tolist() == [trained]
    assert split.valid is not None
    assert split.test is not None
    assert split.valid.cuts.tolist() == ([] if valid is None else [valid])
    assert split.test.cuts.tolist() == ([] if test is None else [test])
