"""The Mamba-1 block: formula, names, start values, precision, streaming."""

import copy
import math
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from seqmamba.errors import ConfigError
from seqmamba.nn import Mamba
from seqmamba.nn.mamba import window_at

SHAPES = {  # kernels specification, 3, for d = 32, N = 4, W = 3, E = 64, R = 2
    "A_log": (64, 4),
    "D": (64,),
    "in_proj.weight": (128, 32),
    "conv1d.weight": (64, 1, 3),
    "conv1d.bias": (64,),
    "x_proj.weight": (10, 64),
    "dt_proj.weight": (64, 2),
    "dt_proj.bias": (64,),
    "out_proj.weight": (32, 64),
}


def test_names_and_shapes_are_those_of_mamba_ssm() -> None:
    state = Mamba(32, d_state=4, d_conv=3).state_dict()

    assert {name: tuple(value.shape) for name, value in state.items()} == SHAPES


def test_biases_have_the_names_of_mamba_ssm() -> None:
    state = Mamba(32, bias=True, conv_bias=False).state_dict()

    assert state["in_proj.bias"].shape == (128,)
    assert state["out_proj.bias"].shape == (32,)
    assert "conv1d.bias" not in state


def test_block_equals_the_formula(plain_mamba: Callable[..., Tensor]) -> None:
    block = Mamba(6, d_state=3, d_conv=4, dt_rank=2).double()
    x = torch.randn(2, 7, 6, dtype=torch.float64, requires_grad=True)

    expected = plain_mamba(dict(block.named_parameters()), x)

    assert_close(block(x), expected, rtol=1e-10, atol=1e-10)
    probe = torch.randn_like(expected)
    inputs = [x, *block.parameters()]
    for got, want in zip(
        torch.autograd.grad(block(x), inputs, probe),
        torch.autograd.grad(expected, inputs, probe),
        strict=True,
    ):
        assert_close(got, want, rtol=1e-9, atol=1e-10)


def test_reverse_is_flip_block_flip() -> None:
    block = Mamba(6, d_state=3).double()
    x = torch.randn(2, 7, 6, dtype=torch.float64)
    expected = block(x.flip(1)).flip(1)

    block.reverse = True

    assert_close(block(x), expected, rtol=1e-10, atol=1e-10)


def test_start_values_follow_the_specification() -> None:
    block = Mamba(64, d_state=5)
    steps = nn.functional.softplus(block.get_parameter("dt_proj.bias"))

    assert_close(block.get_parameter("A_log")[3], torch.arange(1.0, 6.0).log())
    assert (block.get_parameter("D") == 1).all()
    assert steps.min() >= 0.00099
    assert steps.max() <= 0.101
    assert block.get_parameter("dt_proj.weight").abs().max() <= 4**-0.5
    assert steps.log().std() > 0.8  # log-uniform over [1e-3, 0.1] has 1.33


def test_constant_start_of_the_step_weights() -> None:
    block = Mamba(64, dt_init="constant", dt_scale=0.5)

    assert (block.get_parameter("dt_proj.weight") == 0.5 * 4**-0.5).all()


def test_rank_of_the_step_is_a_sixteenth_of_the_width() -> None:
    assert Mamba(33).get_parameter("dt_proj.weight").shape[1] == math.ceil(33 / 16)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda block: pickle.loads(pickle.dumps(block))])
def test_marks_for_the_optimiser_survive_copies(copied: Callable[[Mamba], Mamba]) -> None:
    block = copied(Mamba(8))

    assert _marked(block, "_no_weight_decay") == {"A_log", "D", "dt_proj.bias"}
    assert _marked(block, "_no_reinit") == {"dt_proj.bias"}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_scan_parameters_stay_in_float32(dtype: torch.dtype) -> None:
    block = Mamba(8)
    before = block.get_parameter("dt_proj.bias").clone()

    block.to(dtype)

    kept = {n for n, p in block.named_parameters() if p.dtype == torch.float32}
    assert kept == {"A_log", "D", "dt_proj.bias"}
    assert torch.equal(block.get_parameter("dt_proj.bias"), before)
    assert block(torch.randn(2, 3, 8, dtype=dtype)).dtype == dtype


def test_double_reaches_every_parameter() -> None:
    block = nn.Sequential(Mamba(8)).double()

    assert {p.dtype for p in block.parameters()} == {torch.float64}


def test_bfloat16_is_close_to_float32() -> None:
    block = Mamba(16, d_state=4)
    x = torch.randn(2, 9, 16)
    expected = block(x)

    got = copy.deepcopy(block).bfloat16()(x.bfloat16())

    assert_close(got.float(), expected, rtol=2e-2, atol=2e-2)


def test_pieces_give_the_whole() -> None:
    block = Mamba(6, d_state=3).double()
    x = torch.randn(2, 9, 6, dtype=torch.float64)

    first, state = block.resume(x[:, :2], block.init_state(2))
    second, _ = block.resume(x[:, 2:], state)

    assert_close(torch.cat([first, second], 1), block(x), rtol=1e-10, atol=1e-10)


def test_resume_leaves_the_state_alone() -> None:
    block = Mamba(6, d_state=3)
    state = block.init_state(2)

    block.resume(torch.randn(2, 4, 6), state)

    assert all((part == 0).all() for part in state)


def test_padding_never_enters_the_state() -> None:
    block = Mamba(6, d_state=3).double()
    x, rest = torch.randn(2, 5, 6).double(), torch.randn(2, 3, 6).double()
    lengths = torch.tensor([5, 2])

    _, state = block.resume(x, block.init_state(2), lengths=lengths)
    got, _ = block.resume(rest, state)

    whole = block(torch.cat([x[1:, :2], rest[1:]], 1))
    assert_close(got[1:], whole[:, 2:], rtol=1e-10, atol=1e-10)


def test_cache_of_mamba_ssm_has_its_shapes() -> None:
    conv, ssm = Mamba(8, d_state=3).bfloat16().allocate_inference_cache(5)

    assert conv.shape == (5, 16, 4)
    assert ssm.shape == (5, 16, 3)
    assert ssm.dtype == torch.float32


@pytest.mark.parametrize("settings", [{"reverse": True}, {"window": 4}])
def test_a_block_that_reads_ahead_has_no_state(settings: dict[str, int]) -> None:
    block = Mamba(8, **settings)  # type: ignore[arg-type]  # parametrised by name

    with pytest.raises(ConfigError, match="reads ahead"):
        block.init_state(1)


@pytest.mark.parametrize(("length", "window"), [(128, 4), (129, 8), (256, 8), (257, 16)])
def test_released_window_grows_with_length(length: int, window: int) -> None:
    assert window_at("lb", length) == window


def _marked(block: Mamba, mark: str) -> set[str]:
    return {name for name, p in block.named_parameters() if getattr(p, mark, False)}
