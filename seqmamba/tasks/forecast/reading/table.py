"""Tables of series to windows: the reader's options, outer scaling, static features."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba import frames
from seqmamba.datasets.series.calendar import feature_names
from seqmamba.datasets.series.columns import Columns
from seqmamba.datasets.series.frequency import Int64
from seqmamba.datasets.series.panel import Panel
from seqmamba.datasets.series.read import ReadOptions, read_panel
from seqmamba.datasets.series.scaling import Scaling
from seqmamba.datasets.series.stream import large_table, stream_panel, stream_tail
from seqmamba.datasets.windows import WindowSamples
from seqmamba.errors import ConfigError, DataError
from seqmamba.tasks.forecast.reading.context import frequency_of

if TYPE_CHECKING:
    from seqmamba.tasks.forecast.estimator import SMambaForecaster

__all__ = ["Table", "read_table", "seen_codes", "windows"]


@dataclass(frozen=True)
class Table:
    """A panel and what is needed to answer in the user's own form.

    Parameters
    ----------
    panel : Panel
        Raw values.
    like : frames.Like
        The caller's frame library.
    """

    panel: Panel
    like: frames.Like

    @property
    def is_array(self) -> bool:
        """True if the user gave a plain array (T, N)."""
        return self.like.library == "numpy"


def columns_of(model: "SMambaForecaster") -> Columns:
    """Return the column names of an estimator's parameters."""
    group = model.grouping if model.grouping not in ("auto", "all", "each") else None
    hist, futr = model.hist_exog or (), model.futr_exog or ()
    both = set(hist) & set(futr)
    if both:
        raise ConfigError(
            f"covariate {min(both)!r} stands in hist_exog and futr_exog; keep it in futr_exog if "
            "it is known ahead."
        )
    return Columns(model.id_col, model.time_col, model.target_col, tuple(hist), tuple(futr), group)


def read_table(
    model: "SMambaForecaster", X: Any, *, fit: bool = False, last: int | None = None
) -> Table:
    """Read what the user gave; with ``fit=False`` in the way that was learned in ``fit``."""
    columns = columns_of(model)
    grouping: Any = "column" if columns.group else model.grouping
    options = ReadOptions(
        grouping=grouping if fit else model.grouping_,
        frequency=model.freq if fit else frequency_of(model),
        gaps=model.gaps,
        duplicates=model.duplicates,
        na_values=tuple(model.na_values or ()),
        shared=None if fit else (model.shared_[0], model.shared_[1]),
        last=last,
        known=() if fit else tuple(model.ids_),
    )
    large = large_table(X)
    if large is not None and fit:
        if model.grouping not in ("auto", "each"):
            raise ConfigError(
                f"a table of this size is read series by series: grouping={model.grouping!r} "
                "needs one that fits in memory. Pass grouping='each'."
            )
        library = "polars_lazy" if isinstance(X, pl.LazyFrame) else "file"
        panel = stream_panel(large, columns, model.freq)
        return Table(_check_missing(model, panel), frames.Like(library))
    if large is not None:  # only the end is needed
        X = stream_tail(large, columns, frequency_of(model), last or model.input_size + model.h)
    frame, like = frames.read(X, text_columns=[columns.id])
    panel, _ = read_panel(frame, columns, options)
    return Table(_check_missing(model, panel), like)


def _check_missing(model: "SMambaForecaster", panel: Panel) -> Panel:
    if model.missing != "error":
        return panel
    real = np.repeat(panel.targets >= 0, panel.lengths, axis=0)
    cells = np.isnan(panel.values[:, : panel.n_targets]) & real
    if cells.any():
        row, column = (int(k) for k in np.argwhere(cells)[0])
        group = int(np.searchsorted(panel.offsets, row, side="right")) - 1
        name = panel.ids[int(panel.targets[group, column])]
        at = np.array([row - int(panel.offsets[group])])
        stamp = panel.column(np.array([group]), at)[0]
        raise DataError(
            f"{int(cells.sum())} cells are missing; first: ({name!r}, {stamp}). Fill them, or pass "
            "missing='mask'.",
            column=model.target_col,
            where=name,
        )
    return panel


def seen_codes(model: "SMambaForecaster", panel: Panel) -> Int64:
    """Return the place of each series among those of ``fit``; -1 = unseen: (len(ids),)."""
    if list(panel.ids) == model.ids_:
        return np.arange(len(panel.ids))
    place = {name: k for k, name in enumerate(model.ids_)}
    return np.array([place.get(name, -1) for name in panel.ids], np.int64)


def scaling_of(model: "SMambaForecaster") -> Scaling:
    """Return the fitted outer scaling."""
    return Scaling(
        model.scaler,
        model.center_,
        model.scale_,
        model.covariate_center_,
        model.covariate_scale_,
        model.future_center_,
        model.future_scale_,
    )


def windows(
    model: "SMambaForecaster",
    scaled: Panel,
    *,
    first: Int64 | None = None,
    count: Int64 | None = None,
    stride: int = 1,
    static: NDArray[np.float32] | None = None,
    has_targets: bool = True,
) -> WindowSamples:
    """Return windows over a scaled panel; by default all whose horizon lies inside.

    Series shorter than one window are padded on the left, down to ``min_history`` rows.
    """
    lengths, size, h = scaled.lengths, model.input_size, model.h
    if first is None:
        first = np.where(lengths >= size + h, size, np.minimum(min_history(model), size))
    if count is None:
        count = np.maximum((lengths - h - first) // stride + 1, 0)
    gaps = bool(np.isnan(scaled.values).any()) or bool(((first < size) & (count > 0)).any())
    codes = seen_codes(model, scaled) if model.id_embedding else None
    if codes is not None and (codes < 0).any():
        name = scaled.ids[int(np.argmin(codes))]
        raise DataError(
            f"series {name!r} was not in fit, and id_embedding=True knows only those that were. "
            "Drop it, or fit with id_embedding=False.",
            where=name,
        )
    return WindowSamples(
        panel=scaled,
        input_size=size,
        h=h,
        first=first,
        count=count,
        stride=stride,
        features=feature_names(model.time_features, scaled.frequency),
        has_missing=gaps,
        has_targets=has_targets,
        static=static,
        series=codes,
        fill="linear" if model.missing == "interpolate" else "forward",
        facts={"season": scaled.frequency.season, "n_series": len(scaled.ids)},
    )


def min_history(model: "SMambaForecaster") -> int:
    """Return the fewest rows of history from which the network forecasts."""
    if model.min_history is not None:
        return min(model.min_history, model.input_size)
    return min(max(8, model.input_size // 8), model.input_size)
