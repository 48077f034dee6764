"""The scan benchmark measures what it says, and says why an arm is missing."""

import pytest
import torch

from seqmamba.errors import ConfigError
from seqmamba.kernels import cpp
from seqmamba.kernels.bench import Arm, bench_scan, measure, vector_bound


def test_every_arm_has_a_row_with_figures_or_a_reason() -> None:
    rows = bench_scan(shapes=("2x5x8x4",), against=("torch", "fla"), repeats=1)

    assert [row["arm"] for row in rows] == ["cpp", "torch", "fla"]
    for row in rows:
        assert (row["total_ms"] is None) == (row["note"] is not None)


def test_the_backward_pass_is_part_of_the_total() -> None:
    row = bench_scan(shapes=("4x40x32x8",), against=("torch",), repeats=3)[1]

    assert 0 < row["forward_ms"] < row["total_ms"]
    assert row["elements_per_s"] == pytest.approx(4 * 40 * 32 * 8 / row["forward_ms"] * 1e3)


def test_medians_of_alternating_rounds_are_reported() -> None:
    order = []
    leaf = torch.ones(1, requires_grad=True)

    def arm(name: str) -> Arm:
        def forward() -> torch.Tensor:
            order.append((name, torch.is_grad_enabled()))
            return 2 * leaf

        return Arm(forward, [leaf])

    found = measure({"a": arm("a"), "b": arm("b")}, threads=1, repeats=2)

    both_passes = [("a", False), ("a", True), ("b", False), ("b", True)]
    assert order[-8:] == both_passes * 2
    assert found["a"]["total_ms"] > 0


@pytest.mark.skipif(cpp.why_not() is not None, reason=str(cpp.why_not()))
def test_the_bound_is_that_of_a_processor() -> None:
    assert 1e8 < vector_bound() < 1e11


@pytest.mark.parametrize("shape", ["wide", "2x3x4", "2x3x4x0"])
def test_unknown_shapes_are_named(shape: str) -> None:
    with pytest.raises(ConfigError, match=shape):
        bench_scan(shapes=(shape,))


def test_unknown_implementations_are_named() -> None:
    with pytest.raises(ConfigError, match="mambapi"):
        bench_scan(shapes=("2x3x4x5",), against=("mambapi",))
