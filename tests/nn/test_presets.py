"""Published encoders: sizes that papers and released code have, and S-Mamba's layer."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from seqmamba.errors import ConfigError
from seqmamba.nn import Encoder
from seqmamba.nn.presets import PRESETS

S_MAMBA = [  # forecasting specification, 2.3: L, H, D, N, K -> parameters of the whole model
    (96, 96, 256, 2, 2, 1_145_696),
    (96, 192, 128, 2, 2, 314_944),  # the table says H 96; the formula gives this with H 192
    (96, 96, 128, 32, 2, 348_640),
    (96, 96, 512, 2, 3, 6_631_008),
    (96, 96, 512, 16, 3, 6_760_032),
    (96, 96, 512, 32, 4, 9_176_672),
    (96, 12, 512, 32, 2, 4_595_212),
    (96, 12, 1024, 32, 4, 35_568_652),
    (96, 96, 512, 32, 2, 4_638_304),
]


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("L", "H", "D", "N", "K", "total"), S_MAMBA)
def test_s_mamba_has_the_published_sizes(
    L: int, H: int, D: int, N: int, K: int, total: int
) -> None:
    with torch.device("meta"):
        encoder = Encoder.preset("s-mamba", d_model=D, n_layers=K, d_state=N)

    assert count(encoder) == total - (L * D + D) - (D * H + H)  # embedding and read-out


def test_s_mamba_block_has_the_published_size() -> None:
    encoder = Encoder.preset("s-mamba")

    assert count(encoder.blocks[0].mixer) == 2 * 207_616


@pytest.mark.parametrize(
    ("name", "total"),
    [  # multiple-instance specification, 2, less input layer, pooling and classifier
        ("mambamil", 4_227_843 - 524_800 - 65_793 - 1_026),
        ("mambamil-bi", 4_227_843 - 524_800 - 65_793 - 1_026),
        ("mambamil-causal", 3_984_131 - 524_800 - 65_793 - 1_026),
        ("mambamil-local", 3_984_131 - 524_800 - 65_793 - 1_026),
    ],
)
def test_mambamil_has_the_published_sizes(name: str, total: int) -> None:
    assert count(Encoder.preset(name)) == total


def test_vision_block_of_the_ecg_paper_has_its_size() -> None:
    block = Encoder.preset("ecg-paper", n_layers=1).blocks[0]

    assert count(block) == 1_043_328  # ECG specification, 9


def test_sigma_layer_has_the_released_size() -> None:
    block = Encoder.preset("sigma").blocks[0]
    assert block.mlp is not None
    assert block.norm2 is not None

    assert count(block.mixer) == 38_784  # recommendation specification, 3.7
    assert count(block.mlp) + count(block.norm2) == 33_216
    assert count(block.norm) == 128


def test_phyxmamba_layers_have_their_size() -> None:
    with torch.device("meta"):
        encoder = Encoder.preset("phyxmamba")

    assert count(encoder) == 4 * 932_888 + 256 * 256 + 256  # chaotic forecasting, 2.3


def test_tracking_encoder_has_the_paper_size() -> None:
    with torch.device("meta"):
        encoder = Encoder.preset("mambatrack")

    assert count(encoder) == pytest.approx(13.3e6, rel=0.01)  # tracking specification, 3


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_reads_a_batch(name: str) -> None:
    encoder = Encoder.preset(name, d_model=16, n_layers=2, d_state=4).eval()
    x = torch.randn(2, 6, 16)

    assert encoder(x, lengths=torch.tensor([6, 3])).isfinite().all()


def test_dependent_settings_follow_the_override() -> None:
    encoder = Encoder.preset("sigma", d_model=16, n_layers=2)

    assert encoder.blocks[0].mlp is not None
    assert encoder.blocks[0].mlp.fc1.out_features == 64
    assert encoder.blocks[0].mixer_residual
    assert not Encoder.preset("sigma").blocks[0].mixer_residual


def test_override_wins() -> None:
    encoder = Encoder.preset("s-mamba", d_model=16, d_ff=5)

    assert encoder.blocks[0].mlp is not None
    assert encoder.blocks[0].mlp.fc1.out_features == 5


def test_unknown_preset_is_named() -> None:
    with pytest.raises(ConfigError, match="Did you mean 's-mamba'"):
        Encoder.preset("smamba")


def test_s_mamba_equals_its_loop_over_tokens(plain_mamba: Callable[..., Tensor]) -> None:
    encoder = Encoder.preset("s-mamba", d_model=32).eval()
    x = torch.randn(3, 11, 32, requires_grad=True)

    expected = _s_mamba(encoder, x, plain_mamba)

    assert_close(encoder(x), expected, rtol=1e-5, atol=1e-5)
    probe = torch.randn_like(expected)
    parameters = [x, *encoder.parameters()]
    for got, want in zip(
        torch.autograd.grad(encoder(x), parameters, probe),
        torch.autograd.grad(expected, parameters, probe),
        strict=True,
    ):
        assert_close(got, want, rtol=1e-4, atol=1e-5)  # sums over 33 tokens in another order


def test_s_mamba_has_no_dropout_on_the_mix() -> None:
    encoder = Encoder.preset("s-mamba")

    assert encoder.blocks[0].dropout.p == 0
    assert encoder.blocks[0].mlp is not None
    assert encoder.blocks[0].mlp.dropout.p == 0.1


def _s_mamba(encoder: Encoder, e: Tensor, plain_mamba: Callable[..., Tensor]) -> Tensor:
    """Forecasting specification, 2.1, steps 4 and 5."""

    def norm(x: Tensor, layer: Any) -> Tensor:
        return functional.layer_norm(x, (e.shape[-1],), layer.weight, layer.bias, 1e-5)

    for block in encoder.blocks:
        weights = dict(block.mixer.named_parameters())
        one, two = (
            {k.removeprefix(side): w for k, w in weights.items() if k.startswith(side)}
            for side in ("ahead.", "back.")
        )
        f, b = plain_mamba(one, e), plain_mamba(two, e, list(range(e.shape[1]))[::-1])
        a = norm(e + f + b, block.norm)
        assert block.mlp is not None
        g = functional.linear(a, block.mlp.fc1.weight, block.mlp.fc1.bias)
        g = functional.linear(functional.gelu(g), block.mlp.fc2.weight, block.mlp.fc2.bias)
        e = norm(a + g, block.norm2)
    return norm(e, encoder.norm_f)
