"""Norms: formula, gradients, mixed precision."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from seqmamba.nn.norm import GatedRMSNorm, LayerNorm, NormName, RMSNorm, make_norm, rms_norm


def test_rms_norm_equals_torch() -> None:
    norm = RMSNorm(12, eps=1e-3)
    nn.init.normal_(norm.weight)
    x = torch.randn(3, 5, 12)

    expected = nn.functional.rms_norm(x, (12,), norm.weight, 1e-3)

    assert_close(norm(x), expected, rtol=1e-6, atol=1e-6)


def test_rms_norm_has_right_first_and_second_derivatives() -> None:
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(lambda x, w: rms_norm(x, w, 1e-5), (x, weight))
    assert torch.autograd.gradgradcheck(lambda x, w: rms_norm(x, w, 1e-5), (x, weight))


def test_rms_norm_of_zeros_is_zero_with_finite_gradient() -> None:
    norm = RMSNorm(4)
    x = torch.zeros(2, 4, requires_grad=True)

    norm(x).sum().backward()

    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_rms_norm_maps_over_a_batch_of_weights() -> None:
    x, weights = torch.randn(5, 4), torch.randn(3, 4)

    got = torch.func.vmap(lambda w: rms_norm(x, w, 1e-5))(weights)

    assert_close(got[1], rms_norm(x, weights[1], 1e-5))


def test_statistics_of_half_precision_are_float32() -> None:
    x = torch.full((1, 4096), 300.0, dtype=torch.float16)  # squares overflow float16

    assert_close(RMSNorm(4096).half()(x), torch.ones_like(x))


@pytest.mark.parametrize("name", ["rms", "layer"])
def test_float32_residual_leaves_a_bfloat16_module_in_bfloat16(name: NormName) -> None:
    norm = make_norm(name, 8, 1e-5)
    x = torch.randn(2, 8)
    expected = norm(x)

    got = norm.bfloat16()(x)

    assert got.dtype == torch.bfloat16
    assert_close(got.float(), expected, rtol=2e-2, atol=2e-2)


def test_layer_norm_is_that_of_torch() -> None:
    x = torch.randn(3, 8)

    assert torch.equal(LayerNorm(8)(x), nn.LayerNorm(8)(x))


def test_groups_are_normalised_apart() -> None:
    norm = GatedRMSNorm(8, n_groups=2)
    y, z = torch.randn(3, 8), torch.randn(3, 8)

    first, second = GatedRMSNorm(4)(y[:, :4], z[:, :4]), GatedRMSNorm(4)(y[:, 4:], z[:, 4:])

    assert_close(norm(y, z), torch.cat([first, second], -1))
