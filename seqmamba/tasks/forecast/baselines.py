"""Cheap forecasts in the outer-scaled space: to stand on, and to stand beside.

Source: forecasting specification, 10.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from seqmamba.datasets.samples import Batch, Samples
from seqmamba.tasks.forecast.model import TokenLayout
from seqmamba.train.anchor import Anchor

__all__ = ["Last", "Ridge", "SeasonalNaive", "WindowMean", "baselines"]

PENALTIES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)  # times the mean diagonal
SPREAD_WINDOWS = 500  # from which the spread of errors is learned
MAX_ROWS = 4_000_000  # (window, series) pairs that the closed form reads at most


class _Baseline(Anchor):
    """A forecast of the targets: x (B, L, C) -> (B, H, N), or (B, H, N, Q) with quantiles.

    The quantiles lie about the point as those of its errors in the training part do.
    """

    offset: Tensor

    def __init__(self, h: int, layout: TokenLayout, quantiles: tuple[float, ...] = ()) -> None:
        super().__init__()
        self.h, self.layout, self.quantiles = h, layout, quantiles
        if quantiles:
            self.register_buffer("offset", torch.zeros(h, len(quantiles)))

    def forward(self, batch: Batch) -> Tensor:
        """Forecast a batch of windows."""
        y = self.forecast(batch.x[:, :, : self.layout.targets(batch.x.shape[2])])
        return y.unsqueeze(3) + self.offset[:, None] if self.quantiles else y

    def forecast(self, x: Tensor) -> Tensor:
        """Forecast the targets' windows (B, L, N)."""
        raise TypeError(f"{type(self).__name__} must define forecast(x)")

    def fit(self, samples: Samples) -> Self:
        """Learn where the quantiles lie."""
        if self.quantiles:
            self.offset = self._spread(samples)
        return self

    def _spread(self, samples: Samples) -> Tensor:
        """Return the quantiles of the errors at each step, all series together: (H, Q)."""
        indices = np.unique(np.linspace(0, len(samples) - 1, SPREAD_WINDOWS).astype(np.int64))
        batch = samples.batch(indices)
        assert batch.y is not None
        n = self.layout.targets(batch.x.shape[2])
        error = batch.y - self.forecast(batch.x[:, :, :n])  # (B, H, N)
        if "y_observed" in batch.extra:
            error = error.masked_fill(~batch.extra["y_observed"], torch.nan)
        levels = torch.tensor(self.quantiles, dtype=error.dtype)
        return torch.nanquantile(error.transpose(0, 1).flatten(1), levels, dim=1).T.nan_to_num()


class Last(_Baseline):
    """Repeat the last value."""

    def forecast(self, x: Tensor) -> Tensor:
        """Forecast the targets' windows (B, L, N)."""
        return x[:, -1:].expand(-1, self.h, -1)


class WindowMean(_Baseline):
    """Repeat the mean of the window."""

    def forecast(self, x: Tensor) -> Tensor:
        """Forecast the targets' windows (B, L, N)."""
        return x.mean(dim=1, keepdim=True).expand(-1, self.h, -1)


class SeasonalNaive(_Baseline):
    """Repeat the last seasonal cycle.

    Parameters
    ----------
    season : int
        Rows of a cycle; at most the look-back.
    """

    def __init__(
        self, h: int, layout: TokenLayout, season: int, quantiles: tuple[float, ...] = ()
    ) -> None:
        super().__init__(h, layout, quantiles)
        self.season = season

    def forecast(self, x: Tensor) -> Tensor:
        """Forecast the targets' windows (B, L, N)."""
        steps = torch.arange(self.h, device=x.device) % self.season
        return x[:, x.shape[1] - self.season + steps]


