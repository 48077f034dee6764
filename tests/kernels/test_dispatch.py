"""The right back-end is chosen, for a reason, and said once where it matters."""

import subprocess
import sys
import warnings

import pytest
import torch

from seqmamba.errors import BackendError
from seqmamba.kernels import backends, dispatch, use
from seqmamba.kernels.layout import scan_call
from seqmamba.kernels.problem import Scan

NO_LIBRARY = """
import warnings, torch
from seqmamba.kernels import causal_conv1d, cpp, dispatch, selective_scan, state_step
cpp.why_not = lambda: "it was not built"
u, m, A = torch.ones(1, 3, 2), torch.ones(1, 3, 4), -torch.ones(2, 4)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    selective_scan(u, u, A, m, m)
    causal_conv1d(u, torch.ones(2, 1, 4))
    state_step(torch.zeros(1, 2, 4), u[:, 0], u[:, 0], A, m[:, 0], m[:, 0])
    selective_scan(u, u, A, m, m)
print(len(caught), caught[0].category.__name__, caught[0].message)
"""


def call(dtype: torch.dtype = torch.float32) -> Scan:
    u, matrix = torch.ones(1, 3, 2, dtype=dtype), torch.ones(1, 3, 4, dtype=dtype)
    return scan_call(u, u, -torch.ones(2, 4), matrix, matrix)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEQMAMBA_BACKEND", raising=False)


def test_auto_takes_the_first_that_serves() -> None:
    choice = dispatch.choose(call())

    assert choice.name == ("cpp" if backends()["cpp"] is None else "torch")
    assert choice.reason == "first of cpp, torch that serves a call on cpu"


def test_argument_beats_block_beats_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQMAMBA_BACKEND", "torch")
    assert dispatch.choose(call()) == dispatch.Choice("torch", "asked for by SEQMAMBA_BACKEND")
    with use("reference"):
        assert dispatch.choose(call()) == dispatch.Choice("reference", "asked for by use()")
        argued = dispatch.choose(call(), "torch")
        assert argued == dispatch.Choice("torch", "asked for by argument")
    assert dispatch.choose(call()).name == "torch"


def test_use_auto_inside_a_block_chooses_freely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQMAMBA_BACKEND", "reference")
    with use("auto"):
        assert dispatch.choose(call()).name != "reference"


def test_use_ends_with_its_block_even_after_an_error() -> None:
    with pytest.raises(ValueError, match="inside"), use("reference"):
        raise ValueError("inside")
    assert dispatch.choose(call()).name != "reference"


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BackendError, match=r"no back-end 'cp' \(from argument\); known: 'auto'"):
        dispatch.choose(call(), "cp")
    with pytest.raises(BackendError, match=r"no back-end 'gpu' \(from use\(\)\)"), use("gpu"):
        pass


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_back_end_that_is_not_available_says_why() -> None:
    with pytest.raises(BackendError, match=r"'mamba_ssm' .* cannot be used: no CUDA device"):
        dispatch.choose(call(), "mamba_ssm")


def test_a_back_end_that_cannot_serve_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    module = dispatch.backend_module("torch")
    monkeypatch.setattr(module, "why_not_for", lambda _: "it is Sunday")
    with pytest.raises(BackendError, match=r"cannot serve this call: it is Sunday\. Use backend="):
        dispatch.choose(call(), "torch")


def test_all_back_ends_are_listed_with_their_reason() -> None:
    listed = backends()

    assert set(listed) == set(dispatch.NAMES)
    assert listed["torch"] is None
    assert listed["reference"] is None


def test_choosing_is_silent_where_kernels_are_built() -> None:
    if backends()["cpp"] is not None:
        pytest.skip("the compiled kernels are not built here")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dispatch.choose(call())


def test_without_the_library_all_works_with_one_warning() -> None:
    run = subprocess.run(
        [sys.executable, "-c", NO_LIBRARY], check=True, capture_output=True, text=True
    )

    assert run.stdout.startswith("1 RuntimeWarning seqmamba runs without its compiled kernels")
    assert "it was not built" in run.stdout
