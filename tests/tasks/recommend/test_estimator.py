"""The recommender keeps its word: same histories, same answers, whatever their form."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from sklearn.base import clone

from seqmamba.errors import ConfigError, DataError, SeqmambaWarning
from seqmamba.tasks.recommend.estimator import SIGMARecommender
from seqmamba.tasks.recommend.net.anchored import BlendedRanker

TINY: dict[str, Any] = {"d_model": 8, "d_state": 4, "random_state": 0, "max_len": 10}
LIST = ["item_id", "rank", "score"]


def seen_by(log: pd.DataFrame, user: str) -> list[str]:
    return list(log.item_id[log.user_id == user])


def test_a_known_user_gets_what_their_history_gets(
    model: SIGMARecommender, log: pd.DataFrame
) -> None:
    known = model.predict(["u3", "u5"], topk=5)

    rows = log[log.user_id.isin(["u3", "u5"])].assign(user_id=lambda t: "new " + t.user_id)
    stranger = model.predict(["new u3", "new u5"], history=rows, topk=5)

    assert_frame_equal(known.select(LIST), stranger.select(LIST))


def test_lists_of_items_are_histories(model: SIGMARecommender, log: pd.DataFrame) -> None:
    answer = model.predict(history=[seen_by(log, "u3")], topk=5)

    assert_frame_equal(answer.select(LIST), model.predict(["u3"], topk=5).select(LIST))


def test_seen_items_are_left_out_unless_asked_for(
    model: SIGMARecommender, log: pd.DataFrame
) -> None:
    for user in ("u1", "u2"):
        answer = model.predict([user], topk=50)
        assert not set(answer["item_id"]) & set(seen_by(log, user))
        assert answer.height == log.item_id.nunique() - len(set(seen_by(log, user)))
    assert model.predict(["u1"], topk=10**6, filter_seen=False).height == log.item_id.nunique()


def test_candidates_and_exclusions_hold(model: SIGMARecommender) -> None:
    wanted = ["i1", "i2", "i3", "i4", "unknown"]

    answer = model.predict(["u1", "u2"], candidates=wanted, exclude=["i2"], filter_seen=False)

    assert set(answer["item_id"]) == {"i1", "i3", "i4"}
    assert answer["rank"].to_list() == [1, 2, 3] * 2


def test_candidates_per_user_stay_with_their_user(model: SIGMARecommender) -> None:
    table = {"user_id": ["u1", "u1", "u2"], "item_id": ["i1", "i2", "i3"]}

    answer = model.predict(["u1", "u2", "u3"], candidates=table, filter_seen=False)

    shown = dict(answer.group_by("user_id").agg("item_id").iter_rows())
    assert {user: set(items) for user, items in shown.items()} == {"u1": {"i1", "i2"}, "u2": {"i3"}}


def test_titles_stand_beside_the_answer(model: SIGMARecommender, tmp_path: Path) -> None:
    text = "item_id:token\ttitle:token\ni1\tOne\ni2\tTwo\n"
    (tmp_path / "shop.item").write_text(text)

    answer = model.predict(
        ["u1"], candidates=["i1", "i2", "i3"], filter_seen=False, items=tmp_path / "shop.item"
    )

    titles = dict(zip(answer["item_id"], answer["title"], strict=True))
    assert titles == {"i1": "One", "i2": "Two", "i3": None}
    assert answer["rank"].to_list() == [1, 2, 3]


def test_probabilities_sum_to_one(model: SIGMARecommender) -> None:
    answer = model.predict(["u1", "u2"], topk=1000, proba=True)

    totals = answer.group_by("user_id").agg(pl.col("score").sum())["score"]
    assert totals.to_numpy() == pytest.approx([1.0, 1.0])


def test_cold_users_get_what_is_popular(model: SIGMARecommender, log: pd.DataFrame) -> None:
    answer = model.predict(["u1", "nobody"], topk=3)

    assert answer.filter(pl.col("user_id") == "nobody")["source"].to_list() == ["popular"] * 3
    assert set(model.predict(["u1", "nobody"], cold_user="skip")["user_id"]) == {"u1"}
    with pytest.raises(DataError, match="'nobody'"):
        model.predict(["nobody"], cold_user="error")


def test_unknown_items_are_counted_in_one_warning(model: SIGMARecommender) -> None:
    with pytest.warns(SeqmambaWarning, match=r"2 of 4 events .*'x'") as caught:
        answer = model.predict(history=[["i1", "x"], ["y", "i2"]], topk=1)

    assert len(caught) == 1
    assert answer["source"].to_list() == ["model", "model"]


def test_a_history_without_known_items_is_cold(model: SIGMARecommender) -> None:
    with pytest.warns(SeqmambaWarning, match="does not know"):
        answer = model.predict(history=[["x", "y"]], topk=2)

    assert answer["source"].to_list() == ["popular"] * 2


def test_unknown_candidates_are_an_error(model: SIGMARecommender) -> None:
    with pytest.raises(DataError, match=r"none of the 2 candidates is known .*'x'"):
        model.predict(["u1"], candidates=["x", "y"])


@pytest.mark.parametrize("kind", ["integer", "category", "shuffled"])
def test_the_form_of_ids_and_rows_changes_nothing(log: pd.DataFrame, kind: str) -> None:
    small = TINY | {"max_epochs": 1}
    plain = SIGMARecommender(**small).fit(log).predict(topk=3)
    other = log.copy()
    if kind == "integer":
        other = other.assign(item_id=other.item_id.str[1:].astype(int))
    elif kind == "category":
        other = other.astype({"user_id": "category", "item_id": "category"})
    else:
        other = other.sample(frac=1, random_state=0)

    answer = SIGMARecommender(**small).fit(other).predict(plain["user_id"].unique(), topk=3)
    answer = answer.join(plain, on=["user_id", "rank"], how="left", suffix="_plain")

    items = answer["item_id"].cast(pl.String)
    plain_items = answer["item_id_plain"].str.strip_prefix("i" if kind == "integer" else "")
    assert (items == plain_items).all()
    assert answer["score"].to_numpy() == pytest.approx(answer["score_plain"].to_numpy(), abs=1e-4)


def test_save_and_load_give_equal_bits(model: SIGMARecommender, tmp_path: Path) -> None:
    again = SIGMARecommender.load(model.save(tmp_path / "model.safetensors"))

    assert_frame_equal(again.predict(topk=5), model.predict(topk=5), check_exact=True)
    assert_frame_equal(again.evaluate(), model.evaluate(), check_exact=True)
    assert again.anchor_ == "markov"


def test_the_same_seed_gives_the_same_bits(model: SIGMARecommender, log: pd.DataFrame) -> None:
    assert_frame_equal(clone(model).fit(log).predict(), model.predict(), check_exact=True)


def test_without_anchor_the_scores_are_those_of_the_bare_network(log: pd.DataFrame) -> None:
    small = TINY | {"max_epochs": 1}
    bare = SIGMARecommender(anchor=None, **small).fit(log)
    blended = SIGMARecommender(anchor="markov", **small).fit(log)

    assert isinstance(blended.net_, BlendedRanker)
    own = blended.net_.net.state_dict()
    assert all(torch.equal(own[name], value) for name, value in bare.net_.state_dict().items())
    assert bare.blend_ == (1.0, 0.0)


def test_the_blend_is_worse_than_neither_part_on_validation(log: pd.DataFrame) -> None:
    small = TINY
    fitted = SIGMARecommender(anchor="auto", max_epochs=1, **small).fit(log)
    alone = SIGMARecommender(anchor="auto", max_epochs=0, **small).fit(log)

    assert alone.blend_ == (0.0, 1.0)
    assert alone.history_.best == min(alone.anchor_scores_.values())
    assert fitted.history_.best <= min(fitted.anchor_scores_.values()) + 1e-9


@pytest.mark.parametrize("loss", ["sampled", "gbce", "bpr"])
def test_sparse_gradients_learn_as_well_as_dense_ones(log: pd.DataFrame, loss: str) -> None:
    params: dict[str, Any] = {
        "loss": loss,
        "max_epochs": 3,
        "anchor": None,
        "d_model": 16,
        "random_state": 0,
    }
    dense = SIGMARecommender(**params).fit(log)
    sparse = SIGMARecommender(sparse=True, **params).fit(log)

    rows = dense.history_.rows[0], sparse.history_.rows[0]
    first, last = sparse.history_.rows[0], sparse.history_.rows[-1]
    assert rows[0]["train_loss"] == pytest.approx(rows[1]["train_loss"], rel=0.05)
    assert last["train_loss"] < first["train_loss"]


def test_sparse_gradients_of_a_full_softmax_are_refused(log: pd.DataFrame) -> None:
    with pytest.raises(ConfigError, match="moves the vectors of all"):
        SIGMARecommender(sparse=True, loss="softmax").fit(log)


def test_user_ids_never_enter_the_network(log: pd.DataFrame, model: SIGMARecommender) -> None:
    renamed = log.assign(user_id="x" + log.user_id)

    again = clone(model).fit(renamed)

    assert_frame_equal(
        again.predict(topk=3).select(LIST), model.predict(topk=3).select(LIST), check_exact=True
    )


def test_similar_items_are_nearest_by_cosine(model: SIGMARecommender) -> None:
    vectors = model.embed("items").drop("item_id").to_numpy()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = model.embed("items")["item_id"].to_list()

    answer = model.similar(["i1"], topk=3)

    cosine = unit @ unit[ids.index("i1")]
    expected = [ids[i] for i in np.argsort(-cosine) if ids[i] != "i1"][:3]
    assert answer["similar_id"].to_list() == expected
    with pytest.raises(DataError, match="'x' is not known"):
        model.similar(["x"])


def test_vectors_give_the_scores(causal: SIGMARecommender) -> None:
    bare = deepcopy(causal)
    if isinstance(bare.net_, BlendedRanker):
        bare.net_ = bare.net_.get_submodule("net")
    user = bare.embed("users", ["u4"]).drop("user_id").to_numpy()
    items = bare.embed("items").drop("item_id").to_numpy()

    answer = bare.predict(["u4"], topk=1, filter_seen=False)

    assert answer["score"][0] == pytest.approx(float((user @ items.T).max()), abs=1e-5)


def test_explain_names_the_newest_items(model: SIGMARecommender, log: pd.DataFrame) -> None:
    table = model.explain("u3", n_newest=4)

    assert table["item_id"].to_list() == seen_by(log, "u3")[::-1][:4]
    assert table["loss"].is_finite().all()


def test_streaming_equals_predict(causal: SIGMARecommender, log: pd.DataFrame) -> None:
    items = seen_by(log, "u3")[:15]

    state = causal.start(items[:-1])
    scores = causal.step(state, items[-1])

    answer = causal.predict(history=[items], topk=1000, filter_seen=False)
    by_item = dict(zip(causal.item_ids_.values, scores, strict=True))
    expected = [by_item[item] for item in answer["item_id"]]
    assert answer["score"].to_numpy() == pytest.approx(np.array(expected), abs=1e-5)


def test_streaming_a_flipped_network_names_the_preset_that_can(model: SIGMARecommender) -> None:
    with pytest.raises(ConfigError, match="mamba4rec"):
        model.start(["i1"])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"user_id": ["a", None], "item_id": ["x", "y"]}, "1 rows have no user_id; first: row 2"),
        ({"user_id": ["a", "a"], "item_id": ["x", "x"]}, "one single item"),
        ({"user_id": ["a", "b"], "item_id": ["x", "y"]}, "no interaction is left|no user has two"),
        ({"user": ["a", "b"], "item_id": ["x", "y"]}, "no column 'user_id'"),
    ],
    ids=["null id", "one item", "one event each", "no user column"],
)
def test_bad_tables_get_one_sentence(table: dict[str, list[str]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        SIGMARecommender(min_user=1).fit(table)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"targets": "all"}, "causal network"),
        ({"targets": "tail", "conv": "same"}, "conv='causal'"),
        ({"preset": "sigma-released", "targets": "tail"}, "targets='last'"),
        ({"preset": "sgima"}, "Did you mean 'sigma'"),
    ],
)
def test_settings_that_would_leak_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SIGMARecommender(**params).fit({"user_id": [1] * 5, "item_id": [1, 2, 3, 4, 5]})


def test_an_anchor_without_validation_is_refused(log: pd.DataFrame) -> None:
    with pytest.raises(ConfigError, match="pass eval_set"):
        SIGMARecommender(anchor="markov", split="none", **TINY).fit(log)


def test_a_given_validation_table_chooses_the_blend(log: pd.DataFrame) -> None:
    last = log.groupby("user_id").tail(1)
    rest = log.drop(last.index)

    model = SIGMARecommender(split="none", max_epochs=1, **TINY).fit(rest, eval_set=last)

    assert model.anchor_ is not None
    assert model.log_.trained.sum() == len(rest)
    assert model.history_.best < 0
