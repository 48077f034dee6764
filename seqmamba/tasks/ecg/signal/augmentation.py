"""What happens to recordings while training; polarity and time are never turned over.

Turning either changes the diagnosis. Probabilities: ECG specification, 3. Random numbers come from
torch's generator, which the training loop has seeded.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from seqmamba.datasets.samples import Batch

__all__ = ["augment", "mix_up"]

GAIN = (0.8, 1.25)


def augment(batch: Batch, fs: float, strength: float = 1.0) -> Batch:
    """Return a batch with gains, lost leads, noise, wandering baselines and masked stretches.

    Parameters
    ----------
    batch : Batch
        ``x`` (B, T, C) in units of the record's standard deviation.
    fs : float
    strength : float
        Factor on the probabilities.
    """
    x, present = batch.x, batch.extra["present"]
    size, length, leads = x.shape
    x = x * torch.where(_some(size, 0.5 * strength), _uniform(size, *GAIN), 1.0)[:, None, None]
    lost = _lost_leads(size, leads, 0.2 * strength)
    noise = torch.where(_some(size, 0.3 * strength), _uniform(size, 0.01, 0.05), 0.0)
    x = x + noise[:, None, None] * torch.randn(x.shape)
    x = x + _wander(size, length, leads, fs, 0.3 * strength)
    x = x * _stretch(size, length, round(0.5 * fs), 0.2 * strength)[:, :, None]
    present = present * ~lost
    x = x * present[:, None, :]
    if batch.mask is not None:
        x = x * batch.mask[:, :, None]
    return replace(batch, x=x, extra={**batch.extra, "present": present})


def mix_up(batch: Batch, alpha: float) -> Batch:
    """Return convex combinations of records and of their labels (mixup, arXiv 1710.09412)."""
    assert batch.y is not None
    share = torch.distributions.Beta(alpha, alpha).sample((len(batch),)).to(batch.x.dtype)
    other = torch.randperm(len(batch))
    x = share[:, None, None] * batch.x + (1 - share)[:, None, None] * batch.x[other]
    y = share[:, None] * batch.y + (1 - share)[:, None] * batch.y[other]
    mask = None if batch.mask is None else batch.mask | batch.mask[other]
    present, level, rhythm = (batch.extra[name] for name in ("present", "level", "rhythm"))
    extra = {
        "present": torch.maximum(present, present[other]),
        "level": share * level + (1 - share) * level[other],
        "rhythm": share[:, None] * rhythm + (1 - share)[:, None] * rhythm[other],
    }
    return replace(batch, x=x, y=y, mask=mask, extra=extra)


def _some(size: int, probability: float) -> Tensor:
    return torch.rand(size) < probability


def _uniform(size: int, low: float, high: float) -> Tensor:
    return torch.rand(size) * (high - low) + low


def _lost_leads(size: int, leads: int, probability: float) -> Tensor:
    """Lose one to three leads of some records; a single lead is never lost: (B, C) of bool."""
    if leads < 4:
        return torch.zeros(size, leads, dtype=torch.bool)
    rank = torch.rand(size, leads).argsort(1).argsort(1)
    count = torch.where(_some(size, probability), torch.randint(1, 4, (size,)), 0)
    return rank < count[:, None]


def _wander(size: int, length: int, leads: int, fs: float, probability: float) -> Tensor:
    """Return three slow sines per record, of another size in each lead: (B, T, C)."""
    time = torch.arange(length) / fs
    rate = torch.rand(size, 3, 1) * 0.45 + 0.05
    waves = torch.sin(2 * math.pi * (rate * time + torch.rand(size, 3, 1)))  # (B, 3, T)
    height = torch.rand(size, 3, leads) * 0.3 * _some(size, probability)[:, None, None]
    return torch.einsum("bkt,bkc->btc", waves, height)


def _stretch(size: int, length: int, longest: int, probability: float) -> Tensor:
    """Return 0 over a short stretch of some records, else 1: (B, T)."""
    start = torch.rand(size, 1) * length
    width = torch.rand(size, 1) * min(longest, length // 2) * _some(size, probability)[:, None]
    place = torch.arange(length)
    return 1.0 - ((place >= start) & (place < start + width)).float()
