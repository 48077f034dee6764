"""The Mamba-2 scan equals the official code and the Mamba-1 scan with shared decays."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seqmamba.errors import DataError
from seqmamba.kernels import selective_scan, ssd, ssd_step

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "ssd.json").read_text())
HEADS, WIDTH, STATES = 4, 3, 5


def arguments(batch: int = 2, length: int = 11, groups: int = 2, seed: int = 0) -> dict[str, Any]:
    random = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> Tensor:
        return torch.randn(size, generator=random, dtype=torch.float64)

    return {
        "x": draw(batch, length, HEADS, WIDTH),
        "dt": draw(batch, length, HEADS),
        "A": -torch.exp(draw(HEADS)),
        "B": draw(batch, length, groups, STATES),
        "C": draw(batch, length, groups, STATES),
        "D": draw(HEADS),
        "z": draw(batch, length, HEADS, WIDTH),
        "dt_bias": draw(HEADS),
        "dt_softplus": True,
    }


def as_selective_scan(given: dict[str, Any], **options: Any) -> tuple[Tensor, Tensor]:
    """Run the same scan as Mamba-1, each head's numbers repeated over its width."""

    def repeated(value: Tensor) -> Tensor:
        return value.repeat_interleave(WIDTH, -1)

    return selective_scan(
        given["x"].flatten(2),
        repeated(given["dt"]),
        repeated(given["A"])[:, None].expand(-1, STATES),
        given["B"],
        given["C"],
        repeated(given["D"]),
        given["z"].flatten(2),
        repeated(given["dt_bias"]),
        True,
        return_last_state=True,
        backend="reference",
        **options,
    )


def test_official_numbers_come_out() -> None:
    stored: dict[str, Any] = {
        k: torch.tensor(v["values"]).view(v["shape"])
        for k, v in (GOLDEN["arguments"] | {"out": GOLDEN["out"]}).items()
    }
    out = stored.pop("out")

    found, last_state = ssd(**stored, chunk_size=4, return_last_state=True)

    torch.testing.assert_close(found, out, rtol=1e-5, atol=1e-6)
    last = torch.tensor(GOLDEN["last_state"]["values"]).view(GOLDEN["last_state"]["shape"])
    torch.testing.assert_close(last_state, last, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("chunk", [1, 3, 4, 64])
def test_ssd_is_the_scan_with_repeated_decays(groups: int, chunk: int) -> None:
    given = arguments(groups=groups)

    out, last = ssd(**given, chunk_size=chunk, return_last_state=True)

    expected, expected_last = as_selective_scan(given)
    torch.testing.assert_close(out.flatten(2), expected)
    torch.testing.assert_close(last.flatten(1, 2), expected_last)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("padding", ["lengths", "mask", "packed"])
def test_padding_and_packing_mean_the_same_as_in_the_scan(padding: str, reverse: bool) -> None:
    given = arguments(batch=1 if padding == "packed" else 3)
    choices: dict[str, dict[str, Any]] = {
        "lengths": {"lengths": torch.tensor([0, 7, 11])},
        "mask": {"mask": torch.rand(3, 11) > 0.3},
        "packed": {"cu_seqlens": torch.tensor([0, 4, 4, 11])},
    }
    options = choices[padding] | {"reverse": reverse}

    out, last = ssd(**given, **options, chunk_size=4, return_last_state=True)

    expected, expected_last = as_selective_scan(given, **options)
    torch.testing.assert_close(out.flatten(2), expected)
    torch.testing.assert_close(last.flatten(1, 2), expected_last)


def test_gradients_are_right() -> None:
    given = arguments(length=5)
    names = [k for k, v in given.items() if isinstance(v, Tensor)]

    def function(*values: Tensor) -> tuple[Tensor, Tensor]:
        merged = given | dict(zip(names, values, strict=True))
        return ssd(**merged, chunk_size=2, return_last_state=True)

    leaves = [given[name].clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(function, leaves, fast_mode=True)


def test_token_by_token_equals_the_whole() -> None:
    given = arguments()
    state = given["x"].new_zeros(2, HEADS, WIDTH, STATES)
    streams = ("x", "dt", "B", "C", "z")

    steps = [ssd_step(state, **given | {k: given[k][:, t] for k in streams}) for t in range(11)]

    out, last = ssd(**given, return_last_state=True)
    torch.testing.assert_close(torch.stack(steps, 1), out)
    torch.testing.assert_close(state, last)


def test_pieces_with_states_equal_the_whole() -> None:
    given = arguments()
    streams = ("x", "dt", "B", "C", "z")
    head, tail = (given | {k: given[k][:, s] for k in streams} for s in (slice(6), slice(6, 11)))

    first, state = ssd(**head, return_last_state=True)
    second = ssd(**tail, initial_state=state)

    torch.testing.assert_close(torch.cat([first, second], 1), ssd(**given))


def test_strong_decay_stays_finite_in_float32() -> None:
    given: dict[str, Any] = {
        k: v.float() if isinstance(v, Tensor) else v for k, v in arguments().items()
    }
    given["A"] = torch.full((HEADS,), -1e4).requires_grad_()

    out = ssd(**given | {"dt": given["dt"] + 50})
    (gradient,) = torch.autograd.grad(out.sum(), given["A"])

    assert out.isfinite().all()
    assert gradient.isfinite().all()


def test_dt_limit_bounds_the_step() -> None:
    given = arguments() | {"dt_bias": None, "dt_softplus": False}
    clamped = given | {"dt": given["dt"].clamp(0.1, 0.5)}

    torch.testing.assert_close(ssd(**given, dt_limit=(0.1, 0.5)), ssd(**clamped))
    assert math.isfinite(ssd(**given).sum())


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(DataError, match=r"B must have the shape \(2, 11, G, N\)"):
        ssd(**arguments() | {"B": torch.zeros(2, 11, 3, 5, dtype=torch.float64)})
