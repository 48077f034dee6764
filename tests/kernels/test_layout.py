"""Arguments are checked with a sentence, and brought to one dtype and stride."""

from typing import Any

import pytest
import torch

from seqmamba.errors import ConfigError, DataError
from seqmamba.kernels.layout import conv_call, conv_step_call, scan_call, scan_step_call


def scan_tensors(**changes: Any) -> dict[str, Any]:
    u, matrix = torch.ones(2, 5, 4), torch.ones(2, 5, 3)
    return {"u": u, "delta": u, "A": -torch.ones(4, 3), "B": matrix, "C": matrix} | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"u": torch.ones(5, 4)}, r"u must have the shape \(B, L, E\), got \(5, 4\)"),
        ({"u": torch.ones(2, 5, 4, dtype=torch.int64)}, "u must hold real floats"),
        ({"delta": torch.ones(2, 5, 1)}, r"delta must have the shape \(2, 5, 4\)"),
        ({"A": torch.ones(3, 4)}, r"A must have the shape \(4, N\), got \(3, 4\)"),
        ({"B": torch.ones(2, 3, 5)}, r"B must have the shape \(2, 5, 3\), got \(2, 3, 5\)"),
        ({"C": torch.ones(2, 5, 3, 3)}, "C has 3 groups, which do not divide 4 channels"),
        ({"B": torch.ones(2, 5, 4, 3), "C": torch.ones(2, 5, 2, 3)}, "B has 4 groups, C has 2"),
        ({"D": torch.ones(1)}, r"D must have the shape \(4,\)"),
        ({"z": torch.ones(2, 4, 4)}, "z must have the shape"),
        ({"initial_state": torch.ones(2, 3, 4)}, "initial_state must have the shape"),
        ({"lengths": torch.tensor([5, 6])}, r"lengths must lie in \[0, 5\], got 6"),
        ({"lengths": torch.tensor([5.0, 2.0])}, "lengths must hold integers"),
        ({"lengths": torch.tensor([5])}, r"lengths must have the shape \(2,\)"),
        ({"mask": torch.ones(2, 4, dtype=torch.bool)}, r"mask must have the shape \(2, 5\)"),
        ({"cu_seqlens": torch.tensor([0, 5])}, "need batch size 1, got 2"),
    ],
)
def test_a_wrong_argument_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        scan_call(**scan_tensors(**changes))


@pytest.mark.parametrize("borders", [[1, 5], [0, 4], [0, 3, 2, 5], []])
def test_wrong_borders_of_segments_are_shown(borders: list[int]) -> None:
    tensors = {k: v[:1] if v.ndim == 3 else v for k, v in scan_tensors().items()}
    with pytest.raises(DataError, match="cu_seqlens must rise from 0 to 5"):
        scan_call(**tensors, cu_seqlens=torch.tensor(borders, dtype=torch.int32))


def test_packing_and_padding_exclude_each_other() -> None:
    mask = torch.ones(2, 5, dtype=torch.bool)
    with pytest.raises(DataError, match="cannot be combined"):
        scan_call(**scan_tensors(), mask=mask, cu_seqlens=torch.tensor([0, 5]))


@pytest.mark.parametrize("window", [0, 3, -2, 2048])
def test_a_window_must_be_a_power_of_two(window: int) -> None:
    with pytest.raises(ConfigError, match="power of two"):
        scan_call(**scan_tensors(), window=window)


def test_parameters_keep_float32_and_streams_take_the_wider_dtype() -> None:
    half = {k: v.bfloat16() for k, v in scan_tensors().items()}

    call = scan_call(**half)
    mixed = scan_call(**half | {"delta": torch.ones(2, 5, 4, dtype=torch.float16)})

    assert call.u.dtype == call.B.dtype == torch.bfloat16
    assert call.A.dtype == torch.float32
    assert mixed.u.dtype == mixed.delta.dtype == torch.float32


def test_last_strides_become_one_and_others_stay() -> None:
    wide = torch.ones(2, 5, 8)
    call = scan_call(**scan_tensors(u=wide[..., :4], delta=torch.ones(2, 4, 5).mT))

    assert call.u.stride() == (40, 8, 1)
    assert call.delta.stride(-1) == 1


def test_a_mask_beside_lengths_becomes_one_mask() -> None:
    mask = torch.ones(2, 5, dtype=torch.bool)
    mask[0, 1] = False

    call = scan_call(**scan_tensors(), mask=mask, lengths=torch.tensor([3, 5]))

    assert call.lengths is None
    assert call.mask is not None
    assert call.mask.tolist() == [[True, False, True, False, False], [True] * 5]


def test_a_convolution_takes_both_weight_layouts() -> None:
    x, weight = torch.ones(2, 5, 4), torch.ones(4, 1, 3)
    assert conv_call(x, weight).weight.shape == conv_call(x, weight[:, 0]).weight.shape == (4, 3)
    with pytest.raises(DataError, match=r"weight must have the shape \(4, W\)"):
        conv_call(x, torch.ones(3, 4))
    with pytest.raises(ConfigError, match="activation must be 'silu' or None, got 'relu'"):
        conv_call(x, weight, activation="relu")  # type: ignore[arg-type]  # the wrong value


def test_step_states_must_fit() -> None:
    u, matrix, A = torch.ones(2, 4), torch.ones(2, 3), -torch.ones(4, 3)
    with pytest.raises(DataError, match=r"state must have the shape \(2, 4, 3\)"):
        scan_step_call(torch.ones(2, 3, 4), u, u, A, matrix, matrix)
    with pytest.raises(DataError, match=r"state must be torch\.float32 .* got torch\.bfloat16"):
        scan_step_call(torch.ones(2, 4, 3).bfloat16(), u, u, A, matrix, matrix)
    with pytest.raises(DataError, match=r"state must be torch\.float32 like x"):
        conv_step_call(torch.ones(2, 4, 3).double(), u, torch.ones(4, 3))