class Ridge(_Baseline):
    """One linear map of the window less its last value, shared by all series, in closed form.

    The penalty is chosen on the validation part. Missing targets are interpolated.
    """

    weight: Tensor

    def __init__(
        self, h: int, layout: TokenLayout, input_size: int, quantiles: tuple[float, ...] = ()
    ) -> None:
        super().__init__(h, layout, quantiles)
        self.register_buffer("weight", torch.zeros(input_size + 1, h))
        self._moments: tuple[Tensor, Tensor] | None = None

    def forecast(self, x: Tensor) -> Tensor:
        """Forecast the targets' windows (B, L, N)."""
        last = x[:, -1:]
        y = torch.einsum("bln,lh->bhn", x - last, self.weight[:-1].to(x.dtype))
        return y + self.weight[-1][:, None] + last

    def fit(self, samples: Samples) -> Self:
        """Collect the moments of the training windows and solve with the smallest penalty."""
        size = self.weight.shape[0]
        gram = torch.zeros(size, size, dtype=torch.float64)
        cross = torch.zeros(size, self.h, dtype=torch.float64)
        for rows, targets in self._rows(samples):
            gram += rows.T @ rows
            cross += rows.T @ targets
        self._moments = gram, cross
        self.weight = self._solve(PENALTIES[0])
        return super().fit(samples)

    def tune(self, score: Any) -> None:
        """Choose the penalty by a score of the validation part (smaller is better)."""
        if self._moments is None:
            return
        best, weight = float("inf"), self.weight
        for penalty in PENALTIES:
            self.weight = self._solve(penalty)
            reached = score(self)
            if reached < best:
                best, weight = reached, self.weight
        self.weight, self._moments = weight, None

    def _solve(self, penalty: float) -> Tensor:
        assert self._moments is not None
        gram, cross = self._moments
        ridge = penalty * gram.diagonal().mean().clamp(min=1e-12)
        identity = torch.eye(len(gram), dtype=gram.dtype)
        weight: Tensor = torch.linalg.solve(gram + ridge * identity, cross)
        return weight.float()

    def _rows(self, samples: Samples) -> Iterator[tuple[Tensor, Tensor]]:
        """Give (rows, L + 1) of windows with a constant and (rows, H) of targets, float64."""
        per_window = self.layout.targets(samples.batch(np.arange(1)).x.shape[2])
        stride = max(len(samples) * per_window // MAX_ROWS, 1)
        indices = np.arange(0, len(samples), stride)
        size = max(65_536 // per_window, 1)
        for start in range(0, len(indices), size):
            batch = samples.batch(indices[start : start + size])
            assert batch.y is not None
            x = batch.x[:, :, : self.layout.targets(batch.x.shape[2])]
            last = x[:, -1:]
            rows = (x - last).transpose(1, 2).flatten(0, 1).double()
            targets = (batch.y - last).transpose(1, 2).flatten(0, 1).double()
            keep = _usable(batch)
            if keep is not None:
                targets = _fill(targets, batch)
                rows, targets = rows[keep], targets[keep]
            yield torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1), targets


def _usable(batch: Batch) -> Tensor | None:
    """Return which (window, series) rows have data on both sides: (B * N,) or None for all."""
    seen = batch.extra.get("y_observed")
    if seen is None:
        return None
    n = seen.shape[2]
    usable = batch.extra["observed"][:, :, :n].any(dim=1) & seen.any(dim=1)
    return usable.flatten()


def _fill(targets: Tensor, batch: Batch) -> Tensor:
    """Interpolate missing targets on a line between their neighbours; zero is the last value."""
    seen = batch.extra["y_observed"].transpose(1, 2).flatten(0, 1)  # (rows, H)
    h = seen.shape[1]
    steps = torch.arange(h).expand_as(seen)
    left = torch.where(seen, steps, -1).cummax(dim=1).values
    right = torch.where(seen, steps, h).flip(1).cummin(dim=1).values.flip(1)
    padded = torch.cat([targets.new_zeros(len(targets), 1), targets], dim=1)
    low = padded.gather(1, left + 1)
    high = torch.where(right < h, targets.gather(1, right.clamp(max=h - 1)), low)
    share = (steps - left) / (right - left).clamp(min=1)
    return torch.where(seen, targets, low + share * (high - low))


def baselines(
    h: int, input_size: int, season: int, layout: TokenLayout, quantiles: tuple[float, ...] = ()
) -> Mapping[str, Anchor]:
    """Return all baselines by name, unfitted; the seasonal one only where a cycle fits."""
    found: dict[str, Anchor] = {
        "ridge": Ridge(h, layout, input_size, quantiles),
        "last": Last(h, layout, quantiles),
        "window_mean": WindowMean(h, layout, quantiles),
    }
    if 1 < season <= input_size:
        found["seasonal_naive"] = SeasonalNaive(h, layout, season, quantiles)
    return found
