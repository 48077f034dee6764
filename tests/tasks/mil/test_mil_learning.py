"""What the encoders learn that pooling cannot, on simulated and on real bags."""

import csv
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqmamba.datasets import simulate
from seqmamba.datasets.bags.labels import read_labels
from seqmamba.datasets.bags.read import read_bags
from seqmamba.datasets.bags.splits import read_splits
from seqmamba.datasets.cards import card, card_names, check
from seqmamba.datasets.samples import Batch
from seqmamba.metrics.classification import auroc
from seqmamba.tasks.mil.answers.validation import part_of
from seqmamba.tasks.mil.benchmark import bench, run_recipe
from seqmamba.tasks.mil.estimator import MILClassifier
from seqmamba.tasks.mil.net.model import BagNet, NetSettings

SMALL: dict[str, Any] = {
    "d_model": 32,
    "n_layers": 1,
    "n_members": 1,
    "d_state": 8,
    "calibrate": None,
    "random_state": 0,
}


def test_places_are_learned_where_pooling_is_at_chance() -> None:
    bags, labels, coords = simulate.bags(n=200, seed=0)
    scores = {}
    for encoder in ("srmamba", "none"):
        model = MILClassifier(**SMALL, encoder=encoder, learning_rate=5e-3, max_epochs=8)
        model.fit(bags[:150], labels[:150], coords=coords[:150])
        scores[encoder] = auroc(labels[150:], model.predict_proba(bags[150:]))

    assert scores["srmamba"] > 0.9
    assert scores["none"] < 0.7


def test_bench_tells_growth_and_memory() -> None:
    table = bench(lengths=(50, 100), n_features=8, d_model=8, encoders=("srmamba", "none"))

    assert table["what"].unique(maintain_order=True).to_list()[:2] == ["srmamba", "none"]
    assert (table["per_second"] > 0).all()
    assert table.filter(table["instances"] == 50)["growth"].to_list()[:2] == [1.0, 1.0]


@pytest.mark.data
@pytest.mark.parametrize("name", card_names("mil"))
def test_copies_are_those_of_the_cards(name: str, data_dir: Path) -> None:
    described = card(name)
    check(described, data_dir / "mil")

    folder = described.columns.get("folder", described.files[0].path)
    bags = read_bags(data_dir / "mil" / folder).bags

    assert len(bags.ids) == described.columns["bags"]
    assert len(bags.names) == described.columns["features"]


@pytest.mark.data
def test_a_recipe_stands_beside_its_baselines(data_dir: Path) -> None:
    blocks = {"data": {"card": "digits_presence"}, "params": {**SMALL, "max_epochs": 1}}

    table = run_recipe(blocks, str(data_dir / "mil"), seeds=1)

    assert table["metric"].to_list() == ["accuracy", "auroc"]
    beside = {"attention_pooling", "mean_pooling", "regression", "boosting"}
    assert {"value", "sd"} | beside <= set(table.columns)


@pytest.mark.slow
@pytest.mark.data
def test_slides_are_told_apart_by_place_alone(data_dir: Path) -> None:
    folder = data_dir / "mil" / "clam_slides"
    source = read_bags(folder)
    labels = read_labels(folder / "slides.csv", source.bags.ids).label
    assert labels is not None
    split = read_splits(folder / "splits", source.bags.ids)[0]
    scores = {}
    for encoder in ("srmamba", "none"):
        size = {**SMALL, "d_model": 48, "learning_rate": 3e-3, "max_epochs": 8}
        model = MILClassifier(**size, encoder=encoder)
        valid = part_of(source, split.val), labels[split.val]
        model.fit(part_of(source, split.train), labels[split.train], eval_set=valid)
        truth = np.searchsorted(model.classes_, labels[split.test])
        scores[encoder] = auroc(truth, model.predict_proba(part_of(source, split.test)))

    assert scores["srmamba"] >= 0.95
    assert scores["none"] <= 0.62  # multiple-instance specification, 8.6


@pytest.mark.slow
@pytest.mark.data
def test_ten_folds_of_musk1_reach_the_specified_accuracy(data_dir: Path) -> None:
    folder = data_dir / "mil"
    table, labels = folder / "musk1.parquet", folder / "musk1_labels.csv"

    scores = MILClassifier(random_state=0).cross_validate(table, labels, metrics=["accuracy"])

    mean = scores.filter(scores["fold"] == "mean")["accuracy"].item()
    assert mean >= 0.87  # multiple-instance specification, 8.7


@pytest.mark.data
def test_official_split_files_are_written_as_they_were(data_dir: Path, tmp_path: Path) -> None:
    from seqmamba.datasets.bags.splits import write_split

    folder = data_dir / "mil" / "clam_slides"
    ids = read_bags(folder).bags.ids
    split = read_splits(folder / "splits", ids)[0]

    write_split(tmp_path / "splits_0.csv", split, ids)

    with open(folder / "splits" / "splits_0.csv", newline="") as theirs:
        expected = list(csv.reader(theirs))
    with open(tmp_path / "splits_0.csv", newline="") as ours:
        assert list(csv.reader(ours)) == expected


@pytest.mark.slow
def test_statistics_that_know_nothing_get_no_share() -> None:
    bags, labels, coords = simulate.bags(n=200, seed=0)
    model = MILClassifier(**{**SMALL, "n_members": 3}, learning_rate=5e-3, max_epochs=12)

    model.fit(bags[:150], labels[:150], coords=coords[:150])

    assert model.shares_["statistics"] < 0.1 * model.shares_["network"]
    assert auroc(labels[150:], model.predict_proba(bags[150:])) > 0.9


@pytest.mark.slow
def test_a_hundred_thousand_instances_fit_into_memory() -> None:
    net = BagNet(1024, 2, NetSettings()).eval()
    bag = torch.randn(100_000, 1024).half()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with torch.inference_mode():
        logits = net(Batch(bag, extra={"lengths": torch.tensor([100_000])}))

    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert bool(logits.isfinite().all())
    assert added < 1_500  # MiB; multiple-instance specification, 4
