"""The classifier: every format gives one answer, labels come back, what is wrong is named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV

import seqmamba
from seqmamba.datasets.bags.files import write_h5
from seqmamba.datasets.bags.labels import Labels
from seqmamba.datasets.simulate.instances import Slides, bag_table
from seqmamba.errors import ConfigError, DataError, SeqmambaWarning
from seqmamba.tasks.mil.baselines import BagStatistics, bag_statistics
from seqmamba.tasks.mil.data import FeatureScale
from seqmamba.tasks.mil.estimator import MILClassifier

TINY: dict[str, Any] = {
    "d_model": 8,
    "d_state": 4,
    "max_epochs": 1,
    "batch_size": 16,
    "n_members": 1,
    "calibrate": None,
    "random_state": 0,
}


def test_files_tables_and_lists_give_one_answer(
    fitted: MILClassifier, bags: Slides, tmp_path: Path
) -> None:
    table = bag_table(bags)
    (tmp_path / "h5_files").mkdir()
    for i, bag in enumerate(bags.bags):
        write_h5(tmp_path / "h5_files" / f"bag{i:04d}.h5", bag, bags.coords[i])
    table.write_parquet(tmp_path / "bags.parquet")

    of_list = fitted.predict_proba(bags.bags)

    for source in (tmp_path, tmp_path / "bags.parquet", table):
        assert_array_equal(fitted.predict_proba(source), of_list)


def test_a_table_answers_in_its_library(fitted: MILClassifier, bags: Slides) -> None:
    answer = fitted.predict(bag_table(bags).to_pandas())

    assert list(answer.columns) == ["bag_id", "class", "p_0", "p_1"]
    assert_allclose(answer[["p_0", "p_1"]].sum(axis=1), 1.0)


def test_text_labels_come_back(bags: Slides) -> None:
    names = np.array(["tumour", "benign"])[bags.labels]

    model = MILClassifier(**TINY).fit(bags.bags, names)

    assert model.classes_.tolist() == ["benign", "tumour"]
    assert set(model.predict(bags.bags)) <= {"benign", "tumour"}
    margin = model.decision_function(bags.bags)
    assert_array_equal(margin > 0, model.predict(bags.bags) == "tumour")


def test_a_label_table_is_matched_by_name(bags: Slides) -> None:
    table = bag_table(bags)
    labels = table.group_by("bag_id", maintain_order=True).agg(pl.col("label").first())
    own = MILClassifier(**TINY).fit(table)

    other = MILClassifier(**TINY).fit(table.drop("label"), labels.sample(fraction=1, shuffle=True))

    assert_array_equal(own.predict_proba(table), other.predict_proba(table))


def test_three_classes(bags: Slides) -> None:
    labels = np.arange(40) % 3

    model = MILClassifier(**TINY).fit(bags.bags, labels)

    assert model.predict_proba(bags.bags).shape == (40, 3)
    assert model.decision_function(bags.bags).shape == (40, 3)
    assert set(model.evaluate(bags.bags, labels)["metric"]) >= {"auroc", "macro_f1"}


def test_grid_search_takes_a_list_of_bags(bags: Slides) -> None:
    search = GridSearchCV(MILClassifier(**TINY, encoder="none"), {"d_model": [4, 8]}, cv=2)

    search.fit(bags.bags, bags.labels)

    assert search.best_params_["d_model"] in (4, 8)


def test_a_loaded_model_scales_and_calibrates_as_before(bags: Slides, tmp_path: Path) -> None:
    far = [100 + 30 * bag for bag in bags.bags]
    model = MILClassifier(**{**TINY, "calibrate": "temperature"}, val_size=30)
    model.fit(far, bags.labels)

    loaded = seqmamba.load(model.save(tmp_path / "model.safetensors"))

    assert loaded.temperature_ == model.temperature_ != 1.0
    assert_array_equal(loaded.predict_proba(far), model.predict_proba(far))
    assert loaded.calibration_["bags"] == 30


def test_features_near_standard_are_left_alone(bags: Slides) -> None:
    standard = [(bag - 0.0) / 1.9 for bag in bags.bags]
    scaled = FeatureScale.of(MILClassifier()._samples(source_of(bags.bags), Labels()))

    model = MILClassifier(**TINY).fit([100 + bag for bag in standard], bags.labels)
    net: Any = model.net_

    assert_allclose(net.mean.mean(), 100, atol=1.0)
    rows = np.concatenate(bags.bags).astype(np.float64)
    assert_allclose(scaled.mean, rows.mean(0))
    assert_allclose(scaled.spread, rows.std(0))


def source_of(bags: Any) -> Any:
    return MILClassifier()._source(bags)


def test_auto_follows_the_number_of_bags_and_the_grid(
    on_slides: MILClassifier, slides: Slides
) -> None:
    model = MILClassifier()
    model._resolve(299, None)
    small = (model.d_model_, model.n_layers_, model.rate_, model.instance_noise_)
    model._resolve(1_000, 17)

    assert small == (64, 1, 5, 0.2)
    assert (model.d_model_, model.n_layers_, model.rate_, model.instance_noise_) == (512, 2, 17, 0)
    assert 12 <= on_slides.rate_ <= 20  # rows of ellipses on grids of 14 to 22


def test_rare_classes_are_drawn_as_often(bags: Slides) -> None:
    labels = (np.arange(40) < 6).astype(int)
    model = MILClassifier(**TINY, sampler="balanced", class_weight=None, val_size=0)
    samples = model._read(bags.bags, labels, True)
    model._seed = 0

    train, _ = model._parts(samples, None, {})

    assert np.bincount(train.y).tolist() == [34, 34]
    assert model._epoch_samples() == 40


def test_balancing_twice_is_told(bags: Slides) -> None:
    with pytest.warns(SeqmambaWarning, match="rare ones count twice"):
        MILClassifier(**TINY, sampler="balanced").fit(bags.bags, bags.labels)


def test_too_few_bags_to_calibrate_are_told(bags: Slides) -> None:
    with pytest.warns(SeqmambaWarning, match="too few to calibrate"):
        MILClassifier(**{**TINY, "calibrate": "temperature"}).fit(bags.bags, bags.labels)


def test_patients_stay_on_one_side(bags: Slides) -> None:
    groups = np.arange(40) // 4
    model = MILClassifier(**TINY)
    samples = model._read(bags.bags, bags.labels, True, groups=groups)

    train, valid = samples.split(0.2)

    assert valid.groups is not None
    assert train.groups is not None
    assert not set(valid.groups) & set(train.groups)


def test_nan_is_named_or_becomes_zero(bags: Slides) -> None:
    broken = [bag.copy() for bag in bags.bags]
    broken[3][2, 1] = np.nan

    with pytest.raises(DataError, match="feature 'f1' of bag '3' is nan at instance 2"):
        MILClassifier(**TINY).fit(broken, bags.labels)
    MILClassifier(**TINY, nan="zero").fit(broken, bags.labels)


def test_an_unknown_class_is_named(fitted: MILClassifier, bags: Slides) -> None:
    with pytest.raises(DataError, match="bag '0' is of class 7, which the model does not know"):
        fitted.score(bags.bags, np.full(40, 7))


def test_one_class_and_no_class_are_errors(bags: Slides) -> None:
    with pytest.raises(DataError, match="all bags are of class 0"):
        MILClassifier(**TINY).fit(bags.bags, np.zeros(40, int))
    with pytest.raises(ConfigError, match="fit needs the class of each bag"):
        MILClassifier(**TINY).fit(bags.bags)
    with pytest.raises(DataError, match="40 bags"):
        MILClassifier(**TINY).fit(bags.bags, bags.labels[:-1])


def test_other_widths_than_those_of_fit_are_refused(fitted: MILClassifier, bags: Slides) -> None:
    with pytest.raises(DataError, match="Missing: f5"):
        fitted.predict([bag[:, :5] for bag in bags.bags])


def test_statistics_are_those_of_each_bag(fitted: MILClassifier, bags: Slides) -> None:
    samples = fitted._samples(fitted._source(bags.bags), Labels())

    table = bag_statistics(samples)

    bag = bags.bags[4].astype(np.float64)
    expected = [bag.mean(0), bag.min(0), bag.max(0), bag.std(0), [np.log(len(bag))]]
    assert_allclose(table[4], np.concatenate(expected), rtol=1e-6)


def test_statistics_tell_shifted_bags_apart(bags: Slides) -> None:
    model = MILClassifier(**TINY)
    shifted = [bag + label for bag, label in zip(bags.bags, bags.labels, strict=True)]
    samples = model._read(shifted, bags.labels, True)

    probability = BagStatistics.fit(samples, 2).predict(samples)

    assert np.mean(probability.argmax(1) == bags.labels) > 0.9


def test_training_repeats_itself(bags: Slides) -> None:
    torch.manual_seed(7)
    one = MILClassifier(**TINY).fit(bags.bags, bags.labels).predict_proba(bags.bags)
    torch.manual_seed(8)
    two = MILClassifier(**TINY).fit(bags.bags, bags.labels).predict_proba(bags.bags)

    assert_array_equal(one, two)


def test_weights_of_bags_weigh(bags: Slides) -> None:
    weight = np.where(bags.labels == 1, 1.0, 0.0)
    settings = {**TINY, "class_weight": None, "max_epochs": 8, "learning_rate": 0.02}

    model = MILClassifier(**settings).fit(bags.bags, bags.labels, sample_weight=weight)

    assert (model.predict(bags.bags) == 1).all()  # class 0 weighs nothing


def test_split_shares_are_kept(bags: Slides) -> None:
    samples = MILClassifier()._read(bags.bags, bags.labels, True)

    train, valid = replace(samples, seed=3).split(0.25)

    assert (len(train), len(valid)) == (30, 10)
    assert valid.y is not None
    assert np.bincount(valid.y).tolist() == [5, 5]
