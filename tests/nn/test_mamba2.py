"""The Mamba-2 block: formula, names, sizes, streaming."""

import pickle

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from seqmamba.errors import ConfigError
from seqmamba.nn import Mamba2

SHAPES = {  # kernels specification, 4, for d = 32, N = 4, E = 64, P = 16, H = 4, G = 2
    "dt_bias": (4,),
    "A_log": (4,),
    "D": (4,),
    "in_proj.weight": (2 * 64 + 2 * 2 * 4 + 4, 32),
    "conv1d.weight": (64 + 2 * 2 * 4, 1, 4),
    "conv1d.bias": (64 + 2 * 2 * 4,),
    "norm.weight": (64,),
    "out_proj.weight": (32, 64),
}


def test_names_and_shapes_are_those_of_mamba_ssm() -> None:
    state = Mamba2(32, d_state=4, headdim=16, ngroups=2).state_dict()

    assert {name: tuple(value.shape) for name, value in state.items()} == SHAPES


def test_layer_of_the_chaos_paper_has_its_size() -> None:
    block = Mamba2(256, d_state=1024)  # chaotic-forecasting specification, 2.3

    assert sum(p.numel() for p in block.parameters()) == 932_888


@pytest.mark.parametrize("norm_before_gate", [False, True])
def test_block_equals_the_formula(norm_before_gate: bool) -> None:
    block = Mamba2(8, d_state=3, headdim=4, ngroups=2, norm_before_gate=norm_before_gate).double()
    x = torch.randn(2, 6, 8, dtype=torch.float64)

    assert_close(block(x), _plain(block, x, norm_before_gate), rtol=1e-9, atol=1e-10)


def test_start_values_follow_the_specification() -> None:
    block = Mamba2(512, headdim=8)
    rates, steps = block.A_log.exp(), functional.softplus(block.dt_bias)

    assert 1 <= rates.min() < 3
    assert 14 < rates.max() <= 16
    assert steps.min() >= 0.00099
    assert steps.max() <= 0.101
    assert (block.D == 1).all()


def test_head_width_must_divide_the_inner_width() -> None:
    with pytest.raises(ConfigError, match="headdim=64"):
        Mamba2(24)


def test_head_width_adapts() -> None:
    assert Mamba2(24, headdim=None).headdim == 16


def test_marks_and_dtypes_of_the_scan_parameters() -> None:
    block = pickle.loads(pickle.dumps(Mamba2(32).bfloat16()))

    marked = {n for n, p in block.named_parameters() if getattr(p, "_no_weight_decay", False)}
    kept = {n for n, p in block.named_parameters() if p.dtype == torch.float32}

    assert marked == kept == {"A_log", "D", "dt_bias"}


def test_pieces_and_steps_give_the_whole() -> None:
    block = Mamba2(8, d_state=3, headdim=4, chunk_size=4).double()
    x = torch.randn(2, 9, 8, dtype=torch.float64)

    first, state = block.resume(x[:, :7], block.init_state(2))
    with torch.no_grad():
        last = [block.step(x[:, t], state)[0] for t in (7, 8)]

    got = torch.cat([first, torch.stack(last, 1)], 1)
    assert_close(got, block(x), rtol=1e-9, atol=1e-10)


def test_reverse_is_flip_block_flip() -> None:
    block = Mamba2(8, d_state=3, headdim=4).double()
    x = torch.randn(2, 7, 8, dtype=torch.float64)
    expected = block(x.flip(1)).flip(1)

    block.reverse = True

    assert_close(block(x), expected, rtol=1e-9, atol=1e-10)
    with pytest.raises(ConfigError, match="reads ahead"):
        block.init_state(1)


def _plain(block: Mamba2, x: Tensor, norm_before_gate: bool) -> Tensor:
    """Section 4 of the kernels specification, token by token, G = 2 groups of heads."""
    E, N, H, P = block.d_inner, block.d_state, block.n_heads, block.headdim
    z, xBC, dt = torch.split(block.in_proj(x), [E, E + 4 * N, H], -1)
    xBC = functional.silu(block.conv1d(xBC.mT)[..., : x.shape[1]].mT)
    u, B, C = torch.split(xBC, [E, 2 * N, 2 * N], -1)
    h = torch.zeros(x.shape[0], H, P, N, dtype=x.dtype)
    y = []
    for t in range(x.shape[1]):
        step = functional.softplus(dt[:, t] + block.dt_bias)  # (B, H)
        row = u[:, t].view(-1, H, P)
        b, c = (m[:, t].view(-1, 2, N).repeat_interleave(H // 2, 1) for m in (B, C))  # (B, H, N)
        decay = torch.exp(-step * block.A_log.exp())
        h = decay[..., None, None] * h + torch.einsum("bh,bhp,bhn->bhpn", step, row, b)
        y.append((torch.einsum("bhpn,bhn->bhp", h, c) + block.D[:, None] * row).flatten(1))
    gate, out = functional.silu(z), torch.stack(y, 1)
    out = out if norm_before_gate else out * gate
    grouped = out.view(*x.shape[:2], 2, E // 2)
    out = (grouped / (grouped.square().mean(-1, keepdim=True) + 1e-5).sqrt()).flatten(-2)
    out = out * block.norm.weight
    return functional.linear(out * gate if norm_before_gate else out, block.out_proj.weight)
