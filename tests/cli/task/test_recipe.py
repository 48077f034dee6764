"""Recipes: read strictly, written so that they can be read again."""

from pathlib import Path
from typing import Any

import pytest

from seqmamba.cli.task.recipe import read_recipe, recipe_text
from seqmamba.errors import ConfigError

RECIPE = """
task: regress
data: {path: train.csv}
params: {d_model: 16, dropout: 1e-1}
train: {max_epochs: 3}
"""


@pytest.fixture
def estimator(third_party: Path) -> Any:
    from seqmamba_regress.estimator import SequenceRegressor

    return SequenceRegressor


def test_blocks_become_parameters_and_data(estimator: Any, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)

    recipe = read_recipe(path, "regress", estimator)

    assert recipe.params == {"d_model": 16, "dropout": 0.1, "max_epochs": 3}
    assert recipe.data == {"path": "train.csv"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: forecast", "for task 'forecast', not for 'regress'"),
        ("prams: {}", "unknown block 'prams' .* Did you mean 'params'"),
        ("params: {d_modle: 3}", "unknown key 'd_modle' .* Did you mean 'd_model'"),
        ("params: {max_epochs: 3}", "'max_epochs' .* belongs into the block 'train'"),
        ("train: {d_model: 8}", "'d_model' .* belongs into the block 'params'"),
        ("params: [1, 2]", "must be a mapping"),
        ("params: {d_model: wide}", "d_model .* 'wide' is not INT"),
        ("- 1\n- 2", "must hold the blocks"),
        ("a: b: c", "is not YAML"),
        ("params: {d_model: !!python/object:os.system {}}", "is not YAML"),
    ],
)
def test_wrong_recipe_is_explained(text: str, message: str, estimator: Any, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=message):
        read_recipe(path, "regress", estimator)


def test_written_recipe_repeats_the_estimator(estimator: Any, tmp_path: Path) -> None:
    model = estimator(d_model=24, anchor="means", max_epochs=7, learning_rate=1e-5)
    path = tmp_path / "recipe.yaml"
    path.write_text(
        recipe_text("regress", estimator, model.get_params(), {"path": "a.csv", "eval_set": "b"})
    )

    recipe = read_recipe(path, "regress", estimator, ["eval_set"])

    assert estimator(**recipe.params).get_params() == model.get_params()
    assert recipe.data == {"path": "a.csv", "eval_set": "b"}
