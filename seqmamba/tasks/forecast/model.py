"""S-Mamba: every series is a token, the scan runs over the series.

Source: Wang et al., arXiv 2403.11144, and its released code (forecasting specification, 2).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqmamba.datasets.samples import Batch
from seqmamba.nn import Encoder

__all__ = ["SMamba", "TokenLayout"]

EPSILON = 1e-5  # inside the root of the instance deviation, released code


@dataclass(frozen=True)
class TokenLayout:
    """Which columns of ``Batch.x`` are targets: N of them, then historical covariates.

    Parameters
    ----------
    n_hist : int
        Historical covariates.
    is_shared : bool
        One column per covariate for all series, else one per covariate and series.
    """

    n_hist: int = 0
    is_shared: bool = True

    def targets(self, columns: int) -> int:
        """Return N for C columns."""
        return columns - self.n_hist if self.is_shared else columns // (1 + self.n_hist)


class SMamba(nn.Module):
    """Windows to forecasts: x (B, L, C) -> (B, H, N), or (B, H, N, Q) with quantiles.

    Tokens are the targets, the historical covariates, the known-future covariates and the time
    marks, in this order; only the targets' outputs are kept.

    Parameters
    ----------
    input_size, h : int
        Look-back L and horizon H.
    layout : TokenLayout
    encoder : Encoder
        Over (B, V, D).
    d_model : int
    dropout : float
        After the embedding.
    use_norm : bool
        Instance normalisation of each window.
    n_quantiles : int
        0 = point forecasts.
    is_residual : bool
        True = the output is added to a forecast that carries the window's level already.
    has_future, has_missing : bool
    n_static : int
        Static features per series.
    n_series : int
        Size of the learned series embedding; 0 = none.
    """

    def __init__(
        self,
        input_size: int,
        h: int,
        layout: TokenLayout,
        encoder: Encoder,
        *,
        d_model: int,
        dropout: float = 0.1,
        use_norm: bool = True,
        n_quantiles: int = 0,
        is_residual: bool = False,
        has_future: bool = False,
        has_missing: bool = False,
        n_static: int = 0,
        n_series: int = 0,
    ) -> None:
        super().__init__()
        self.h, self.layout = h, layout
        self.use_norm, self.n_quantiles, self.is_residual = use_norm, n_quantiles, is_residual
        self.embed = nn.Linear(input_size, d_model)
        self.dropout = nn.Dropout(dropout)
        self.encoder = encoder
        self.head = nn.Linear(d_model, h * max(n_quantiles, 1))
        # Extensions come last, so that the paper's weights start from the same random numbers.
        self.embed_future = nn.Linear(input_size + h, d_model) if has_future else None
        self.embed_static = nn.Linear(n_static, d_model, bias=False) if n_static else None
        self.embed_series = nn.Embedding(n_series, d_model) if n_series else None
        self.embed_missing = nn.Linear(input_size, d_model, bias=False) if has_missing else None
        if self.embed_missing is not None:
            nn.init.zeros_(self.embed_missing.weight)

    def output_layer(self) -> nn.Linear:
        """Return the layer that an anchor sets to zero."""
        return self.head

    def forward(self, batch: Batch) -> Tensor:
        """Forecast a batch of windows; see :class:`seqmamba.datasets.windows.WindowSamples`."""
        x, observed = batch.x, batch.extra.get("observed")
        n = self.layout.targets(x.shape[2])
        mu: Tensor | None = None
        sd: Tensor | None = None
        if self.use_norm:
            mu, sd = _moments(x, observed)
            x = (x - mu) / sd
        if observed is not None:  # nothing was seen before these cells
            x = x * observed.cummax(dim=1).values
        tokens = self._tokens(x, n, batch)  # (B, V, D)
        tokens = self._encode(self.dropout(tokens), _mask(batch, n, tokens.shape[1]))
        y = self.head(tokens[:, :n])  # (B, N, H * Q)
        if not self.n_quantiles:
            return self._level(y.transpose(1, 2), n, mu, sd)  # (B, H, N)
        y = y.unflatten(2, (self.h, self.n_quantiles)).transpose(1, 2)
        if sd is not None and mu is not None:
            mu, sd = mu.unsqueeze(3), sd.unsqueeze(3)
        return self._level(y, n, mu, sd)  # (B, H, N, Q)

    def _tokens(self, x: Tensor, n: int, batch: Batch) -> Tensor:
        extra = batch.extra
        rows = [x.transpose(1, 2)]
        marks = extra.get("marks")
        if marks is not None and self.embed_future is None:
            rows.append(marks.transpose(1, 2))
        tokens: Tensor = self.embed(torch.cat(rows, dim=1) if len(rows) > 1 else rows[0])
        if self.embed_missing is not None and "observed" in extra:
            gaps = (~extra["observed"]).transpose(1, 2).to(x.dtype)
            tokens = _add(tokens, self.embed_missing(gaps))
        if self.embed_static is not None:
            tokens = _add(tokens, self.embed_static(extra["static"]))
        if self.embed_series is not None:
            tokens = _add(tokens, self.embed_series(extra["series"].clamp(min=0)))
        if self.embed_future is not None:
            parts = [tokens, self.embed_future(extra["future"].transpose(1, 2))]
            if marks is not None:
                parts.append(self.embed(marks.transpose(1, 2)))
            tokens = torch.cat(parts, dim=1)
        return tokens

    def _encode(self, tokens: Tensor, real: Tensor | None) -> Tensor:
        """Run the encoder; padded series go behind all real tokens, so that none stands between."""
        if real is None:
            encoded: Tensor = self.encoder(tokens)
            return encoded
        order = (~real).to(torch.uint8).argsort(dim=1, stable=True)
        tokens = _take(tokens, order)
        return _take(self.encoder(tokens, lengths=real.sum(dim=1)), order.argsort(dim=1))

    def _level(self, y: Tensor, n: int, mu: Tensor | None, sd: Tensor | None) -> Tensor:
        """Undo the instance normalisation."""
        if mu is None or sd is None:
            return y
        y = y * sd[:, :, :n]
        return y if self.is_residual else y + mu[:, :, :n]


def _moments(x: Tensor, observed: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each window over its observed cells: (B, 1, C) each."""
    if observed is None:
        mu = x.mean(dim=1, keepdim=True)
        return mu, torch.sqrt(x.var(dim=1, keepdim=True, correction=0) + EPSILON)
    weight = observed.to(x.dtype)
    count = weight.sum(dim=1, keepdim=True).clamp(min=1)
    mu = (x * weight).sum(dim=1, keepdim=True) / count
    var = ((x - mu).square() * weight).sum(dim=1, keepdim=True) / count
    return mu, torch.sqrt(var + EPSILON)


def _take(tokens: Tensor, order: Tensor) -> Tensor:
    """Reorder the tokens of each row: (B, V, D), (B, V) -> (B, V, D)."""
    return tokens.gather(1, order.unsqueeze(2).expand_as(tokens))


def _add(tokens: Tensor, first: Tensor) -> Tensor:
    """Add to the first tokens."""
    if first.shape[1] == tokens.shape[1]:
        return tokens + first
    pad = tokens.new_zeros(tokens.shape[0], tokens.shape[1] - first.shape[1], tokens.shape[2])
    return tokens + torch.cat([first, pad], dim=1)


def _mask(batch: Batch, n: int, n_tokens: int) -> Tensor | None:
    """Return which tokens are real in a batch of ragged groups: (B, V) or None."""
    real: Any = batch.extra.get("tokens")
    if real is None:
        return None
    columns = batch.x.shape[2]
    repeats = columns // n if columns % n == 0 else 1  # covariates of a padded series are padding
    mask = real.repeat(1, repeats)
    rest = mask.new_ones(mask.shape[0], n_tokens - mask.shape[1])
    return torch.cat([mask, rest], dim=1)
