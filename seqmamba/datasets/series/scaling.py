"""Outer scaling: one place and one scale per series, learned on training rows only."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqmamba.datasets.series.frequency import Int64
from seqmamba.datasets.series.panel import Panel
from seqmamba.errors import DataError

__all__ = ["ScalerName", "Scaling", "moments"]

ScalerName = Literal["standard", "robust", "minmax", "log1p", "none"]
Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Scaling:
    """``(f(value) - center) / scale`` per series; f is log1p for "log1p", else nothing.

    ============  ======================  ==========================================
    kind          center                  scale
    ============  ======================  ==========================================
    "standard"    mean                    population standard deviation
    "log1p"       the same of log(1 + v)  the same of log(1 + v)
    "robust"      median                  third less first quartile
    "minmax"      smallest                largest less smallest
    "none"        0                       1
    ============  ======================  ==========================================

    A constant series keeps scale 1.

    Parameters
    ----------
    kind : str
    center, scale : (n_series,)
    cov_center, cov_scale : (E,)
        Of the covariates, over all series, always "standard" (or nothing for "none").
    future_center, future_scale : (F,)
    """

    kind: ScalerName
    center: Float64
    scale: Float64
    cov_center: Float64
    cov_scale: Float64
    future_center: Float64
    future_scale: Float64

    @classmethod
    def learn(cls, panel: Panel, stop: Int64, kind: ScalerName) -> "Scaling":
        """Learn from the rows before ``stop[g]`` of each group."""
        center, scale = series_scales(panel, kind, stop)
        cov, ahead = _Pool(len(panel.names)), _Pool(len(panel.future_names))
        if kind != "none" and (panel.names or panel.future_names):
            for groups, part in panel.chunks():
                train = part.rows(np.zeros_like(stop[groups]), stop[groups])
                cov.add(train.values[:, panel.n_targets :])
                ahead.add(train.future)
        return cls(kind, center, scale, *cov.scales(), *ahead.scales())

    def apply(self, panel: Panel, codes: Int64) -> Panel:
        """Return the scaled panel in float32.

        Parameters
        ----------
        codes : (len(panel.ids),)
            Place of each series in ``center``; -1 = unseen: scaled by its own history.
        """
        return self.apply_scales(panel, self.of(panel, codes))

    def apply_scales(self, panel: Panel, scales: tuple[Float64, Float64]) -> Panel:
        """Return the panel scaled by these centers and scales of its series, in float32.

        A memory-mapped panel is scaled in its place, so that no second one is needed.
        """
        if not isinstance(panel.values, np.memmap):
            return self._scaled(panel, scales)
        for _, part in panel.chunks():
            scaled = self._scaled(part, scales)
            part.values[:] = scaled.values
            if part.future is not None and scaled.future is not None:
                part.future[:] = scaled.future
        return panel

    def _scaled(self, panel: Panel, scales: tuple[Float64, Float64]) -> Panel:
        center, scale = scales
        values = panel.values
        n = panel.n_targets
        slots = np.where(panel.targets < 0, 0, panel.targets)
        target = forward(values[:, :n], self.kind, panel)
        center, scale = center[slots], scale[slots]  # (G, N)
        if panel.n_groups > 1:
            center = np.repeat(center, panel.lengths, axis=0)
            scale = np.repeat(scale, panel.lengths, axis=0)
        scaled = [(target - center) / scale]
        if values.shape[1] > n:
            scaled.append(_standardised(values[:, n:], self.cov_center, self.cov_scale))
        future = panel.future
        if future is not None:
            future = _standardised(future, self.future_center, self.future_scale)
            future = future.astype(np.float32)
        whole = scaled[0] if len(scaled) == 1 else np.concatenate(scaled, axis=1)
        return replace(panel, values=whole.astype(np.float32), future=future)

    def of(self, panel: Panel, codes: Int64) -> tuple[Float64, Float64]:
        """Return center and scale of each series of a panel: (n,), (n,)."""
        if not (codes < 0).any():
            return self.center[codes], self.scale[codes]
        own_center, own_scale = series_scales(panel, self.kind)
        known = np.where(codes < 0, 0, codes)
        if not len(self.center):
            return own_center, own_scale
        return (
            np.where(codes < 0, own_center, self.center[known]),
            np.where(codes < 0, own_scale, self.scale[known]),
        )


def forward(values: NDArray[Any], kind: ScalerName, panel: Panel) -> NDArray[Any]:
    """Apply f of a scaling."""
    if kind != "log1p":
        return values
    if (values <= -1).any():
        row, column = (int(k) for k in np.argwhere(values <= -1)[0])
        group = int(np.searchsorted(panel.offsets, row, side="right")) - 1
        name = panel.ids[int(panel.targets[group, column])]
        raise DataError(
            f"series {name!r} holds {values[row, column]:g}, and scaler='log1p' needs values above "
            "-1. Pass scaler='standard'.",
            where=name,
            value=float(values[row, column]),
        )
    return np.asarray(np.log1p(values))


def inverse(values: NDArray[Any], kind: ScalerName) -> NDArray[Any]:
    """Undo f of a scaling."""
    return np.expm1(values) if kind == "log1p" else values


def series_scales(
    panel: Panel, kind: ScalerName, stop: Int64 | None = None
) -> tuple[Float64, Float64]:
    """Return center and scale of every series, missing cells left out: (n,), (n,).

    Parameters
    ----------
    stop : (G,) or None
        Rows of each group that count; None = all.
    """
    center, scale = np.zeros(len(panel.ids)), np.ones(len(panel.ids))
    if kind == "none":
        return center, scale
    stop = panel.lengths if stop is None else stop
    for groups, part in panel.chunks():
        train = part.rows(np.zeros_like(stop[groups]), stop[groups])
        where, size = _group_scales(train, kind)
        real = train.targets >= 0
        center[train.targets[real]] = where[real]
        scale[train.targets[real]] = size[real]
    return center, scale


def _group_scales(panel: Panel, kind: ScalerName) -> tuple[Float64, Float64]:
    """Return center and scale of each group's target columns: (G, N), (G, N)."""
    values = forward(panel.values[:, : panel.n_targets], kind, panel).astype(np.float64, copy=False)
    if kind in ("standard", "log1p"):
        return moments(values, panel.offsets)
    center, scale = np.zeros(panel.targets.shape), np.ones(panel.targets.shape)
    for group, slot in np.argwhere(panel.targets >= 0):
        column = values[panel.offsets[group] : panel.offsets[group + 1], slot]
        center[group, slot], scale[group, slot] = _scales(column, kind)
    return center, scale


