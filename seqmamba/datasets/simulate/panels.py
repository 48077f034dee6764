"""A panel of demand-like series with a daily and a weekly cycle."""

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["demand", "panel"]

LAG = 8
HOURS = {"h": 1.0, "D": 24.0, "15min": 0.25}


def panel(n_series: int = 8, n_steps: int = 2_000, *, freq: str = "h", seed: int = 0) -> Any:
    """Return a long table ``unique_id, ds, y`` of related series.

    Each series is a level and a trend, a daily and a weekly cycle with phases of its own, and a
    shared disturbance that reaches the series one after the other, ``LAG`` rows apart: a network
    that reads all series can know of the late ones what no model of a single series can.

    Parameters
    ----------
    n_series, n_steps : int
    freq : {"h", "D", "15min"}
    seed : int

    Returns
    -------
    pandas DataFrame (n_series * n_steps, 3)

    Examples
    --------
    >>> panel(n_series=2, n_steps=3, seed=0).shape
    (6, 3)
    """
    random = np.random.default_rng(seed)
    hours = np.arange(n_steps)[:, None] * HOURS[freq]
    phase, level = random.uniform(0, 24, n_series), random.uniform(20, 80, n_series)
    daily = np.sin(2 * np.pi * (hours - phase) / 24)
    weekly = np.sin(2 * np.pi * (hours - 7 * phase) / 168)
    size = level * random.uniform(0.1, 0.3, n_series)
    shocks = random.normal(size=n_steps + LAG * n_series)
    for t in range(1, len(shocks)):
        shocks[t] += 0.9 * shocks[t - 1]
    delayed = np.stack([shocks[k * LAG :][:n_steps] for k in range(n_series)], axis=1)[:, ::-1]
    trend = level * random.uniform(-0.1, 0.2, n_series) * np.linspace(0, 1, n_steps)[:, None]
    noise = random.normal(size=(n_steps, n_series))
    values = level + trend + size * (daily + 0.5 * weekly) + 0.1 * level * (delayed + 0.2 * noise)
    stamps = pd.date_range("2024-01-01", periods=n_steps, freq=freq)
    return pd.DataFrame(
        {
            "unique_id": np.repeat([f"s{k:02d}" for k in range(n_series)], n_steps),
            "ds": np.tile(stamps.to_numpy(), n_series),
            "y": values.T.reshape(-1),
        }
    )


def demand(seed: int = 0) -> tuple[Any, Any]:
    """Return a panel without its last day, and the whole panel: what fit and evaluate take."""
    whole = panel(n_series=8, n_steps=1_500, seed=seed)
    end = whole["ds"].max() - pd.Timedelta("24h")
    return whole[whole["ds"] <= end], whole
