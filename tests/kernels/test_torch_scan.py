"""Cutting a scan into segments, chunks and blocks of rows does not show in the result."""

import pytest
import torch

from seqmamba.kernels.torch_scan import rows
from seqmamba.kernels.torch_scan.rows import Plan
from seqmamba.testing.scan_cases import SCAN_CASES, outcome, relative_error, scan_arguments


@pytest.mark.parametrize("case", SCAN_CASES)
def test_segments_side_by_side_equal_the_reference(case: str) -> None:
    arguments = scan_arguments(SCAN_CASES[case], (2, 139, 4, 3))
    assert case.startswith("packed") or Plan.of(2, 139, 12, 1, "cpu").segments > 1

    found, truth = outcome(arguments, "torch"), outcome(arguments, "reference")

    assert relative_error(found.out, truth.out) <= 1e-11
    assert relative_error(found.last_state, truth.last_state) <= 1e-11
    for name, gradient in truth.gradients.items():
        assert relative_error(found.gradients[name], gradient, norm=2) <= 1e-10, name


@pytest.mark.parametrize("case", ["full", "groups", "window-4", "packed", "lengths-reverse"])
def test_blocks_of_rows_equal_one_block(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = scan_arguments(SCAN_CASES[case], (5, 40, 4, 3))
    together = outcome(arguments, "torch")
    monkeypatch.setitem(rows.CHUNK_ELEMENTS, "cpu", 1)

    apart = outcome(arguments, "torch")

    torch.testing.assert_close(apart.out, together.out)
    for name, gradient in together.gradients.items():
        torch.testing.assert_close(apart.gradients[name], gradient)


@pytest.mark.parametrize(("count", "tokens"), [(1, 1), (1, 10007), (3, 500), (128, 7)])
@pytest.mark.parametrize("window", [1, 16, 64])
def test_a_plan_covers_every_token_with_whole_windows(count: int, tokens: int, window: int) -> None:
    plan = Plan.of(count, tokens, 64, window, "cpu")

    chunks = plan.chunks()
    assert plan.segments * plan.tokens >= tokens
    assert [c.start for c in chunks[1:]] == [c.stop for c in chunks[:-1]]
    assert chunks[-1].stop == plan.tokens
    assert all((c.stop - c.start) % window == 0 for c in chunks)
    assert plan.rows % plan.segments == 0
