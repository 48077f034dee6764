"""What the compiled CPU kernels promise beyond the contract of every back-end."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from seqmamba.kernels import (
    ScanArguments,
    causal_conv1d,
    cpp,
    reference,
    scan_pair,
    selective_scan,
)
from seqmamba.kernels.cpp.loader import find_library
from seqmamba.kernels.problem import Scan

pytestmark = pytest.mark.skipif(cpp.why_not() is not None, reason=str(cpp.why_not()))

LEVELS = ("smallest", "middle", "widest")  # x86-64 levels; elsewhere there is one for all


def make_scan(
    batch: int = 3,
    length: int = 37,
    width: int = 70,
    states: int = 16,
    dtype: torch.dtype = torch.float32,
    **options: bool | int,
) -> Scan:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    u, delta, z = (draw(batch, length, width) for _ in range(3))
    B, C = (draw(batch, length, 1, states) for _ in range(2))
    A, D, bias = -draw(width, states).exp(), draw(width), draw(width)
    return Scan(u, delta, A, B, C, D, z, bias, delta_softplus=True, **options)  # type: ignore[arg-type]  # flags and window


def everything(scan: Scan) -> list[Tensor]:
    """Output, last state and all gradients."""
    result = cpp.forward([scan], True)[0]
    grads = (torch.ones_like(result.out), torch.ones_like(result.last_state))
    found = cpp.backward([scan], [result], [grads])[0]
    return [result.out, result.last_state, *(t for t in found.tensors() if t is not None)]


def oracle(scan: Scan) -> list[Tensor]:
    inputs = [t.double().requires_grad_() for t in scan.tensors() if t is not None]
    u, delta, A, B, C, D, z, bias = inputs
    wide = Scan(u, delta, A, B, C, D, z, bias, delta_softplus=True, window=scan.window)
    out, last_state = reference.scan(wide)
    return [out, last_state, *torch.autograd.grad(out.sum() + last_state.sum(), inputs)]


@pytest.fixture(params=range(3), ids=LEVELS)
def level(request: pytest.FixtureRequest) -> Iterator[int]:
    """Restrict the kernels to an instruction set for one test."""
    found = cpp.library()
    assert found is not None
    if found.seqmamba_limit_isa(request.param) != request.param:
        found.seqmamba_limit_isa(2)
        pytest.skip("this processor lacks the instruction set")
    yield request.param
    found.seqmamba_limit_isa(2)


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("states", [1, 2, 7, 16, 20])
@pytest.mark.parametrize("window", [1, 4])
def test_every_instruction_set_equals_the_reference(states: int, window: int) -> None:
    scan = make_scan(states=states, window=window)

    for value, truth in zip(everything(scan), oracle(scan), strict=True):
        assert (value - truth).norm() <= 2e-6 * truth.norm()


@pytest.mark.usefixtures("level")
def test_every_instruction_set_keeps_double_precision() -> None:
    scan = make_scan(dtype=torch.float64)

    for value, truth in zip(everything(scan), oracle(scan), strict=True):
        assert (value - truth).norm() <= 1e-13 * truth.norm()


@pytest.mark.parametrize("shape", [(33, 40, 100), (1, 200, 300), (2, 33, 500), (5, 3, 700)])
def test_bits_do_not_depend_on_the_number_of_threads(shape: tuple[int, int, int]) -> None:
    scan = make_scan(*shape)
    alone = everything(scan)

    for threads in (2, 3, 5):
        torch.set_num_threads(threads)
        assert all(map(torch.equal, everything(scan), alone))


def test_scans_that_run_together_have_the_bits_of_each_alone() -> None:
    scans = [make_scan(), make_scan(9, 50, 40, reverse=True), make_scan(dtype=torch.float64)]
    torch.set_num_threads(2)

    results = cpp.forward(scans, True)
    gradients = cpp.backward(scans, results, [(r.out, None) for r in results])

    for scan, result, found in zip(scans, results, gradients, strict=True):
        single = cpp.forward([scan], True)[0]
        again = cpp.backward([scan], [single], [(single.out, None)])[0]
        assert torch.equal(result.out, single.out)
        assert torch.equal(result.last_state, single.last_state)
        for one, other in zip(found.tensors(), again.tensors(), strict=True):
            assert one is other is None or torch.equal(one, other)  # type: ignore[arg-type]  # both


def test_a_pair_differentiates_like_two_scans() -> None:
    scan = make_scan()
    scan.A.requires_grad_()
    first: ScanArguments = {"u": scan.u, "delta": scan.delta, "A": scan.A, "B": scan.B, "C": scan.C}
    first["delta_softplus"] = True
    second: ScanArguments = {**first, "z": scan.z, "reverse": True}

    pair = scan_pair(first, second, backend="cpp")
    two = [selective_scan(**arguments, backend="cpp") for arguments in (first, second)]

    (A_pair,) = torch.autograd.grad(torch.stack(pair).square().sum(), scan.A)
    (A_two,) = torch.autograd.grad(torch.stack(two).square().sum(), scan.A)
    torch.testing.assert_close(A_pair, A_two)


def test_an_unwanted_last_state_is_not_made() -> None:
    lean, full = make_scan(wants_last_state=False), make_scan()

    (less,), (more,) = cpp.forward([lean], False), cpp.forward([full], False)

    assert less.last_state.numel() == 0
    assert torch.equal(less.out, more.out)


def test_short_scans_save_no_checkpoints() -> None:
    saved = [cpp.forward([make_scan(length=n)], True)[0].saved for n in (32, 33)]

    assert saved[0] is not None
    assert saved[0].numel() == 0
    assert saved[1] is not None
    assert saved[1].numel() == 3 * 80 * 16  # one state per row, channels padded to 16


def test_subnormal_numbers_survive_outside_the_kernels() -> None:
    everything(make_scan())

    assert np.float32(1e-38) * np.float32(1e-3) > 0


def test_conv_bits_do_not_depend_on_the_number_of_threads() -> None:
    x = torch.randn(40, 30, 100, requires_grad=True)
    weight, bias = torch.randn(100, 4, requires_grad=True), torch.randn(100, requires_grad=True)
    found = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        out = causal_conv1d(x, weight, bias, "silu", backend="cpp")
        found.append((out, *torch.autograd.grad(out.square().sum(), (x, weight, bias))))

    for others in found[1:]:
        assert all(map(torch.equal, found[0], others))


@pytest.mark.parametrize("content", [b"", b"no library at all" * 9], ids=["empty", "text"])
def test_a_foreign_library_is_refused_with_its_reason(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "seqmamba_cpp.so").write_bytes(content)
    monkeypatch.setattr("seqmamba.kernels.__path__", [str(tmp_path)])

    found, reason = find_library()

    assert found is None
    assert reason is not None
    assert str(tmp_path) in reason


def test_a_library_for_another_processor_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = cpp.library()
    assert found is not None
    binary = bytearray(Path(found._name).read_bytes())
    if binary[:4] != b"\x7fELF":
        pytest.skip("the header of this format is not known to the test")
    binary[18:20] = (8).to_bytes(2, "little")  # e_machine: MIPS
    (tmp_path / "seqmamba_cpp.so").write_bytes(binary)
    monkeypatch.setattr("seqmamba.kernels.__path__", [str(tmp_path)])

    assert find_library()[0] is None


def test_without_a_library_the_reason_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqmamba.kernels.__path__", [str(tmp_path)])

    assert "was not built" in str(find_library()[1])
