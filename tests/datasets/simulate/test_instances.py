"""Simulated bags: the label lies in order, place or presence, and nowhere else."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from seqmamba.datasets.simulate.instances import (
    bag_table,
    cluster_slides,
    long_bag,
    order_bags,
    presence_bags,
)
from seqmamba.errors import ConfigError


def test_the_seed_fixes_everything() -> None:
    one, two, other = (order_bags(5, seed=seed) for seed in (1, 1, 2))

    assert_array_equal(one.bags[3], two.bags[3])
    assert one.bags[3].shape != other.bags[3].shape or (one.bags[3] != other.bags[3]).any()


@pytest.mark.parametrize("source", ["gauss", "digits"])
def test_two_keys_in_each_bag_and_classes_in_balance(source: str) -> None:
    made = order_bags(20, source=source)  # type: ignore[arg-type]

    assert [int(keys.sum()) for keys in made.keys] == [2] * 20
    assert np.bincount(made.labels).tolist() == [10, 10]
    assert made.bags[0].shape[1] == 64


def test_instances_can_be_told_apart() -> None:
    made = presence_bags(100)
    rows, keys = np.concatenate(made.bags), np.concatenate(made.keys)
    centre = rows[keys].mean(0)

    near = ((rows - centre) ** 2).sum(1) < ((rows - rows[~keys].mean(0)) ** 2).sum(1)

    assert np.mean(near[keys]) > 0.95
    assert_array_equal([keys.any() for keys in made.keys], made.labels == 1)


def test_keys_lie_together_or_touch_nowhere() -> None:
    made = cluster_slides(30, patch=1, seed=3)

    for label, coords, keys in zip(made.labels, made.coords, made.keys, strict=True):
        apart = np.abs(coords[keys][:, None] - coords[keys][None]).max(-1)
        np.fill_diagonal(apart, 99)
        assert 10 <= keys.sum() <= 14
        assert (apart.min(1) == 1).all() == bool(label)


def test_instances_come_in_raster_order() -> None:
    coords = cluster_slides(1).coords[0]

    assert_array_equal(coords, coords[np.lexsort((coords[:, 0], coords[:, 1]))])


def test_the_table_holds_every_instance() -> None:
    made = cluster_slides(3, side=(5, 6), n_keys=(2, 3), n_features=4)

    table = bag_table(made)

    assert table.height == sum(map(len, made.bags))
    assert table.columns[:5] == ["bag_id", "instance", "x", "y", "label"]


def test_a_long_bag_is_half_precision() -> None:
    assert long_bag(50, n_features=3).dtype == np.float16


def test_sizes_are_checked() -> None:
    with pytest.raises(ConfigError, match="2 <= n_min <= n_max"):
        order_bags(3, n_min=1)
