"""Position vectors without parameters."""

import torch
from torch import Tensor

__all__ = ["sinusoidal_positions"]


def sinusoidal_positions(
    length: int, d_model: int, *, device: torch.device | str | None = None
) -> Tensor:
    r"""Return sine and cosine position vectors (L, D), float32.

    .. math:: p_{t,2i} = \sin(t / 10000^{2i/D}), \qquad p_{t,2i+1} = \cos(t / 10000^{2i/D})

    Source: Vaswani et al., arXiv 1706.03762, section 3.5; used by the chaotic-forecasting (2.2)
    and ECG (2.3) specifications.

    Parameters
    ----------
    length, d_model : int
        An odd width ends on a sine.
    device : torch.device, str or None

    Examples
    --------
    >>> sinusoidal_positions(2, 4)[0].tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    position = torch.arange(length, device=device, dtype=torch.float64).unsqueeze(-1)
    even = torch.arange(0, d_model, 2, device=device, dtype=torch.float64)
    angle = position * 10000.0 ** (-even / d_model)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :d_model].float()
