"""Every task of the registry, and one of another package, keeps the contract."""

from typing import Any

import polars as pl
import pytest

from seqmamba.datasets.samples import Samples
from seqmamba.tasks import TASKS
from seqmamba.testing import AdapterContract, EstimatorContract


def some_users(cls: type, train: Any, test: Any) -> pl.DataFrame:
    return pl.DataFrame(train).select("user_id").unique(maintain_order=True).head(20)


DIFFERENCES: dict[str, dict[str, Any]] = {
    "forecast": {  # the series are tokens: a model takes any number of them
        "channels_are_fixed": False,
        "small": {"d_model": 8, "windows_per_epoch": 64},
    },
    "chaos": {  # one stage of training; a horizon at which no setting need be searched for long
        "small": {
            "head_epochs": 0,
            "forcing_epochs": 0,
            "n_features": 50,
            "validation_starts": 4,
            "validation_steps": 20,
        },
    },
    "recommend": {  # the test part is what fit held out; predict takes users
        "channels_are_fixed": False,
        "question": classmethod(some_users),
        "small": {"d_model": 8, "d_state": 4, "max_len": 10},
    },
    "track": {"small": {"d_model": 8, "n_layers": 1, "stride": 4}},
    "mil": {"small": {"d_model": 8, "d_state": 4, "batch_size": 40}},
    "survival": {"small": {"d_model": 8, "d_state": 4, "batch_size": 40}},
    "ecg": {"small": {"d_model": 8, "n_layers": 1}},
}

for _name in TASKS:
    _promises = {"task": _name, **DIFFERENCES.get(_name, {})}
    globals()[f"Test_{_name}"] = type(f"Test_{_name}", (EstimatorContract,), _promises)


@pytest.mark.usefixtures("third_party")
class TestThirdParty(EstimatorContract):
    task = "regress"


@pytest.mark.usefixtures("third_party")
class TestThirdPartyAdapter(AdapterContract):
    required = ("unique_id", "ds")

    def read(self, table: Any) -> Samples:
        from seqmamba_regress.data import SequenceSamples

        return SequenceSamples.read(table, None)

    def table(self) -> pl.DataFrame:
        from seqmamba_regress.data import simulate

        return simulate(0)[0]
