"""The recording on the clinical grid: 25 mm a second, 10 mm a millivolt."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqmamba.reports import plot_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_recording"]

MM_PER_S, MM_PER_MV = 25.0, 10.0
ROW_MM, MARGIN_MM = 28.0, 6.0
ROWS = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))
PAPER, FINE, COARSE, INK, HOT = "#fffaf8", "#f6dcd6", "#e8b4a8", "#1b1b1b", "#c1121f"
SECONDS = 10.0
LIMIT_MV = 2.4  # a lead that is larger is cut off, and said to be
Floats = NDArray[np.floating[Any]]


def draw_recording(
    leads: dict[str, Floats], fs: float, *, saliency: dict[str, Floats] | None = None
) -> "Figure":
    """Draw leads in millivolts: three rows of four and a rhythm strip, or one strip per lead.

    Parameters
    ----------
    leads : dict of str to array (T,)
        Millivolts; at most ten seconds are shown.
    fs : float
    saliency : dict of str to array (T,) in [0, 1], or None
        The ink turns red where it is large.
    """
    shown = {name: values[: round(SECONDS * fs)] for name, values in leads.items()}
    seconds = max((len(values) for values in shown.values()), default=1) / fs
    complete = all(name in shown for row in ROWS for name in row) and seconds > SECONDS - 0.5
    strips = _standard(shown, fs, seconds) if complete else [[(n, 0.0, seconds)] for n in shown]
    width, height = seconds * MM_PER_S, ROW_MM * len(strips)
    with plot_style():
        figure, axes = _paper(width, height)
        for row, strip in enumerate(strips):
            middle = height - (row + 0.55) * ROW_MM
            for name, start, stop in strip:
                part = slice(round(start * fs), round(stop * fs))
                heat = None if saliency is None else saliency[name][part]
                _draw(axes, name, shown[name][part], (start, middle), fs, heat)
        note = f"{MM_PER_S:g} mm/s   {MM_PER_MV:g} mm/mV"
        axes.text(width, -1.5, note, ha="right", va="top", fontsize=7, color="#555555")
        if saliency is not None:
            axes.text(0, -1.5, "red: what speaks for the answer", va="top", fontsize=7, color=HOT)
    return figure


def _standard(
    leads: dict[str, Floats], fs: float, seconds: float
) -> list[list[tuple[str, float, float]]]:
    part = seconds / 4
    rows = [[(name, k * part, (k + 1) * part) for k, name in enumerate(row)] for row in ROWS]
    return [*rows, [("II", 0.0, seconds)]]


def _paper(width: float, height: float) -> "tuple[Figure, Any]":
    """Return a figure of true size with its grid, and axes in millimetres."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # only for plots
    from matplotlib.figure import Figure

    inches = ((width + 2 * MARGIN_MM) / 25.4, (height + 2 * MARGIN_MM) / 25.4)
    figure = Figure(figsize=inches)
    figure.set_layout_engine("none")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_facecolor(PAPER)
    figure.set_facecolor("white")
    for step, colour, line in ((1, FINE, 0.25), (5, COARSE, 0.5)):
        axes.vlines(np.arange(0, width + 0.1, step), 0, height, colour, linewidth=line)
        axes.hlines(np.arange(0, height + 0.1, step), 0, width, colour, linewidth=line)
    axes.set_xlim(-MARGIN_MM, width + MARGIN_MM)
    axes.set_ylim(-MARGIN_MM, height + MARGIN_MM)
    axes.set_aspect("equal")
    axes.axis("off")
    return figure, axes


def _draw(
    axes: Any,
    name: str,
    values: Floats,
    origin: tuple[float, float],
    fs: float,
    heat: Floats | None,
) -> None:
    start, middle = origin
    cut = np.clip(values, -LIMIT_MV, LIMIT_MV)
    x = (start + np.arange(len(values)) / fs) * MM_PER_S
    y = middle + cut * MM_PER_MV
    axes.plot(x, y, color=INK, linewidth=0.6, solid_joinstyle="round")
    if heat is not None:
        _redden(axes, x, y, heat)
    if start > 0:  # a bar between two leads of a row
        axes.plot([x[0]] * 2, [middle - 4, middle + 4], color=INK, linewidth=0.6)
    label = name if np.abs(values).max(initial=0) <= LIMIT_MV else f"{name} (cut off)"
    axes.text(
        x[0] + 1, middle + 10.5, label, fontsize=8, fontweight="bold", color=INK,
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6},
    )  # fmt: skip


def _redden(axes: Any, x: Floats, y: Floats, heat: Floats) -> None:
    from matplotlib.collections import LineCollection  # only for plots
    from matplotlib.colors import to_rgba

    points = np.column_stack([x, y])
    segments = np.stack([points[:-1], points[1:]], axis=1)
    colours = np.tile(to_rgba(HOT), (len(segments), 1))
    colours[:, 3] = np.clip((heat[:-1] + heat[1:]) / 2, 0, 1)
    axes.add_collection(LineCollection(list(segments), colors=colours, linewidths=1.3))