def moments(values: Float64, offsets: Int64) -> tuple[Float64, Float64]:
    """Return mean and population deviation of each group's columns, in two passes: (G, N).

    Missing cells are left out; a constant column has deviation 1.
    """
    lengths = np.diff(offsets)
    if len(lengths) == 1 and not np.isnan(values).any():
        return values.mean(axis=0)[None], _no_zero(values.std(axis=0), values.mean(axis=0))[None]
    seen = ~np.isnan(values)
    full = lengths > 0  # reduceat repeats the next group's first row for an empty one
    starts = offsets[:-1][full]

    def total(array: NDArray[Any]) -> Float64:
        out = np.zeros((len(lengths), values.shape[1]))
        if len(starts):
            out[full] = np.add.reduceat(array, starts, axis=0)
        return out

    count = np.maximum(total(seen.astype(np.float64)), 1)
    mean = total(np.where(seen, values, 0.0)) / count
    centred = np.where(seen, values - np.repeat(mean, lengths, axis=0), 0.0)
    deviation = np.sqrt(total(centred * centred) / count)
    return mean, _no_zero(deviation, mean)


def _scales(column: Float64, kind: ScalerName) -> tuple[float, float]:
    seen = column[~np.isnan(column)]
    if kind == "none" or not len(seen):
        return 0.0, 1.0
    if kind == "robust":
        low, middle, high = np.quantile(seen, [0.25, 0.5, 0.75])
        center, scale = middle, high - low
    elif kind == "minmax":
        center, scale = seen.min(), seen.max() - seen.min()
    else:
        center, scale = seen.mean(), seen.std()
    return float(center), float(_no_zero(np.asarray(scale), np.asarray(center)))


def _no_zero(scale: Float64, center: Float64) -> Float64:
    """Return 1 for scales that are rounding noise of a constant column."""
    return np.where(scale <= 1e-12 * np.maximum(np.abs(center), 1e-30), 1.0, scale)


class _Pool:
    """Running mean and deviation of each covariate, the columns of all series together."""

    def __init__(self, n_names: int) -> None:
        self.count, self.mean, self.squares = (np.zeros(n_names) for _ in range(3))

    def add(self, columns: Float64 | None) -> None:
        """Add rows (R, E * width), missing cells left out (Chan et al., 1983)."""
        n_names = len(self.count)
        if columns is None or not n_names:
            return
        width = columns.shape[1] // n_names
        for k in range(n_names):
            block = columns[:, k * width : (k + 1) * width].astype(np.float64)
            seen = block[~np.isnan(block)]
            if not len(seen):
                continue
            mean, total = seen.mean(), self.count[k] + len(seen)
            change = mean - self.mean[k]
            self.squares[k] += seen.var() * len(seen)
            self.squares[k] += change**2 * self.count[k] * len(seen) / total
            self.mean[k] += change * len(seen) / total
            self.count[k] = total

    def scales(self) -> tuple[Float64, Float64]:
        """Return center and scale: (E,), (E,)."""
        deviation = np.sqrt(self.squares / np.maximum(self.count, 1))
        return self.mean, _no_zero(deviation, self.mean)


def _standardised(columns: Float64, center: Float64, scale: Float64) -> Float64:
    width = columns.shape[1] // len(center)
    return (columns - np.repeat(center, width)) / np.repeat(scale, width)
