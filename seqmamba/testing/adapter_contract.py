# ruff: noqa: D102 - the name of a test is its promise
"""What the samples of an adapter promise to the training loop, as tests to subclass.

class TestMine(AdapterContract):
    def read(self, table): return MySamples.read(table, None)
    def table(self): return simulate(0)[0]
    required = ("unique_id", "ds")
"""

from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from seqmamba.datasets.samples import Batch, Info, Samples
from seqmamba.errors import DataError

__all__ = ["AdapterContract"]


class AdapterContract:
    """Promises of an adapter: a table in, whole batches out."""

    required: ClassVar[tuple[str, ...]] = ()

    def read(self, table: Any) -> Samples:
        """Adapt a table."""
        raise TypeError(f"{type(self).__name__} must define read(table)")

    def table(self) -> pl.DataFrame:
        """Return a small table with targets."""
        raise TypeError(f"{type(self).__name__} must define table()")

    @pytest.fixture
    def samples(self) -> Samples:
        return self.read(self.table())

    # -- batches -------------------------------------------------------------------------------

    def test_samples_keep_the_protocol(self, samples: Samples) -> None:
        assert isinstance(samples, Samples)
        assert len(samples) > 2

    def test_batch_has_one_row_per_index(self, samples: Samples) -> None:
        batch = samples.batch(np.array([1, 0]))

        assert len(batch) == 2
        assert all(t.shape[0] == 2 for t in _tensors(batch).values())

    def test_batch_keeps_the_order_of_the_indices(self, samples: Samples) -> None:
        forward, backward = samples.batch(np.array([0, 1])), samples.batch(np.array([1, 0]))

        for name, value in _tensors(forward).items():
            assert torch.equal(_bits(value.flip(0)), _bits(_tensors(backward)[name])), name

    def test_batch_repeats_itself(self, samples: Samples) -> None:
        first = samples.batch(np.array([0, 2]))
        for value in _tensors(first).values():
            value.zero_()

        second, third = samples.batch(np.array([0, 2])), samples.batch(np.array([0, 2]))

        for name, value in _tensors(second).items():
            assert torch.equal(_bits(value), _bits(_tensors(third)[name])), name
        assert second.x.any()

    def test_inputs_are_float32_or_ids(self, samples: Samples) -> None:
        batch = samples.batch(np.array([0]))

        assert batch.x.dtype in (torch.float32, torch.int64)
        assert batch.mask is None or batch.mask.dtype == torch.bool

    def test_inputs_have_the_channels_of_the_info(self, samples: Samples) -> None:
        batch = samples.batch(np.array([0]))

        assert batch.x.dtype == torch.int64 or batch.x.shape[2] == samples.info.channels

    def test_empty_batch_has_the_shape_of_a_full_one(self, samples: Samples) -> None:
        empty = samples.batch(np.array([], dtype=np.int64))

        assert len(empty) == 0
        assert empty.x.ndim == samples.batch(np.array([0])).x.ndim

    # -- parts ---------------------------------------------------------------------------------

    def test_split_cuts_into_two_parts(self, samples: Samples) -> None:
        train, valid = samples.split(0.25)

        assert len(train) > 0
        assert 0 < len(valid) < len(samples)
        assert len(train) + len(valid) <= len(samples)  # windows over the border belong to neither

    def test_info_survives_json(self, samples: Samples) -> None:
        fields = samples.info.to_json()

        assert Info.from_json(fields) == samples.info

    # -- tables --------------------------------------------------------------------------------

    @pytest.mark.parametrize("library", ["pandas", "pyarrow"])
    def test_every_library_gives_the_same_samples(self, samples: Samples, library: str) -> None:
        table = self.table().to_pandas() if library == "pandas" else self.table().to_arrow()

        other = self.read(table)

        ours, theirs = (_tensors(s.batch(np.arange(len(s)))) for s in (samples, other))
        assert all(torch.equal(_bits(ours[name]), _bits(theirs[name])) for name in ours)

    def test_table_is_not_modified(self) -> None:
        table = self.table()

        self.read(table)

        assert table.equals(self.table())

    def test_table_without_rows_is_an_error(self) -> None:
        with pytest.raises(DataError, match="no rows"):
            self.read(self.table().clear())

    def test_missing_column_is_named(self) -> None:
        for name in self.required:
            with pytest.raises(DataError, match=name):
                self.read(self.table().drop(name))


def _tensors(batch: Batch) -> dict[str, Tensor]:
    found = {"x": batch.x, "mask": batch.mask, "y": batch.y, **batch.extra}
    return {name: value for name, value in found.items() if value is not None}


def _bits(value: Tensor) -> Tensor:
    """Return a tensor in which missing cells equal each other."""
    return value.nan_to_num(nan=-1.2345e30) if value.is_floating_point() else value
