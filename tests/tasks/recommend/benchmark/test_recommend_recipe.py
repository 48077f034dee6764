"""A recipe gives one row per model and protocol, and refuses unknown settings."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from seqmamba.errors import ConfigError
from seqmamba.tasks.recommend.benchmark import recipe as recipes
from seqmamba.tasks.recommend.benchmark.recipe import run_recipe

TINY: dict[str, Any] = {"d_model": 8, "d_state": 4, "max_len": 10, "max_epochs": 1}


@pytest.fixture
def shop(log: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    path = tmp_path / "shop.csv"
    log.to_csv(path, index=False)
    monkeypatch.setattr(recipes, "check", lambda card, folder: [path])
    return {"task": "recommend", "data": {"card": "ml-100k"}, "params": TINY, "train": {}}


def test_a_recipe_scores_the_model_its_parts_and_the_cheap_ones(shop: dict[str, Any]) -> None:
    table = run_recipe(shop, seeds=2, peers=())

    kept = table.filter(seen="keep")
    assert kept["model"].to_list()[:3] == ["default", "network", "anchor"]
    assert {"popularity", "itemknn", "markov"} <= set(kept["model"])
    assert kept["epochs"][0] == 1
    assert kept["gain_low"][0] <= kept["ndcg@10"][0]
    assert (table.filter(model="popularity")["ndcg@10 sd"] == 0).all()


def test_an_unknown_setting_names_the_nearest(shop: dict[str, Any]) -> None:
    shop["train"] = {"max_epoch": 3}

    with pytest.raises(ConfigError, match="Did you mean 'max_epochs'"):
        run_recipe(shop, seeds=1, peers=())
