"""Columns of an answer: the point, intervals by level, quantiles."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqmamba.datasets.series.frequency import Int64
from seqmamba.errors import ConfigError, SeqmambaWarning
from seqmamba.tasks.forecast.answers.intervals import conformal_settings, signed_offset, widths
from seqmamba.tasks.forecast.answers.table import to_units

if TYPE_CHECKING:
    from seqmamba.tasks.forecast.estimator import SMambaForecaster

__all__ = ["check_levels", "spread_columns"]

Scales = tuple[NDArray[np.float64], NDArray[np.float64]]


def check_levels(level: Sequence[float] | None, quantiles: Sequence[float] | None) -> None:
    """Raise :class:`ConfigError` for levels outside (0, 100) and quantiles outside (0, 1)."""
    for value in level or ():
        if not 0 < value < 100:
            raise ConfigError(f"level must lie between 0 and 100 (per cent), got {value!r}")
    for q in quantiles or ():
        if not 0 < q < 1:
            raise ConfigError(f"quantiles must lie between 0 and 1, got {q!r}")


def spread_columns(
    model: "SMambaForecaster",
    out: NDArray[Any],
    scales: Scales,
    codes: Int64,
    level: Sequence[float] | None,
    quantiles: Sequence[float] | None,
    spread: NDArray[np.float32],
) -> dict[str, NDArray[Any]]:
    """Return the columns of an answer in the user's units, each (series, h).

    Parameters
    ----------
    out : (series, h) or (series, h, Q), scaled
    codes : (series,)
        Place of each series in ``fit``; -1 = unseen.
    spread : (series,)
        Deviation of each look-back, scaled.
    """
    check_levels(level, quantiles)
    learned = list(model.quantiles or ())
    point = out if out.ndim == 2 else out[..., _middle(learned)]
    columns: dict[str, NDArray[Any]] = {model.alias: to_units(model, point, scales)}
    reaches = _Reaches(model, codes, out.shape[1], spread)
    is_pooled = False
    for value in level or ():
        tail = (1 - value / 100) / 2
        places = _places(learned, tail, 1 - tail)
        if places is not None:
            low, high = out[..., places[0]], out[..., places[1]]
        else:
            below, above, pooled = reaches.interval(value / 100)
            low, high, is_pooled = point + below, point + above, is_pooled or pooled
        columns[f"{model.alias}-lo-{value:g}"] = to_units(model, low, scales)
        columns[f"{model.alias}-hi-{value:g}"] = to_units(model, high, scales)
    wanted = quantiles if quantiles is not None else learned
    for q in wanted:
        places = _places(learned, q, q)
        if places is not None:
            value_q = out[..., places[0]]
        else:
            reach, pooled = reaches.quantile(q)
            value_q, is_pooled = point + reach, is_pooled or pooled
        columns[f"{model.alias}_ql{q:g}"] = to_units(model, value_q, scales)
    if is_pooled:
        _warn_of_pooling(len(model.residuals_))
    return columns


def _warn_of_pooling(n_cutoffs: int) -> None:
    warnings.warn(
        f"some series have fewer than the windows that the level needs "
        f"({n_cutoffs} cutoffs were kept): their intervals pool horizon steps or "
        "series. Pass conformal={'n_windows': ...} in fit for more.",
        SeqmambaWarning,
        stacklevel=5,
    )


class _Reaches:
    """How far intervals and quantiles lie from the forecasts, by the model's conformal method.

    Parameters
    ----------
    codes, spread : (series,)
    h : int
        Steps of the forecasts.
    """

    def __init__(
        self, model: "SMambaForecaster", codes: Int64, h: int, spread: NDArray[np.float32]
    ) -> None:
        self._model, self._codes, self._h = model, codes, h
        self._method = conformal_settings(model.conformal)["method"]
        self._is_scaled = self._method == "scaled"
        self._factor = spread[:, None] if self._is_scaled else np.ones((1, 1), np.float32)

    def interval(self, share: float) -> tuple[NDArray[Any], NDArray[Any], bool]:
        """Return the reaches below and above for a coverage, (series, h), and if pooled."""
        low, high, pooled = widths(self._residuals(), share, self._method, self._codes, self._h)
        return low * self._factor, high * self._factor, pooled

    def quantile(self, q: float) -> tuple[NDArray[Any], bool]:
        """Return the reach of one quantile, (series, h), and if pooled."""
        sign = 1 if q >= 0.5 else -1
        residuals = sign * self._residuals()
        reach, pooled = signed_offset(residuals, max(q, 1 - q), self._codes, self._h)
        return sign * reach * self._factor, pooled

    def _residuals(self) -> NDArray[np.float32]:
        model = self._model
        if not len(model.residuals_):
            raise ConfigError(
                "intervals need residuals of earlier cutoffs, and the data of fit had none to "
                "spare; fit with more rows, or with quantiles=(0.1, 0.5, 0.9)."
            )
        if not self._is_scaled:
            return model.residuals_
        return np.asarray(model.residuals_ / model.residual_spread_[:, :, None])


def _middle(learned: list[float]) -> int:
    return int(np.abs(np.array(learned) - 0.5).argmin())


def _places(learned: list[float], low: float, high: float) -> tuple[int, int] | None:
    """Return where two quantiles stand among the learned ones, or None."""
    if not learned:
        return None
    grid = np.array(learned)
    first, second = int(np.abs(grid - low).argmin()), int(np.abs(grid - high).argmin())
    if abs(grid[first] - low) > 1e-9 or abs(grid[second] - high) > 1e-9:
        return None
    return first, second
