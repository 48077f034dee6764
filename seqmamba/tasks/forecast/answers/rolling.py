"""Forecasts from the ends of series, in blocks of the trained horizon."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqmamba.datasets.series.panel import Panel
from seqmamba.errors import ConfigError
from seqmamba.tasks.forecast.reading.table import windows

if TYPE_CHECKING:
    from seqmamba.tasks.forecast.estimator import SMambaForecaster

__all__ = ["roll"]


def roll(
    model: "SMambaForecaster",
    scaled: Panel,
    history: NDArray[np.int64],
    h: int,
    static: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """Forecast h rows behind the history of each group.

    A longer horizon than the trained one is reached by feeding forecasts back (the middle quantile
    of a quantile model).

    Parameters
    ----------
    scaled : Panel
        May hold rows behind the history, with covariates that are known ahead.
    history : (G,)
        Rows of history of each group.

    Returns
    -------
    array (G, h, N) or (G, h, N, Q), scaled
    """
    n_blocks = -(-h // model.h)
    if n_blocks > 1:
        if model.hist_exog:
            raise ConfigError(
                f"h={h} is longer than the trained horizon of {model.h}, and forecasts fed back "
                "lack the historical covariates hist_exog. Pass a smaller h, or fit with a longer "
                "one."
            )
        behind = int((scaled.lengths - history).min())
        scaled = scaled.extend(max(n_blocks * model.h - behind, 0))
        scaled = replace(scaled, values=scaled.values.copy())
    blocks: list[NDArray[Any]] = []
    for block in range(n_blocks):
        cut = history + block * model.h
        samples = windows(
            model,
            scaled,
            first=cut,
            count=np.ones(scaled.n_groups, np.int64),
            static=static,
            has_targets=False,
        )
        out = model._outputs(samples).numpy()
        blocks.append(out)
        if block + 1 < n_blocks:
            point = out if out.ndim == 3 else out[..., out.shape[3] // 2]
            rows = (scaled.offsets[:-1] + cut)[:, None] + np.arange(model.h)
            scaled.values[rows, : scaled.n_targets] = point
    whole = blocks[0] if n_blocks == 1 else np.concatenate(blocks, axis=1)
    return np.sort(whole[:, :h], axis=3) if whole.ndim == 4 else whole[:, :h]
