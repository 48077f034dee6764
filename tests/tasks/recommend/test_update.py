"""New events lengthen histories; old weights stay."""

from copy import deepcopy
from pathlib import Path

import pandas as pd
import pytest
import torch
from polars.testing import assert_frame_equal
from torch import Tensor

from seqmamba.tasks.recommend.estimator import SIGMARecommender
from seqmamba.tasks.recommend.net.anchored import BlendedRanker

LIST = ["item_id", "rank", "score"]


def rows(*pairs: tuple[str, str]) -> pd.DataFrame:
    users, items = zip(*pairs, strict=True)
    times = pd.Timestamp("2030-01-01") + pd.to_timedelta(range(len(pairs)), unit="h")
    return pd.DataFrame({"user_id": users, "item_id": items, "timestamp": times})


def vectors_of(model: SIGMARecommender) -> Tensor:
    assert isinstance(model.net_, BlendedRanker)
    return model.net_.item_vectors().detach()


def test_an_update_equals_prediction_with_the_longer_history(
    model: SIGMARecommender, log: pd.DataFrame
) -> None:
    items = log.item_id[log.user_id == "u3"].tolist()
    former = vectors_of(model).clone()

    updated = deepcopy(model).update(rows(("u3", "i7"), ("u3", "i2"), ("new", "i7")))

    expected = model.predict(history=[[*items, "i7", "i2"], ["i7"]], topk=5)
    assert_frame_equal(updated.predict(["u3", "new"], topk=5).select(LIST), expected.select(LIST))
    assert torch.equal(vectors_of(updated), former)
    assert_frame_equal(updated.evaluate(), model.evaluate())  # held-out events stay the same


def test_new_items_wait_for_training_or_borrow_from_neighbours(model: SIGMARecommender) -> None:
    fresh = rows(("u3", "i7"), ("u3", "brand new"), ("u3", "i2"))
    vectors = dict(zip(model.item_ids_.values, vectors_of(model), strict=True))

    waiting = deepcopy(model).update(fresh)
    at_once = deepcopy(model).update(fresh, cold="neighbours")
    trained = deepcopy(model).update(fresh, epochs=1)

    for updated, shown in ((waiting, False), (at_once, True), (trained, True)):
        everything = updated.predict(["u1"], topk=1000, filter_seen=False)
        assert ("brand new" in everything["item_id"].to_list()) is shown
    expected = (vectors["i7"] + vectors["i2"]) / 2
    assert torch.allclose(vectors_of(at_once)[-1], expected, atol=1e-7)
    assert torch.equal(vectors_of(at_once)[:-1], vectors_of(model))


def test_training_further_moves_weights_and_survives_saving(
    model: SIGMARecommender, tmp_path: Path
) -> None:
    updated = deepcopy(model).update(rows(("u3", "i7"), ("u9", "other")), epochs=2)

    assert not torch.equal(vectors_of(updated)[:-1], vectors_of(model))
    again = SIGMARecommender.load(updated.save(tmp_path / "m.safetensors"))
    assert_frame_equal(again.predict(), updated.predict(), check_exact=True)


def test_an_item_alone_gets_a_small_random_vector(model: SIGMARecommender) -> None:
    updated = deepcopy(model).update(rows(("nobody", "lonely")), cold="neighbours")

    length = vectors_of(updated)[-1].norm().item()
    assert length == pytest.approx(0.02 * 16**0.5, rel=0.7)
