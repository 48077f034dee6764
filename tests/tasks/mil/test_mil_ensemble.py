"""Ensembles: each network leaves out another part of the bags and is judged on it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from torch.testing import assert_close

import seqmamba
from seqmamba.datasets.simulate.instances import Slides
from seqmamba.tasks.mil.answers.validation import fold_splits
from seqmamba.tasks.mil.data import BagSamples
from seqmamba.tasks.mil.estimator import MILClassifier
from seqmamba.tasks.mil.net.ensemble import BagEnsemble
from seqmamba.tasks.mil.net.model import BagNet, NetSettings


@pytest.fixture(scope="module")
def several(fitted: MILClassifier, bags: Slides) -> MILClassifier:
    model: MILClassifier = clone(fitted).set_params(n_members=3, calibrate="temperature")
    model.fit(bags.bags, bags.labels)
    return model


@pytest.fixture
def crossed(fitted: MILClassifier, bags: Slides) -> BagSamples:
    samples: BagSamples = clone(fitted)._read(bags.bags, bags.labels, True)
    return replace(samples, seed=0).crossed(3)


def ensemble() -> BagEnsemble:
    torch.manual_seed(0)
    return BagEnsemble([BagNet(6, 2, NetSettings(d_model=8, n_layers=1)) for _ in range(3)])


def test_small_sets_get_five_networks() -> None:
    model = MILClassifier()

    assert [model._members(n) for n in (299, 300)] == [5, 1]
    assert model.set_params(n_members=2)._members(10_000) == 2


def test_logits_are_the_mean_of_the_members(crossed: BagSamples) -> None:
    net, batch = ensemble().eval(), replace(crossed, fold=None).batch(np.arange(6))

    alone = [member(batch) for member in net.members]

    assert_close(net(batch), torch.stack(alone).mean(0))
    together = torch.cat([pooled.logits for _, pooled in net.pooled(batch)])
    order = torch.cat([chosen for chosen, _ in net.pooled(batch)])
    assert_close(together, net(batch)[order])


def test_a_network_learns_from_no_bag_that_judges_it(
    fitted: MILClassifier, crossed: BagSamples
) -> None:
    net, rows = ensemble(), np.flatnonzero(crossed.fold == 1)

    fitted._loss(net.train(), crossed.batch(rows)).backward()  # type: ignore[no-untyped-call]

    silent = [all(p.grad is None or not p.grad.any() for p in m.parameters()) for m in net.members]
    assert silent == [False, True, False]
    logits, owners = fitted._judged(net.eval(), crossed.batch(rows))
    assert_close(logits, net.members[1](crossed.batch(rows)))
    assert owners.tolist() == list(range(len(rows)))


def test_every_bag_is_learned_from_and_validates(several: MILClassifier) -> None:
    assert several.history_.best < np.inf
    assert several.calibration_["bags"] == 40


def test_networks_that_leave_out_bags_run_through_their_cycle(
    fitted: MILClassifier, bags: Slides
) -> None:
    found = {}
    for members, val_size in ((2, None), (2, 0.25), (1, None)):
        model = clone(fitted).set_params(n_members=members, val_size=val_size, max_epochs="auto")
        samples = model._read(bags.bags, bags.labels, True)
        model._seed = 0
        model._parts(samples, None, {})
        found[members, val_size] = (model.max_epochs_, model.lr_schedule_)

    assert found == {
        (2, None): (30, "one_cycle"),
        (2, 0.25): (100, "constant"),
        (1, None): (100, "constant"),
    }


def test_the_last_weights_of_a_cycle_are_kept(fitted: MILClassifier, bags: Slides) -> None:
    model = clone(fitted).set_params(n_members=2, max_epochs=3, patience=1, min_epochs=0)

    model.fit(bags.bags, bags.labels)

    assert model.history_.best_epoch == 3


def test_patients_are_dealt_whole(fitted: MILClassifier, bags: Slides) -> None:
    groups = np.arange(40) // 4
    samples = clone(fitted)._read(bags.bags, bags.labels, True, groups=groups)

    fold = replace(samples, seed=0).crossed(3).fold

    assert fold is not None
    assert set(fold.tolist()) == {0, 1, 2}
    assert all(len(set(fold[groups == g])) == 1 for g in range(10))


def test_folds_of_a_validation_leave_the_rest_to_the_ensemble(
    fitted: MILClassifier, crossed: BagSamples
) -> None:
    one, several = clone(fitted), clone(fitted).set_params(n_members=3)

    assert all(len(split.val) for split in fold_splits(one, crossed, 4))
    assert not any(len(split.val) for split in fold_splits(several, crossed, 4))


def test_answers_are_of_all_members_and_survive_the_file(
    several: MILClassifier, bags: Slides, tmp_path: Path
) -> None:
    loaded: Any = seqmamba.load(several.save(tmp_path / "model.safetensors"))

    assert_array_equal(loaded.predict_proba(bags.bags), several.predict_proba(bags.bags))
    assert several.transform(bags.bags).shape == (40, 3 * 8)
    sums = [float(np.sum(a)) for a in several.attention(bags.bags)]
    assert_allclose(sums, 1.0, rtol=1e-5)


def test_a_validation_part_that_was_named_is_kept(fitted: MILClassifier, bags: Slides) -> None:
    model = clone(fitted).set_params(n_members=2, val_size=0.25)
    samples = model._read(bags.bags, bags.labels, True)
    model._seed = 0

    train, valid = model._parts(samples, None, {})

    assert len(train) == 30
    assert valid.fold is None
