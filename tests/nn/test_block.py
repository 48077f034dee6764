"""One layer: the three placements of the norm, dropout, drop-path."""

import pytest
import torch
from torch import Tensor, nn

from seqmamba.nn import Block
from seqmamba.nn.block import DropPath


class Double(nn.Module):
    """A mixer that is easy to follow."""

    def forward(self, x: Tensor, *, mask: Tensor | None, lengths: Tensor | None) -> Tensor:
        return 2 * x


@pytest.fixture
def x() -> Tensor:
    return torch.randn(3, 5, 8)


def test_pre_norm(x: Tensor) -> None:
    block = Block(8, Double(), d_ff=16)
    assert block.norm2 is not None
    assert block.mlp is not None

    h = x + 2 * block.norm(x)

    assert torch.equal(block(x), h + block.mlp(block.norm2(h)))


def test_post_norm(x: Tensor) -> None:
    block = Block(8, Double(), norm="layer", norm_position="post", d_ff=16)
    assert block.norm2 is not None
    assert block.mlp is not None

    h = block.norm(x + 2 * x)

    assert torch.equal(block(x), block.norm2(h + block.mlp(h)))


def test_branch_norm_without_residual(x: Tensor) -> None:
    block = Block(8, Double(), norm_position="branch", d_ff=16, mixer_residual=False)
    assert block.norm2 is not None
    assert block.mlp is not None

    assert torch.equal(block(x), 2 * x + block.norm2(block.mlp(2 * x)))


def test_post_norm_without_residual(x: Tensor) -> None:
    block = Block(8, Double(), norm_position="post", mixer_residual=False)

    assert torch.equal(block(x), block.norm(2 * x))


def test_branch_norm_has_no_parameters_at_the_mixer() -> None:
    block = Block(8, Double(), norm_position="branch")

    assert not list(block.parameters())


def test_dropout_spares_the_mixer_if_told_so(x: Tensor) -> None:
    block = Block(8, Double(), norm="none", dropout=0.5, mixer_dropout=0.0)

    assert torch.equal(block(x), 3 * x)


def test_dropout_reaches_the_mixer(x: Tensor) -> None:
    torch.manual_seed(0)
    block = Block(8, Double(), norm="none", dropout=0.5)

    dropped = (block(x) == x).float().mean()

    assert 0.3 < dropped < 0.7


def test_drop_path_leaves_out_whole_rows_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.ones(4000, 2, 3)

    y = DropPath(0.25)(x)

    rows = y.flatten(1)
    assert torch.equal(rows, rows[:, :1].expand_as(rows))
    assert set(rows.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert abs(float(y.mean()) - 1) < 0.03


def test_drop_path_does_nothing_in_evaluation(x: Tensor) -> None:
    assert DropPath(0.9).eval()(x) is x


def test_certain_drop_path_leaves_the_residual(x: Tensor) -> None:
    assert torch.equal(Block(8, Double(), drop_path=1.0)(x), x)
