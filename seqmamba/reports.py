"""Figures that need no display, and pages that are one file.

Matplotlib (extra ``plots``) is imported inside functions: nothing else needs it.
"""

import base64
import html
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from seqmamba.errors import MissingPackageError
from seqmamba.storage import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["GRID", "Page", "new_figure", "plot_style", "require_matplotlib", "save_figure"]

INK, GRID = "#222222", "#dddddd"
COLOURS = ("#2a6f97", "#e07a5f", "#3d9970", "#8d6a9f", "#c9a227", "#6c757d")
STYLE: dict[str, Any] = {
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "axes.facecolor": "white",
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "font.size": 10,
    "svg.hashsalt": "seqmamba",  # equal figures give equal files
}
SHEET = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0.3rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; font-size: 0.85rem; }
th, td { padding: 0.2rem 0.7rem; border-bottom: 1px solid #ddd; text-align: left; }
th { border-bottom: 2px solid #222; } td.number, th.number { text-align: right;
     font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; } figure img { max-width: 100%; } figcaption { color: #555;
     font-size: 0.85rem; } div.wide { overflow-x: auto; } tr.marked { background: #e8f1f5; }
"""


def require_matplotlib() -> None:
    """Raise :class:`MissingPackageError` where matplotlib is not installed."""
    try:  # matplotlib: only for plots
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            'plots need matplotlib: pip install "seqmamba[plots]".'
        ) from error


@contextmanager
def plot_style() -> Iterator[None]:
    """Draw in the style of this package; the user's own settings come back afterwards."""
    require_matplotlib()
    import matplotlib  # only for plots
    from cycler import cycler

    settings: Any = {**STYLE, "axes.prop_cycle": cycler(color=list(COLOURS))}
    with matplotlib.rc_context(settings):
        yield


def new_figure(rows: int = 1, columns: int = 1, *, size: tuple[float, float] = (8, 3.2)) -> Any:
    """Return a figure and its axes (rows, columns), without a window or a global state.

    Parameters
    ----------
    size : (float, float)
        Width and height in inches.

    Raises
    ------
    MissingPackageError
        Matplotlib is not installed.
    """
    with plot_style():
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # only for plots
        from matplotlib.figure import Figure

        figure = Figure(figsize=size)
        FigureCanvasAgg(figure)
        return figure, figure.subplots(rows, columns, squeeze=False)


def save_figure(figure: "Figure", path: str | Path) -> None:
    """Write a figure in one step; the suffix (.png, .svg, .pdf) names the format."""
    suffix = Path(path).suffix.lstrip(".") or "png"
    write_atomic(path, _rendered(figure, suffix))


@dataclass
class Page:
    """A page of text, tables and figures in one HTML file, without scripts or links.

    Examples
    --------
    >>> page = Page("Scores")
    >>> page.add_table(pl.DataFrame({"metric": ["mae"], "value": [0.25]}))
    >>> "<td>mae</td>" in page.html()
    True
    """

    title: str
    parts: list[str] = field(default_factory=list)

    def add_heading(self, text: str) -> None:
        """Start a section."""
        self.parts.append(f"<h2>{html.escape(text)}</h2>")

    def add_text(self, text: str) -> None:
        """Add a paragraph."""
        self.parts.append(f"<p>{html.escape(text)}</p>")

    def add_table(self, table: pl.DataFrame, *, marked: int | None = None) -> None:
        """Add a table; numbers stand right with four digits, row ``marked`` is shaded.

        Cells without a value, or with NaN, are empty.
        """
        numeric = [dtype.is_numeric() for dtype in table.dtypes]
        head = "".join(_cell("th", name, n) for name, n in zip(table.columns, numeric, strict=True))
        body = []
        for index, row in enumerate(table.iter_rows()):
            cells = "".join(_cell("td", _text(v), n) for v, n in zip(row, numeric, strict=True))
            shade = ' class="marked"' if index == marked else ""
            body.append(f"<tr{shade}>{cells}</tr>")
        self.parts.append(
            f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(body)}</tbody></table></div>"
        )

    def add_figure(self, figure: "Figure", caption: str) -> None:
        """Add a figure as an inline picture."""
        data = base64.b64encode(_rendered(figure, "svg")).decode("ascii")
        words = html.escape(caption)
        self.parts.append(
            f'<figure><img alt="{words}" src="data:image/svg+xml;base64,{data}">'
            f"<figcaption>{words}</figcaption></figure>"
        )

    def html(self) -> str:
        """Return the whole page."""
        title = html.escape(self.title)
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f"<title>{title}</title>\n<style>{SHEET}</style>\n</head>\n<body>\n"
            f"<h1>{title}</h1>\n" + "\n".join(self.parts) + "\n</body>\n</html>\n"
        )

    def write(self, path: str | Path) -> None:
        """Write the page in one step."""
        write_atomic(path, self.html().encode("utf-8"))


def _rendered(figure: "Figure", suffix: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if suffix == "svg" else None
    with plot_style():
        figure.savefig(buffer, format=suffix, metadata=metadata, dpi=120)
    return buffer.getvalue()


def _cell(tag: str, text: str, is_number: bool) -> str:
    mark = ' class="number"' if is_number else ""
    return f"<{tag}{mark}>{html.escape(text)}</{tag}>"


def _text(value: Any) -> str:
    if value is None or value != value:  # not a number: a skill over a perfect baseline, say
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
