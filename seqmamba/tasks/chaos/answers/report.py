"""One page about a fitted forecaster: scores beside floor and baselines, climate, exponents."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.metrics.chaos import correlation_dimension, dstsp_gmm, spectral_distance
from seqmamba.reports import Page
from seqmamba.tasks.chaos.answers import pictures
from seqmamba.tasks.chaos.answers.exponents import kaplan_yorke, lyapunov_spectrum
from seqmamba.tasks.chaos.answers.scores import Paths, rollouts, score_table

if TYPE_CHECKING:
    from seqmamba.tasks.chaos.estimator import PhyxMambaForecaster

__all__ = ["Report", "report"]

Array = NDArray[np.float64]

CLIMATE_ROWS = 3_000
MAX_EXPONENTS = 6  # channels up to which the whole spectrum is measured
READING = (
    "vpt counts Lyapunov times until the error, in standard deviations, passes 0.4; vpt_smape is "
    "the paper's running error, which lags behind the loss of skill and depends on the origin. "
    "The floor scores another true piece of the orbit as if it were a forecast: a column at its "
    "floor says nothing of a model. Valid times end with the rollout, and means over few starts "
    "scatter. Rollouts that leave the bounds are cut there, counted under diverged, and never "
    "left out."
)


@dataclass(frozen=True)
class Report:
    """A page, and the figures on it.

    Parameters
    ----------
    page : Page
    metrics : dict of str to float
        What the tables hold, by name.
    """

    page: Page
    metrics: dict[str, float] = field(default_factory=dict)

    def save(self, path: str | Path) -> Path:
        """Write one self-contained HTML file."""
        self.page.write(path)
        return Path(path)


def report(model: "PhyxMambaForecaster", X: Any, y: Any, h: int, starts: int) -> Report:
    """Score, roll on for long, and draw."""
    paths = rollouts(model, X, y, h, starts)
    table = score_table(model, paths, None)
    orbit = max((s for s in model._orbits(X).segments), key=len)
    start = model._scale.apply(orbit)[None, : model._shape.lead + model._shape.context]
    long = model._roll(model.net_, start, max(CLIMATE_ROWS, len(orbit)))
    made = model._scale.invert(long.path)[0]
    climate, metrics = _climate(model, orbit, made, bool(long.diverged[0]))
    metrics |= dict(zip(table["metric"], table["value"], strict=True))
    page = Page(f"PhyxMamba on {', '.join(model.info_.feature_names[:6])}")
    page.add_text(_facts(model, paths))
    page.add_heading("Forecasts")
    page.add_table(table.drop("unit"))
    page.add_text(READING)
    page.add_figure(pictures.error_growth(model, paths), "Error by lead time, median over starts")
    page.add_figure(pictures.example(model, paths), "The median rollout and its truth")
    page.add_heading("Climate")
    page.add_table(climate)
    page.add_figure(pictures.attractor(model, orbit, made), "The orbit, and one long rollout")
    page.add_figure(pictures.spectra(model, orbit, made), "Power spectra, smoothed")
    page.add_figure(pictures.return_map(model, orbit, made), "Each maximum and the next")
    return Report(page, metrics)


def _climate(
    model: "PhyxMambaForecaster", orbit: Array, made: Array, diverged: bool
) -> tuple[pl.DataFrame, dict[str, float]]:
    """Compare a long rollout with the orbit; two halves of the orbit are the floor."""
    kept = model._scale.kept
    true, rolled = orbit[:, kept], made[:, kept]
    half = len(true) // 2
    count = int(kept.sum()) if kept.sum() <= MAX_EXPONENTS else 1
    exponents = lyapunov_spectrum(model, count=count)
    theiler = max(int(model.lyapunov_time_ / model.dt_ / 2), 1)
    kind = "estimated" if model.lyapunov_is_estimate_ else "given"
    names = {
        "state-space divergence": (
            dstsp_gmm(true, rolled), dstsp_gmm(true[:half], true[half:]), "floor: the two halves"
        ),
        "spectral distance": (
            spectral_distance(true, rolled),
            spectral_distance(true[:half], true[half:]),
            "floor: the two halves",
        ),
        "correlation dimension": (
            correlation_dimension(rolled, theiler=theiler, max_points=2_000),
            correlation_dimension(true, theiler=theiler, max_points=2_000),
            "of the orbit",
        ),
        "largest Lyapunov exponent": (float(exponents[0]), 1 / model.lyapunov_time_, kind),
        "left the bounds": (float(diverged), 0.0, ""),
    }  # fmt: skip
    if count > 1:
        names["Kaplan-Yorke dimension"] = (kaplan_yorke(exponents), None, "")  # type: ignore[assignment]  # no reference
    rows = [
        {"quantity": name, "rollout": mine, "reference": other, "what the reference is": note}
        for name, (mine, other, note) in names.items()
    ]
    return pl.DataFrame(rows, infer_schema_length=None), {k: v[0] for k, v in names.items()}


def _facts(model: "PhyxMambaForecaster", paths: Paths) -> str:
    extra = model.info_.extra
    kind = "estimated from the data" if model.lyapunov_is_estimate_ else "given"
    anchor = "no anchor" if model.anchor_ is None else f"anchor {model.anchor_}"
    smoothing = "smoothed contexts" if model.smoothing_ else "contexts as they are"
    return (
        f"{extra['rows']} training rows of {model.info_.channels} channels, {model.dt_:g} apart; "
        f"Lyapunov time {model.lyapunov_time_:.4g} ({kind}). {anchor}, {smoothing}; embedding "
        f"{model.delay_dim_} x {model.delay_lag_}, patches of {model.patch_} rows, "
        f"{model.n_parameters_} weights trained in {model.fit_seconds_:.0f} s, best epoch "
        f"{model.history_.best_epoch} (0 = the anchor alone). {len(paths.truth)} starts of "
        f"{paths.truth.shape[1]} rows."
    )
