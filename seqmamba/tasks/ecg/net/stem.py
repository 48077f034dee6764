"""From samples to tokens: convolutions that learn the shape of waves."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ConvStem", "LinearStem", "PatchStem", "ResidualStage", "StemName", "make_stem"]

StemName = Literal["conv", "patch", "none"]


def make_stem(
    name: StemName, leads: int, d_model: int, strides: tuple[int, ...], kernels: tuple[int, ...]
) -> nn.Module:
    """Return a stem (B, T, leads) -> (B, L, D) and its mask.

    Parameters
    ----------
    name : {"conv", "patch", "none"}
        "patch" is ECG-Mamba's single convolution of 18 taps, "none" a linear map per sample.
    strides, kernels : tuple of int
        Of the three stages of "conv"; "patch" takes one step of their product.
    """
    if name == "conv":
        return ConvStem(leads, d_model, strides, kernels)
    return PatchStem(leads, d_model, strides) if name == "patch" else LinearStem(leads, d_model)


class ConvStem(nn.Module):
    """Three stages of convolution, each striding: (B, T, leads) -> (B, L, D), L = ceil(T / s).

    ECG specification, 2.1. Padding stays zero between the stages, so that a padded record gives
    the tokens of the bare one. A missing lead adds a learned offset to the first stage.
    """

    def __init__(
        self, leads: int, d_model: int, strides: tuple[int, ...], kernels: tuple[int, ...]
    ) -> None:
        super().__init__()
        widths = (max(d_model // 4, 1), max(d_model // 2, 1), d_model)
        self.conv = _conv(leads, widths[0], kernels[0], strides[0])
        self.norm = nn.BatchNorm1d(widths[0])
        self.missing = nn.Linear(leads, widths[0], bias=False)
        nn.init.zeros_(self.missing.weight)
        self.stages = nn.ModuleList(
            ResidualStage(widths[k], widths[k + 1], kernels[k + 1], strides[k + 1])
            for k in range(2)
        )
        self.out = nn.LayerNorm(d_model)
        self.stride = strides[0]

    def forward(
        self, x: Tensor, present: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return tokens and their mask; ``present`` (B, leads) is 1 for leads that exist."""
        h = self.conv(x.transpose(1, 2))  # (B, D / 4, T / s0)
        h = h + self.missing(1 - present).unsqueeze(-1)
        mask = _strided(mask, self.stride)
        h = _masked(functional.gelu(self.norm(h)), mask)
        for stage in self.stages:
            h, mask = stage(h, mask)
        return self.out(h.transpose(1, 2)), mask  # (B, L, D)


class ResidualStage(nn.Module):
    """Two convolutions around a 1x1 shortcut: (B, C, T) -> (B, C', T / stride)."""

    def __init__(self, width: int, out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(width, out, kernel, stride)
        self.norm1 = nn.BatchNorm1d(out)
        self.conv2 = _conv(out, out, kernel, 1)
        self.norm2 = nn.BatchNorm1d(out)
        nn.init.zeros_(self.norm2.weight)  # the stage starts as its shortcut
        self.shortcut: nn.Module = nn.Identity()
        if width != out or stride != 1:
            self.shortcut = _conv(width, out, 1, stride)
        self.stride = stride

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the stage's output and its mask (B, T / stride)."""
        mask = _strided(mask, self.stride)
        h = _masked(functional.gelu(self.norm1(self.conv1(x))), mask)
        h = self.norm2(self.conv2(h)) + self.shortcut(x)
        return _masked(functional.gelu(h), mask), mask


class PatchStem(nn.Module):
    """One convolution, the patch of ECG-Mamba: (B, T, leads) -> (B, L, D)."""

    def __init__(self, leads: int, d_model: int, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.stride = strides[0] * strides[1] * strides[2]
        kernel = 18  # model card of ECG-Mamba-V2, by its parameter count
        self.conv = nn.Conv1d(leads, d_model, kernel, self.stride, padding=kernel // 2)

    def forward(
        self, x: Tensor, present: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return tokens and their mask."""
        length = -(-x.shape[1] // self.stride)
        h = self.conv(x.transpose(1, 2))[..., :length].transpose(1, 2)
        mask = _strided(mask, self.stride)
        return h if mask is None else h * mask.unsqueeze(-1), mask


class LinearStem(nn.Module):
    """A linear map per sample: (B, T, leads) -> (B, T, D)."""

    def __init__(self, leads: int, d_model: int) -> None:
        super().__init__()
        self.linear = nn.Linear(leads, d_model)

    def forward(
        self, x: Tensor, present: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return tokens and their mask."""
        return self.linear(x), mask


def _conv(width: int, out: int, kernel: int, stride: int) -> nn.Conv1d:
    conv = nn.Conv1d(width, out, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def _strided(mask: Tensor | None, stride: int) -> Tensor | None:
    return None if mask is None else mask[:, ::stride]


def _masked(h: Tensor, mask: Tensor | None) -> Tensor:
    return h if mask is None else h * mask.unsqueeze(1).to(h.dtype)
