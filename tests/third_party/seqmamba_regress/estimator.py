"""Number from a sequence: four hooks, and a ranking of its own."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from sklearn.base import RegressorMixin
from torch import Tensor, nn
from torch.nn import functional

from seqmamba.base import BaseEstimator
from seqmamba.datasets.samples import Batch, Info
from seqmamba.params import Choice, IntRange, LogUniform, Uniform, param
from seqmamba.train.anchor import Anchor
from seqmamba_regress.data import SequenceSamples
from seqmamba_regress.model import Means, Regressor, Zero


@dataclass(eq=False, repr=False)
class SequenceRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # sklearn: untyped
    """Number from a sequence with a bidirectional Mamba encoder."""

    d_model: int = param(8, "width of the encoder", low=8, search=Choice(8, 16))
    n_layers: int = param(1, "number of blocks", low=1, search=IntRange(1, 2))
    dropout: float = param(0.1, "dropout in the blocks", low=0, high=0.9, search=Uniform(0, 0.4))
    anchor: Literal["auto", "zero", "means"] | None = param(None, "cheap model to stand on")
    steepness: float = param(1.0, "factor on the loss", low=0, search=LogUniform(0.5, 2.0))

    _task = "regress"
    _state_names = ("center_", "spread_")
    _default_val_size = 0.2

    def _read(self, X: Any, y: Any, fit: bool, **tables: Any) -> SequenceSamples:
        samples = SequenceSamples.read(X, y)
        if fit and samples.y is not None:
            self.center_ = np.mean(samples.y, keepdims=True)
            self.spread_ = np.std(samples.y, keepdims=True)
        return samples

    def _build(self, info: Info) -> nn.Module:
        return Regressor(info.channels, self.d_model, self.n_layers, self.dropout, self.backend)

    def _anchors(self, info: Info) -> dict[str, Anchor]:
        scale = float(self.center_[0]), float(self.spread_[0])
        return {"zero": Zero(), "means": Means(scale)}

    def _loss(self, net: nn.Module, batch: Batch) -> Tensor:
        assert batch.y is not None
        target = (batch.y - float(self.center_[0])) / float(self.spread_[0])
        return self.steepness * functional.mse_loss(net(batch), target)

    def _decode(self, out: Tensor, samples: Any) -> Any:
        return out.double().numpy() * self.spread_ + self.center_

    def rank(self, X: Any, *, top: int = 3, levels: tuple[int, ...] = ()) -> pl.DataFrame:
        """Return the sequences of the largest predictions.

        Parameters
        ----------
        X : table
        top : int
            Number of rows. At least one.
        levels : tuple of int
            Keep these ranks only.
        """
        samples = self._read(X, None, False)
        table = pl.DataFrame({"unique_id": samples.ids, "y": self.predict(X)})
        table = table.sort("y", descending=True).with_row_index("rank", offset=1).head(top)
        return table.filter(pl.col("rank").is_in(levels)) if levels else table
