"""Recipes and measurements: what they read, and what they refuse."""

from pathlib import Path

import pytest
import yaml

from seqmamba import storage
from seqmamba.datasets.cards import card
from seqmamba.errors import ConfigError
from seqmamba.params import params_of
from seqmamba.sweeps.space import resolve_space
from seqmamba.tasks.ecg.benchmark import bench, run_recipe
from seqmamba.tasks.ecg.estimator import ECGClassifier

RECIPES = sorted(storage.share("tasks", "ecg").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_names_a_card_and_parameters_that_exist(path: Path) -> None:
    blocks = yaml.safe_load(path.read_text(encoding="utf-8"))

    assert card(blocks["data"]["card"]).task == "ecg"
    assert set(blocks["params"]) | set(blocks["train"]) <= set(params_of(ECGClassifier))


def test_sweep_preset_names_parameters_that_exist() -> None:
    space = resolve_space(storage.share("sweeps", "ecg.yaml"), ECGClassifier(), "ecg")

    assert "pool" in space.searches


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"data": {"card": "synth12"}}, "needs data.card, and --data-dir"),
        ({"params": {"d_modell": 8}}, "Did you mean 'd_model'"),
    ],
)
def test_wrong_recipe_is_refused(recipe: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run_recipe(recipe)


@pytest.mark.data
def test_recipe_sets_both_baselines_beside(data_dir: Path) -> None:
    recipe = {
        "data": {"card": "ecg200"},
        "train": {"max_epochs": 1, "val_size": 0, "patience": None},
        "params": {"d_model": 8, "n_layers": 1},
    }

    table = run_recipe(recipe, data_dir / "ecg" / "ucr", seeds=1)

    assert set(table["model"]) == {"seqmamba", "1-D ResNet", "logistic regression"}
    assert {"auroc", "accuracy"} <= set(table["metric"])


@pytest.mark.slow
def test_bench_measures_both_networks() -> None:
    table = bench(records=8, repeats=1)

    assert table["what"].to_list() == ["train", "predict", "predict one array"]
    assert (table["seqmamba"] > 0).all()
    assert (table["resnet"] > 0).all()
