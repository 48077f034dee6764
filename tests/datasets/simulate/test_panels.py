"""The simulated panel."""

import numpy as np

from seqmamba.datasets import simulate
from seqmamba.datasets.simulate.panels import demand


def test_a_seed_fixes_the_panel() -> None:
    one, two, other = (simulate.panel(3, 50, seed=s) for s in (0, 0, 1))

    assert one.equals(two)
    assert not one.equals(other)


def test_every_series_has_every_stamp() -> None:
    table = simulate.panel(n_series=4, n_steps=30, freq="D")

    assert table.groupby("unique_id")["ds"].nunique().tolist() == [30] * 4
    assert np.isfinite(table["y"]).all()


def test_the_demo_holds_out_its_last_day() -> None:
    train, whole = demand(0)

    assert len(whole) - len(train) == 24 * whole["unique_id"].nunique()
