"""Full ranking by two protocols, beside every rival, and equal to a loop."""

import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from sklearn.base import clone

from seqmamba.errors import ConfigError, DataError
from seqmamba.tasks.recommend.estimator import SIGMARecommender


def by_hand(model: SIGMARecommender, log: pd.DataFrame, seen: str) -> dict[str, float]:
    """Rank the last event of each user with ``predict``, one user at a time."""
    hits, gains = [], []
    for user, rows in log.groupby("user_id", sort=False):
        *history, answer = rows.item_id
        if len(history) < 2:
            continue
        everything = model.predict(history=[history], topk=10**6, filter_seen=False)
        ranked = everything["item_id"].to_list()
        if seen == "filter":
            ranked = [item for item in ranked if item == answer or item not in history]
        rank = ranked.index(answer)
        hits.append(rank < 10)
        gains.append(1 / math.log2(rank + 2) if rank < 10 else 0.0)
        assert user is not None
    return {"hr@10": float(np.mean(hits)), "ndcg@10": float(np.mean(gains))}


@pytest.mark.parametrize("seen", ["keep", "filter"])
def test_the_table_equals_a_loop_over_predict(
    model: SIGMARecommender, log: pd.DataFrame, seen: str
) -> None:
    table = model.evaluate(seen=seen)  # type: ignore[arg-type]  # parametrised text

    expected = by_hand(model, log, seen)
    for row in table.iter_rows(named=True):
        assert row["value"] == pytest.approx(expected[row["metric"]], abs=1e-9)


def test_every_rival_has_a_column_and_the_best_is_named(model: SIGMARecommender) -> None:
    table = model.evaluate()
    rivals = ["popularity", "recent_popularity", "itemknn", "markov", "markov_rare"]

    assert {"network", "anchor", *rivals} <= set(table.columns)
    for row in table.iter_rows(named=True):
        assert row["baseline"] == max(row[name] for name in rivals) == row[row["best"]]
        assert row["gain_low"] <= row["gain"] <= row["gain_high"]
        assert row["gain"] == pytest.approx(row["value"] - row["baseline"])
        assert row["anchor"] == row["markov"]


def test_the_model_file_keeps_the_held_out_events(
    model: SIGMARecommender, log: pd.DataFrame
) -> None:
    assert model.evaluate().equals(model.evaluate(log, split="leave_one_out"))


@pytest.mark.parametrize("by", ["length", "popularity", "user"])
def test_groups_make_up_the_whole(model: SIGMARecommender, by: str) -> None:
    groups = model.evaluate(by=by, seen="keep", metrics=["hr@10"])  # type: ignore[arg-type]  # parametrised text

    whole = model.evaluate(seen="keep", metrics=["hr@10"])
    assert groups["users"].sum() == whole["users"][0]
    weighted = np.average(groups["value"], weights=groups["users"])
    assert weighted == pytest.approx(whole["value"][0])


def test_users_without_training_events_are_new(model: SIGMARecommender, log: pd.DataFrame) -> None:
    strangers = log[log.user_id.isin(["u1", "u2", "u3"])].assign(user_id=lambda t: "x" + t.user_id)

    table = model.evaluate(
        pd.concat([log, strangers]), by="user", seen="keep", metrics=["hr@10"]
    ).select("group", "users")

    assert table.rows() == [("known", model.asked_.shape[1]), ("new", 3)]


@pytest.mark.parametrize("seen", ["keep", "filter"])
def test_lists_are_described_as_predict_gives_them(
    model: SIGMARecommender, log: pd.DataFrame, seen: str
) -> None:
    names = ["hr@10", "coverage@5", "novelty@5", "popularity@5"]
    table = model.evaluate(seen=seen, metrics=names)  # type: ignore[arg-type]  # parametrised text
    before = log.groupby("user_id", sort=False).item_id.apply(lambda items: list(items)[:-1])
    lists = model.predict(history=before.to_list(), topk=5, filter_seen=seen == "filter")
    counts = dict(zip(model.item_ids_.values, model.log_.training_counts(), strict=True))
    events = np.array([counts[item] for item in lists["item_id"]])

    expected = [
        lists["item_id"].n_unique() / len(model.item_ids_),
        -np.log2(np.maximum(events, 1) / len(model.user_ids_)).mean(),
        np.log1p(events).mean(),
    ]
    assert table["value"][1:].to_list() == pytest.approx(expected)
    assert table["best"].is_null().to_list() == [False, True, True, True]


