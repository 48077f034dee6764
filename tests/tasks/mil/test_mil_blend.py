"""A regression on bag statistics beside the networks, in shares learned on held-out bags."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from torch.testing import assert_close

import seqmamba
from seqmamba.datasets.simulate.instances import Slides
from seqmamba.errors import ConfigError
from seqmamba.tasks.mil.answers.blending import best_shares, blend, held_out_statistics
from seqmamba.tasks.mil.baselines import BagStatistics, bag_statistics
from seqmamba.tasks.mil.data import BagSamples
from seqmamba.tasks.mil.estimator import MILClassifier
from seqmamba.tasks.mil.net.blend import StatisticsAnchor, statistics_of
from seqmamba.tasks.mil.net.model import BagNet, NetSettings


@pytest.fixture(scope="module")
def shifted(bags: Slides) -> list[Any]:
    """Return bags whose mean tells a little of their class."""
    return [bag + 0.5 * label for bag, label in zip(bags.bags, bags.labels, strict=True)]


@pytest.fixture(scope="module")
def samples(shifted: list[Any], bags: Slides, fitted: MILClassifier) -> BagSamples:
    read: BagSamples = clone(fitted)._read(shifted, bags.labels, True)
    return replace(read, seed=0)


@pytest.fixture(scope="module")
def blended(fitted: MILClassifier, shifted: list[Any], bags: Slides) -> MILClassifier:
    model: MILClassifier = clone(fitted).set_params(n_members=3)
    return model.fit(shifted, bags.labels)


def test_statistics_of_tensors_are_those_of_the_baseline(samples: BagSamples) -> None:
    batch = samples.batch(np.arange(len(samples)))

    found = statistics_of(batch.x.double(), batch.extra["lengths"])

    assert_allclose(found.numpy(), bag_statistics(samples), rtol=1e-6, atol=1e-6)


def test_a_bag_of_one_instance_has_finite_slopes() -> None:
    x = torch.randn(3, 4, requires_grad=True)

    statistics_of(x, torch.tensor([1, 2])).sum().backward()  # type: ignore[no-untyped-call]

    assert x.grad is not None
    assert bool(x.grad.isfinite().all())


def test_the_anchor_in_the_network_is_the_regression(samples: BagSamples) -> None:
    regression = BagStatistics.fit(samples, 2)
    anchor = StatisticsAnchor(torch.from_numpy(regression.weights).float())

    found = anchor(samples.batch(np.arange(len(samples))))

    assert_allclose(found.numpy(), regression.logits(samples), rtol=1e-4, atol=1e-5)


def test_far_statistics_are_cut(samples: BagSamples, bags: Slides) -> None:
    regression = BagStatistics.fit(samples, 2)
    far = [1e6 * bag for bag in bags.bags]

    logits = regression.logits(MILClassifier()._read(far, bags.labels, True))

    most = 3 * np.abs(regression.weights[2:, :-1]).sum() + np.abs(regression.weights[2:, -1]).sum()
    assert np.abs(logits).max() <= most


def test_one_known_class_is_certain(samples: BagSamples) -> None:
    one = samples.part(np.flatnonzero(samples.y == 1))

    probability = BagStatistics.fit(one, 3).predict(samples)

    assert_allclose(probability, np.tile([0.0, 1.0, 0.0], (len(samples), 1)))


def test_statistics_judge_no_bag_that_they_know(samples: BagSamples) -> None:
    crossed = samples.crossed(4)
    assert crossed.fold is not None
    assert crossed.y is not None
    mine, others = crossed.fold == 2, crossed.fold != 2

    found = held_out_statistics(crossed, crossed, 2)[mine]

    table = bag_statistics(crossed)
    z = (table - table[others].mean(0)) / table[others].std(0)
    model = LogisticRegression(C=0.1, max_iter=1_000).fit(
        z[others].clip(-3, 3), crossed.y[others], sample_weight=None
    )
    expected = model.decision_function(z[mine].clip(-3, 3))
    assert_allclose(found[:, 1] - found[:, 0], expected, rtol=1e-3, atol=1e-3)


def test_shares_go_to_the_view_that_knows() -> None:
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 3, 400)
    good = 2.0 * np.eye(3)[codes] + generator.normal(size=(400, 3))
    noise = generator.normal(size=(400, 3))

    shares = best_shares(np.stack([noise, good]), codes, np.ones(400))

    assert shares[0] < 0.15
    assert shares[1] == pytest.approx(2.0, abs=0.3)  # the factor of a Gaussian of variance 1
    assert_allclose(best_shares(np.stack([-good, 0 * good]), codes, np.ones(400))[0], 0, atol=1e-6)


def test_where_neither_knows_anything_the_network_stays(samples: BagSamples) -> None:
    assert samples.y is not None
    net = BagNet(6, 2, NetSettings(d_model=4, n_layers=1))
    turned = replace(samples, y=1 - samples.y)  # both views are sure of the other class

    found = blend(net, 5.0 * np.eye(2)[samples.y], samples, turned, 2)

    assert found.shares == (1.0, 0.0)


def test_small_sets_are_blended(blended: MILClassifier, fitted: MILClassifier) -> None:
    assert set(blended.shares_) == {"network", "statistics"}
    assert blended.shares_["statistics"] > 0
    assert fitted.shares_ == {"network": 1.0}


def test_nothing_is_blended_unasked(
    fitted: MILClassifier, shifted: list[Any], bags: Slides
) -> None:
    alone = clone(fitted).set_params(n_members=3, blend=None).fit(shifted, bags.labels)

    assert alone.shares_ == {"network": 1.0}


def test_blended_logits_are_the_weighted_sum(
    blended: MILClassifier, samples: BagSamples, shifted: list[Any]
) -> None:
    net: Any = blended.net_
    batch = replace(samples, weight=None).batch(np.arange(7))

    found = net(batch).detach()

    network, statistics = blended.shares_.values()
    expected = network * net.net(batch) + statistics * net.anchor(batch)
    assert_close(found, expected.detach())
    margin = (found[:, 1] - found[:, 0]).double()
    assert_allclose(blended.decision_function(shifted[:7]), margin, rtol=1e-4, atol=1e-5)


def test_a_blend_survives_the_file(
    blended: MILClassifier, shifted: list[Any], tmp_path: Path
) -> None:
    loaded: Any = seqmamba.load(blended.save(tmp_path / "model.safetensors"))

    assert loaded.shares_ == blended.shares_
    assert_array_equal(loaded.predict_proba(shifted), blended.predict_proba(shifted))


def test_shares_of_instances_sum_to_the_blended_odds(
    blended: MILClassifier, shifted: list[Any]
) -> None:
    net: Any = blended.net_
    bag = shifted[3]
    middle = np.broadcast_to(net.mean.numpy(), bag.shape).astype(np.float32)

    share = blended.attribution([bag], [1])[0]

    gain = np.diff(blended.decision_function([middle, bag]))[0]
    assert share.sum() == pytest.approx(gain, rel=0.05, abs=0.02)


def test_one_network_can_be_blended_too(
    fitted: MILClassifier, shifted: list[Any], bags: Slides
) -> None:
    model = clone(fitted).set_params(blend="statistics", val_size=0.25)

    model.fit(shifted, bags.labels)

    assert set(model.shares_) == {"network", "statistics"}


def test_shares_need_held_out_bags(fitted: MILClassifier, bags: Slides) -> None:
    model = clone(fitted).set_params(blend="statistics", val_size=0)

    with pytest.raises(ConfigError, match="takes its shares from held-out bags"):
        model.fit(bags.bags, bags.labels)
