"""The encoder benchmark has a row per arm and names what it does not know."""

import pytest

from seqmamba.errors import ConfigError
from seqmamba.nn.bench import bench_encoder


def test_directions_masks_and_packages_each_have_a_row() -> None:
    rows = bench_encoder(
        sizes=("2x6x16x1",), arms=("causal", "bi_sum", "masked"), against=("fla",), repeats=1
    )

    assert [row["arm"] for row in rows] == ["causal", "bi_sum", "masked", "fla"]
    assert all(0 < row["forward_ms"] < row["total_ms"] for row in rows[:3])
    assert rows[3]["note"] is not None


@pytest.mark.parametrize("size", ["huge", "2x3x4"])
def test_unknown_sizes_are_named(size: str) -> None:
    with pytest.raises(ConfigError, match=size):
        bench_encoder(sizes=(size,))


def test_unknown_packages_are_named() -> None:
    with pytest.raises(ConfigError, match="mambapi"):
        bench_encoder(sizes=("2x6x16x1",), against=("mambapi",))
