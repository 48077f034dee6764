"""The diagonal state-space layer of S4MIL, a baseline beside the Mamba encoders."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["S4D"]

DT_RANGE = (1e-3, 1e-1)  # of the first steps


class S4D(nn.Module):
    r"""LayerNorm, diagonal state space, gated output: (B, L, D) -> (B, L, D), causal.

    .. math:: y_t = 2 \, \mathrm{Re} \sum_n C_n h_{t,n} + D u_t, \qquad
              h_{t,n} = e^{\Delta A_n} h_{t-1,n} + \frac{e^{\Delta A_n} - 1}{A_n} u_t

    per channel, with :math:`A_n = -1/2 + i \pi n` at the start (S4D-Lin), computed as one long
    convolution. Source: Gu et al., arXiv 2206.11893; multiple-instance specification, 2.3.

    Parameters
    ----------
    d_model : int
        D.
    d_state : int
        Real state per channel; half as many complex pairs.
    """

    def __init__(self, d_model: int, d_state: int = 32) -> None:
        super().__init__()
        pairs = max(d_state // 2, 1)
        low, high = (math.log(dt) for dt in DT_RANGE)
        self.norm = nn.LayerNorm(d_model)
        self.log_dt = nn.Parameter(low + (high - low) * torch.rand(d_model))
        self.log_decay = nn.Parameter(torch.full((d_model, pairs), math.log(0.5)))
        self.frequency = nn.Parameter(math.pi * torch.arange(pairs).float().repeat(d_model, 1))
        self.C = nn.Parameter(torch.randn(d_model, pairs, 2) / math.sqrt(2))
        self.D = nn.Parameter(torch.randn(d_model))
        self.out = nn.Linear(d_model, 2 * d_model)

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:
        """Return (B, L, D), zero where ``mask`` (B, L) is False; nothing is read there."""
        u = self.norm(h).masked_fill(~mask.unsqueeze(-1), 0).transpose(1, 2)  # (B, D, L)
        size = 2 * u.shape[-1]  # zeros behind the end: the convolution must not wrap around
        response = torch.fft.rfft(self.kernel(u.shape[-1]), n=size)
        y = torch.fft.irfft(torch.fft.rfft(u, n=size) * response, n=size)[..., : u.shape[-1]]
        y = functional.gelu(y + self.D[:, None] * u).transpose(1, 2)
        return functional.glu(self.out(y), -1).masked_fill(~mask.unsqueeze(-1), 0)

    def kernel(self, length: int) -> Tensor:
        """Return the response to an impulse: (D, L)."""
        A = torch.complex(-self.log_decay.exp(), self.frequency)  # (D, N / 2)
        step = self.log_dt.exp()[:, None] * A
        weight = torch.view_as_complex(self.C) * (step.exp() - 1) / A
        place = torch.arange(length, device=step.device)
        total = torch.zeros(len(A), length, device=step.device)
        for n in range(A.shape[1]):  # all at once would take (D, N / 2, L)
            total = total + 2 * (weight[:, n, None] * (step[:, n, None] * place).exp()).real
        return total
