"""Weights of published stacks, by their names."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from seqmamba.errors import ModelFileError
from seqmamba.nn import Encoder
from seqmamba.nn.directions import Direction
from seqmamba.nn.loading import load_mamba_ssm, load_vim

LAYER = {  # kernels specification, 3 and 3.1, for d = 16, N = 4, E = 32, R = 1
    "norm.weight": (16,),
    "mixer.A_log": (32, 4),
    "mixer.D": (32,),
    "mixer.in_proj.weight": (64, 16),
    "mixer.conv1d.weight": (32, 1, 4),
    "mixer.conv1d.bias": (32,),
    "mixer.x_proj.weight": (9, 32),
    "mixer.dt_proj.weight": (32, 1),
    "mixer.dt_proj.bias": (32,),
    "mixer.out_proj.weight": (16, 32),
}


@pytest.mark.parametrize(
    ("prefix", "embedding"),
    [("backbone.", "embedding"), ("backbone.", "embeddings"), ("", "embeddings")],
)
def test_layers_of_a_language_model_are_loaded(prefix: str, embedding: str) -> None:
    weights = _published(prefix)
    weights[f"{prefix}{embedding}.weight"] = torch.randn(50, 16)
    weights["lm_head.weight"] = torch.randn(50, 16)
    encoder = Encoder(16, 2, d_state=4)

    load_mamba_ssm(encoder, weights)

    assert torch.equal(
        encoder.get_parameter("layers.1.mixer.in_proj.weight"),
        weights[f"{prefix}layers.1.mixer.in_proj.weight"],
    )
    assert torch.equal(encoder.get_parameter("norm_f.weight"), weights[f"{prefix}norm_f.weight"])


def test_own_weights_have_the_published_names() -> None:
    encoder = Encoder(16, 2, d_state=4)

    assert encoder.state_dict().keys() == _published("").keys()


@pytest.mark.parametrize("direction", ["vim_v1", "vim_v2"])
@pytest.mark.parametrize("name", ["A_b_log", "A_log_b"])
def test_round_trip_of_a_vision_model(direction: Direction, name: str) -> None:
    source = Encoder(16, 2, d_state=4, direction=direction)
    target = Encoder(16, 2, d_state=4, direction=direction)
    weights = {k.replace("A_b_log", name): w for k, w in source.state_dict().items()}
    x = torch.randn(2, 5, 16)

    load_vim(target, {**weights, "cls_token": torch.zeros(1), "patch_embed.proj.bias": x})

    assert_close(target(x), source(x))


def test_missing_layers_are_named() -> None:
    with pytest.raises(ModelFileError, match=r"lack 'layers\.2\..*check n_layers"):
        load_mamba_ssm(Encoder(16, 3, d_state=4), _published("backbone."))


def test_surplus_layers_are_named() -> None:
    with pytest.raises(ModelFileError, match=r"have a surplus 'layers\.1\."):
        load_mamba_ssm(Encoder(16, 1, d_state=4), _published("backbone."))


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ModelFileError, match=r"A_log has the shape \(32, 4\), this .* \(32, 8\)"):
        load_mamba_ssm(Encoder(16, 2, d_state=8), _published(""))


def test_other_weights_are_refused() -> None:
    with pytest.raises(ModelFileError, match="not a stack of Mamba layers"):
        load_mamba_ssm(Encoder(16, 2), {"conv.weight": torch.zeros(1)})


def _published(prefix: str) -> dict[str, Tensor]:
    weights = {
        f"{prefix}layers.{i}.{name}": torch.randn(shape)
        for i in range(2)
        for name, shape in LAYER.items()
    }
    return {**weights, f"{prefix}norm_f.weight": torch.randn(16)}
