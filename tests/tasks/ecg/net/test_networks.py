"""The networks: sizes as published, padding without effect, presets."""

from typing import Any

import pytest
import torch

from seqmamba.datasets.samples import Batch
from seqmamba.nn import Encoder
from seqmamba.tasks.ecg.net.model import ECGNet, NetSettings
from seqmamba.tasks.ecg.net.resnet import ResNet1d

SIZE: dict[str, Any] = {
    "preset": "small", "leads": 12, "n_outputs": 3, "d_model": 16, "n_layers": 2, "d_state": 4,
    "expand": 1, "strides": (2, 2, 2), "kernels": (15, 7, 7), "stem": "conv", "pool": "mean_max",
    "token": "middle", "position": "none", "max_tokens": 125, "direction": "vim_v2",
    "dropout": 0.0, "drop_path": 0.0, "has_level": True, "backend": "auto",
}  # fmt: skip


def _net(**changes: Any) -> ECGNet:
    torch.manual_seed(0)
    net = ECGNet(NetSettings(**{**SIZE, **changes}))
    for module in net.modules():  # statistics as if it had been trained
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean = 0.1 * torch.randn(module.num_features)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.2, 0.2)
    return net.eval()


def _batch(x: torch.Tensor, mask: torch.Tensor | None = None) -> Batch:
    extra = {"present": torch.ones(len(x), 12), "level": torch.zeros(len(x))}
    return Batch(x=x, mask=mask, extra=extra)


def test_block_of_the_paper_has_its_parameters() -> None:
    encoder = Encoder.preset("ecg-paper", n_layers=1)

    # model card of ECG-Mamba-V2, by the ECG specification, 2: norm included, final norm not
    assert sum(p.numel() for p in encoder.blocks[0].parameters()) == 1_043_328


def test_residual_network_has_its_parameters() -> None:
    net = ResNet1d(12, 11, has_level=False)

    assert sum(p.numel() for p in net.parameters()) == 394_059


@pytest.mark.parametrize("pool", ["mean_max", "mean", "attention", "cls"])
@pytest.mark.parametrize("stem", ["conv", "patch", "none"])
@pytest.mark.parametrize("length", [200, 333])
def test_padding_changes_nothing(pool: str, stem: str, length: int) -> None:
    net = _net(pool=pool, stem=stem)
    x = torch.randn(2, 400, 12)
    mask = torch.arange(400) < torch.tensor([length, 400])[:, None]
    x[0, length:] = 0

    together = net(_batch(x, mask))

    alone = net(_batch(x[:1, :length]))
    torch.testing.assert_close(together[:1], alone, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(together[1:], net(_batch(x[1:])), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("position", ["learned", "sincos"])
def test_positions_stretch_to_other_lengths(position: str) -> None:
    net = _net(position=position)

    assert net(_batch(torch.randn(1, 640, 12))).shape == (1, 3)
    assert net(_batch(torch.randn(1, 1000, 12))).shape == (1, 3)


def test_missing_leads_can_be_told_from_silent_ones() -> None:
    net: Any = _net()
    torch.nn.init.normal_(net.stem.missing.weight)
    batch = _batch(torch.zeros(1, 400, 12))
    gone = Batch(x=batch.x, extra={**batch.extra, "present": torch.zeros(1, 12)})

    assert not torch.allclose(net(batch), net(gone))
