"""Small bags of simulated instances."""

from typing import Any

import pytest

from seqmamba.datasets.simulate.instances import Slides, cluster_slides, order_bags
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


@pytest.fixture(scope="session")
def bags() -> Slides:
    return order_bags(40, n_min=4, n_max=12, n_features=6, seed=0)


@pytest.fixture(scope="session")
def slides() -> Slides:
    return cluster_slides(12, n_features=6, seed=0)


@pytest.fixture(scope="session")
def fitted(bags: Slides) -> MILClassifier:
    return MILClassifier(**TINY).fit(bags.bags, bags.labels)


@pytest.fixture(scope="session")
def on_slides(slides: Slides) -> MILClassifier:
    model = MILClassifier(**TINY, val_size=0.25)
    return model.fit(slides.bags, slides.labels, coords=slides.coords)
