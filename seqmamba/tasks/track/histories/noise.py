"""What a detector does to a history of boxes: jitter, late starts, gaps; and two symmetries.

A tracker feeds detections, while clean tracks have no jitter and no gaps. Only the history is
corrupted: the network also learns to see through it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Noise", "flip"]

MEMORY = 0.5  # correlation of the jitter from frame to frame
SPREAD = (0.020, 0.010, 0.035, 0.018)  # cx, cy in shares of w, h; ln w, ln h: real YOLOX boxes


@dataclass(frozen=True)
class Noise:
    """Corruption of histories; draws from torch's global generator.

    Parameters
    ----------
    level : (float, float)
        Range of the jitter's amplitude, drawn once per history; 1 is a YOLOX detector.
    shorten : float
        Probability that a history begins late (its first box is repeated).
    gap : float
        Probability of a gap.
    longest_gap : int
        Frames.
    """

    level: tuple[float, float] = (0.3, 1.5)
    shorten: float = 0.25
    gap: float = 0.3
    longest_gap: int = 5

    def __call__(self, x: Tensor) -> Tensor:
        """Corrupt boxes ``cx, cy, w, h``: (B, L, 4) -> (B, L, 4)."""
        return self._shortened(self._gapped(self._jittered(x)))

    def _jittered(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        low, high = self.level
        amplitude = low + (high - low) * torch.rand(batch, 1, 1, device=x.device)
        z = torch.randn_like(x)
        for k in range(1, length):
            z[:, k] = MEMORY * z[:, k - 1] + (1 - MEMORY**2) ** 0.5 * z[:, k]
        z = amplitude * z * x.new_tensor(SPREAD)
        centre = x[..., :2] + z[..., :2] * x[..., 2:]
        return torch.cat([centre, x[..., 2:] * z[..., 2:].exp()], dim=-1)

    def _gapped(self, x: Tensor) -> Tensor:
        """Fill a gap by a line if it has ended, else by holding or by constant velocity."""
        batch, length, _ = x.shape
        if self.gap == 0 or length < 3:
            return x
        longest = min(self.longest_gap, length - 2)
        size = torch.randint(1, longest + 1, (batch, 1, 1), device=x.device)
        # the last box before the gap; a gap that reaches the end is still open
        before = 1 + (torch.rand(batch, 1, 1, device=x.device) * (length - 1 - size)).long()
        before = torch.where(torch.rand_like(before.float()) < 0.5, length - 1 - size, before)
        place = torch.arange(length, device=x.device)[None, :, None]
        inside = (place > before) & (place <= before + size)
        hit = torch.rand(batch, 1, 1, device=x.device) < self.gap
        start, after = _pick(x, before), _pick(x, (before + size + 1).clamp(max=length - 1))
        velocity = start - _pick(x, before - 1)
        velocity = velocity * (torch.rand(batch, 1, 1, device=x.device) < 0.5)
        line = (after - start) / (size + 1)
        is_open = before + size >= length - 1
        filled = start + torch.where(is_open, velocity, line) * (place - before)
        filled = torch.cat([filled[..., :2], torch.where(is_open, start, filled)[..., 2:]], dim=-1)
        return torch.where(inside & hit, filled, x)

    def _shortened(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        first = torch.randint(0, length - 1, (batch, 1, 1), device=x.device)
        first = first * (torch.rand(batch, 1, 1, device=x.device) < self.shorten)
        place = torch.arange(length, device=x.device)[None, :, None]
        return torch.where(place < first, _pick(x, first), x)


def flip(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror half of the rows from left to right: (B, L, C), (B, H, C); centres come first."""
    sign = torch.ones(len(x), 1, x.shape[-1], device=x.device)
    sign[torch.rand(len(x), device=x.device) < 0.5, :, 0] = -1.0
    return x * sign, y * sign


def _pick(x: Tensor, place: Tensor) -> Tensor:
    """Return one position per row: (B, L, C), (B, 1, 1) -> (B, 1, C)."""
    return x.gather(1, place.expand(-1, -1, x.shape[-1]))
