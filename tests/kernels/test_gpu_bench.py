"""The GPU bench: its bounds, and that it runs where there is a device."""

import pytest
import torch

from seqmamba.errors import BackendError, ConfigError
from seqmamba.kernels.bench import bench_scan
from seqmamba.kernels.gpu.bench import bench_scan_on_gpu, position_cost

H200 = (4.3e12, 4.2e12)  # bytes and exponentials per second: kernels specification, section 7


@pytest.mark.parametrize(("size", "forward", "backward"), [(4, 4.5, 7.2), (2, 4.5, 7.2)])
def test_bounds_are_those_of_the_specification(size: int, forward: float, backward: float) -> None:
    found = position_cost(16, size, *H200)

    assert found[0] * 1e12 == pytest.approx(forward, abs=0.1)
    assert found[1] * 1e12 == pytest.approx(backward, abs=0.1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_without_a_device_it_says_so() -> None:
    with pytest.raises(BackendError, match="needs a CUDA device"):
        bench_scan_on_gpu()


@pytest.mark.gpu
@pytest.mark.parametrize("both_directions", [False, True])
def test_every_arm_has_a_row_with_times_or_a_reason(both_directions: bool) -> None:
    rows = bench_scan_on_gpu(shapes=[(2, 64, 32, 16)], both_directions=both_directions, repeats=2)

    assert [row["arm"] for row in rows] == ["cuda", "triton", "mamba_ssm", "torch"]
    assert all(row["note"] or row["total_ms"] >= row["forward_ms"] > 0 for row in rows)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_the_command_asks_the_device() -> None:
    with pytest.raises(BackendError, match="needs a CUDA device"):
        bench_scan(device="cuda", shapes=("short", "2x7x16x4"))
    with pytest.raises(ConfigError, match="unknown shape '2x7'"):
        bench_scan(device="cuda", shapes=("2x7",))
