"""Vision-Mamba and MambaMIL blocks: formula, names, start values."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from seqmamba.nn.directions.two_branch import TwoBranchDirection, TwoBranchMamba

SECOND = {  # kernels specification, 5, for d = 32, N = 4, E = 64, R = 2
    "A_b_log": (64, 4),
    "D_b": (64,),
    "conv1d_b.weight": (64, 1, 4),
    "conv1d_b.bias": (64,),
    "x_proj_b.weight": (10, 64),
    "dt_proj_b.weight": (64, 2),
    "dt_proj_b.bias": (64,),
}
FIRST = {"A_log", "D", "in_proj.weight", "conv1d.weight", "conv1d.bias", "x_proj.weight"}
FIRST |= {"dt_proj.weight", "dt_proj.bias", "out_proj.weight"}
PlainBranch = Callable[..., Tensor]


@pytest.fixture
def x() -> Tensor:
    return torch.randn(1, 7, 6, dtype=torch.float64)


@pytest.mark.parametrize("direction", ["vim_v2", "mil_bi", "mil_sr"])
def test_names_and_shapes_of_the_second_branch(direction: TwoBranchDirection) -> None:
    state = TwoBranchMamba(32, d_state=4, direction=direction).state_dict()

    assert {name: tuple(state[name].shape) for name in state.keys() - FIRST} == SECOND


def test_first_vision_mamba_adds_one_matrix() -> None:
    state = TwoBranchMamba(32, d_state=4, direction="vim_v1").state_dict()

    assert state.keys() - FIRST == {"A_b_log"}


@pytest.mark.parametrize("direction", ["vim_v2", "mil_bi"])
@pytest.mark.parametrize("divide_out", [None, False, True])
def test_second_branch_reads_backwards(
    plain_branch: PlainBranch, x: Tensor, direction: TwoBranchDirection, divide_out: bool | None
) -> None:
    block = _block(direction, divide_out=divide_out)

    ahead, back = _branches(plain_branch, block, x, list(range(7))[::-1])

    halved = direction == "vim_v2" if divide_out is None else divide_out
    expected = (ahead + back) / 2 if halved else ahead + back
    assert_close(block(x)[0], expected @ block.out_proj.weight.T, rtol=1e-9, atol=1e-10)


def test_first_vision_mamba_reads_one_selection_backwards(x: Tensor) -> None:
    block = _block("vim_v1")
    u, z = block.in_proj(x).chunk(2, -1)
    u = nn.functional.silu(block.get_submodule("conv1d")(u.mT)[..., :7].mT)

    ahead = _scan(block, u, z, "A_log")
    back = _scan(block, u.flip(1), z.flip(1), "A_b_log").flip(1)

    expected = (ahead + back) @ block.out_proj.weight.T
    assert_close(block(x), expected, rtol=1e-9, atol=1e-10)


def test_second_branch_reads_reordered(plain_branch: PlainBranch, x: Tensor) -> None:
    block = _block("mil_sr", rate=3)
    six = x[:, :6]  # two full lines

    ahead, back = _branches(plain_branch, block, six, [0, 3, 1, 4, 2, 5])

    expected = (ahead + back) @ block.out_proj.weight.T
    assert_close(block(six)[0], expected, rtol=1e-9, atol=1e-10)


def test_released_padding_is_a_row_of_zeros(plain_branch: PlainBranch, x: Tensor) -> None:
    block = _block("mil_sr", rate=3, pad_mode="reference")
    weights = dict(block.named_parameters())
    xz = block.in_proj(x)[0]
    padded = torch.cat([xz, xz.new_zeros(2, xz.shape[1])])

    second = plain_branch(weights, padded, [0, 3, 6, 1, 4, 7, 2, 5, 8], "_b")[:7]

    expected = (plain_branch(weights, xz) + second) @ block.out_proj.weight.T
    assert_close(block(x)[0], expected, rtol=1e-9, atol=1e-10)


def test_padding_modes_agree_on_full_lines(x: Tensor) -> None:
    block = _block("mil_sr", rate=3)
    expected = block(x[:, :6])

    block.pad_mode = "reference"

    assert_close(block(x[:, :6]), expected, rtol=1e-12, atol=1e-12)
    block.pad_mode = "masked"
    masked = block(x)
    block.pad_mode = "reference"
    assert not torch.allclose(block(x), masked)


def test_second_branch_starts_with_the_steps_of_the_first() -> None:
    block = TwoBranchMamba(16)

    assert torch.equal(block.get_parameter("dt_proj.bias"), block.get_parameter("dt_proj_b.bias"))
    assert block.get_parameter("dt_proj_b.weight").abs().max() <= 1
    assert not torch.equal(
        block.get_parameter("dt_proj.weight"), block.get_parameter("dt_proj_b.weight")
    )


def test_start_of_released_vision_mamba() -> None:
    block = TwoBranchMamba(16, dt_init_b="vim")

    assert (block.get_parameter("dt_proj_b.bias") == 0).all()
    assert (block.get_parameter("dt_proj.bias") != 0).all()


def test_scan_parameters_of_both_branches_stay_in_float32() -> None:
    block = TwoBranchMamba(16).bfloat16()

    kept = {name for name, p in block.named_parameters() if p.dtype == torch.float32}

    assert kept == {"A_log", "D", "dt_proj.bias", "A_b_log", "D_b", "dt_proj_b.bias"}


def _block(direction: TwoBranchDirection, **settings: object) -> TwoBranchMamba:
    block = TwoBranchMamba(6, d_state=3, direction=direction, **settings)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in block.parameters():  # else both branches decay alike
            parameter.add_(0.1 * torch.randn_like(parameter))
    return block.double()


def _branches(
    plain_branch: PlainBranch, block: TwoBranchMamba, x: Tensor, order: list[int]
) -> tuple[Tensor, Tensor]:
    weights, xz = dict(block.named_parameters()), block.in_proj(x)[0]
    return plain_branch(weights, xz), plain_branch(weights, xz, order, "_b")


def _scan(block: TwoBranchMamba, u: Tensor, z: Tensor, A_log: str) -> Tensor:
    """Scan u with its own selection, which vim_v1 takes over to the second direction."""
    dt_proj, D = block.get_submodule("dt_proj"), block.get_parameter("D")
    dt, B, C = block.get_submodule("x_proj")(u).split([1, 3, 3], -1)
    step = nn.functional.softplus(dt_proj(dt)).unsqueeze(-1)
    h, y = torch.zeros(1, 12, 3, dtype=u.dtype), []
    for t in range(u.shape[1]):
        decay = torch.exp(-step[:, t] * block.get_parameter(A_log).exp())
        h = decay * h + step[:, t] * u[:, t, :, None] * B[:, t, None]
        y.append((h * C[:, t, None]).sum(-1) + D * u[:, t])
    return torch.stack(y, 1) * nn.functional.silu(z)
