"""Our network in RecBole's trainer, and RecBole's protocol in ours (needs RecBole)."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from seqmamba.errors import ModelFileError

pytestmark = [
    pytest.mark.skipif(find_spec("recbole") is None, reason="RecBole is not installed"),
    pytest.mark.filterwarnings("default"),  # RecBole warns a lot on current packages
]

SETTINGS: dict[str, Any] = {
    "epochs": 1,
    "MAX_ITEM_LIST_LENGTH": 20,
    "hidden_size": 16,
    "d_state": 4,
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
    "metrics": ["Hit", "NDCG", "MRR"],
    "topk": [10],
    "valid_metric": "NDCG@10",
    "train_batch_size": 256,
}


@pytest.fixture(scope="module")
def atomic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from seqmamba.datasets.simulate.shopping import interactions
    from seqmamba.tasks.recommend import recbole

    folder = tmp_path_factory.mktemp("atomic")
    recbole.to_atomic(interactions(60, 50, seed=1), folder, "shop")
    return folder


def test_compat_leaves_all_as_found() -> None:
    from seqmamba.tasks.recommend.recbole import compat

    before = torch.load, torch.save, "ray" in sys.modules, hasattr(np, "float_")
    with compat():
        with compat():
            assert hasattr(np, "float_")
        assert hasattr(np, "float_")
        assert "ray" in sys.modules

    assert (torch.load, torch.save, "ray" in sys.modules, hasattr(np, "float_")) == before


def test_the_same_network_has_the_same_scores_in_both(atomic: Path, tmp_path: Path) -> None:
    from seqmamba.tasks.recommend import recbole

    result = recbole.run("SIGMA", "shop", folder=tmp_path, data_path=atomic, **SETTINGS)
    model = recbole.from_checkpoint(result["checkpoint"])

    table = model.evaluate(seen="keep", metrics=["hr@10", "ndcg@10", "mrr@10"])
    theirs = [result["test_result"][name] for name in ("hit@10", "ndcg@10", "mrr@10")]
    assert table["value"].round(4).to_list() == pytest.approx(theirs, abs=1e-9)
    assert model.predict(topk=3)["item_id"].str.starts_with("i").all()


def test_a_pickle_of_recbole_is_refused_in_one_sentence(atomic: Path, tmp_path: Path) -> None:
    from seqmamba.tasks.recommend import recbole

    result = recbole.run("SIGMA", "shop", folder=tmp_path, data_path=atomic, **SETTINGS)
    (pickled,) = tmp_path.glob("*.pth")

    assert result["checkpoint"] == str(pickled.with_suffix(".safetensors"))
    with pytest.raises(ModelFileError, match="could run code") as caught:
        recbole.from_checkpoint(pickled)
    assert pickled.with_suffix(".safetensors").name in str(caught.value)


def test_a_budget_of_minutes_ends_the_epochs(atomic: Path) -> None:
    from seqmamba.tasks.recommend import recbole

    settings = SETTINGS | {"epochs": 3, "train_batch_size": 16}
    short = recbole.run("GRU4Rec", "shop", data_path=atomic, max_minutes=1e-9, **settings)
    long = recbole.run("GRU4Rec", "shop", data_path=atomic, max_minutes=10, **settings)

    assert short["rows"] == 3 * 16  # one batch an epoch
    assert long["rows"] > 3 * 60  # all rows of 60 users, three times


@pytest.mark.parametrize("name", ["SASRec", "GRU4Rec"])
def test_their_models_run_on_current_packages(atomic: Path, name: str) -> None:
    from seqmamba.tasks.recommend import recbole

    result = recbole.run(name, "shop", data_path=atomic, **SETTINGS)

    assert 0 < result["test_result"]["hit@10"] < 1
    assert result["checkpoint"] is None


def test_bpr_trains_too(atomic: Path) -> None:
    from seqmamba.tasks.recommend import recbole

    result = recbole.run("SIGMA", "shop", data_path=atomic, **SETTINGS | {"loss_type": "BPR"})

    assert 0 < result["best_valid_score"] < 1


def test_atomic_files_come_back_equal(tmp_path: Path) -> None:
    from seqmamba.tasks.recommend import recbole

    table = pd.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "é"], "rating": [1.0, 2.5]})
    recbole.to_atomic(table, tmp_path, "toy")

    assert recbole.from_atomic(tmp_path, "toy").equals(pl.from_pandas(table))