def test_several_seeds_are_averaged(model: SIGMARecommender, log: pd.DataFrame) -> None:
    table = model.evaluate(seen="keep", seeds=2)
    twin = clone(model).set_params(random_state=1).fit(log).evaluate(seen="keep")
    own = model.evaluate(seen="keep")

    assert_allclose(table["value"], (own["value"] + twin["value"]) / 2)
    assert_allclose(table["sd"], np.std([own["value"], twin["value"]], axis=0, ddof=1))
    assert_allclose(table["gain_low"], np.minimum(own["gain_low"], twin["gain_low"]))
    assert table["markov"].equals(own["markov"])


def test_the_recall_of_an_index_is_measured(model: SIGMARecommender) -> None:
    items = model.embed("items").drop("item_id").to_numpy()

    def half(vectors: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        nearest = np.argsort(-vectors @ items.T, axis=1)[:, :k]
        return np.where(np.arange(k) % 2 == 0, nearest, -1)

    table = model.evaluate(metrics=["hr@10", "hr@5"], seen="keep", index=half)

    found = dict(table.select("metric", "value").iter_rows())
    assert found["index_recall@10"] == pytest.approx(0.5)
    assert found["index_recall@5"] == pytest.approx(0.6)
    with pytest.raises(DataError, match="shape"):
        model.evaluate(index=lambda vectors, k: vectors)


def test_given_answers_follow_the_stored_histories(
    model: SIGMARecommender, log: pd.DataFrame
) -> None:
    best = model.predict(["u2", "u3"], topk=1, filter_seen=False)
    answers = best.select("user_id", "item_id").with_columns(timestamp=pl.lit(2_000_000_000))

    table = model.evaluate(answers, split="given", seen="keep")

    assert table["value"].to_list() == [1.0, 1.0]
    assert table["users"].to_list() == [2, 2]


def test_a_temporal_fit_is_asked_about_its_future(
    model: SIGMARecommender, log: pd.DataFrame
) -> None:
    fitted = clone(model).set_params(split="temporal", max_epochs=1).fit(log)
    assert fitted.times_ is not None

    place = np.arange(len(fitted.sequence_)) - np.repeat(
        fitted.offsets_[:-1], np.diff(fitted.offsets_)
    )
    trains = place < np.repeat(fitted.trained_, np.diff(fitted.offsets_))
    answers = fitted.offsets_[fitted.asked_[0]] + fitted.asked_[1]

    assert fitted.times_[trains].max() < fitted.times_[answers].min()
    assert fitted.evaluate(seen="keep")["users"][0] == len(answers)


def test_an_unknown_metric_names_the_nearest(model: SIGMARecommender) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'ndcg@10'"):
        model.evaluate(metrics=["ndgc@10"])


def test_nothing_held_out_is_said(log: pd.DataFrame) -> None:
    fitted = SIGMARecommender(split="none", max_epochs=0, d_model=8, d_state=4).fit(log)

    assert fitted.anchor_ is None
    with pytest.raises(DataError, match="split='leave_one_out'"):
        fitted.evaluate()


def test_inspect_counts_what_is_there() -> None:
    table = {"user_id": [1, 1, 1, 2, 2], "item_id": list("aabbc"), "timestamp": [1, 1, 2, 3, 4]}

    found = dict(SIGMARecommender(max_len=2).inspect(table).iter_rows())

    assert (found["users"], found["items"], found["rows"]) == ("2", "3", "5")
    assert found["events covered by max_len=2"] == "80.0%"
    assert found["repeated (user, item) rows"] == "1"
    assert found["same item twice in a row"] == "1"
    assert found["ties in time within users"].startswith("25.0%")
    assert found["users with fewer than 5 events"] == "100.0%"
    assert found["span of time"].startswith("3 (")


def test_leave_one_out_says_that_the_future_leaks(
    model: SIGMARecommender, log: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    model.evaluate(seen="keep")

    assert "split='temporal' does not" in caplog.text
