"""A map of one slide: which patches count."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.errors import ConfigError
from seqmamba.frames import write
from seqmamba.reports import new_figure, plot_style, save_figure
from seqmamba.storage import write_atomic

__all__ = ["HeatMap", "patch_size"]

CELLS = 1_200  # of the longer side; larger maps are drawn by points


@dataclass(frozen=True)
class HeatMap:
    """Values of the patches of a slide.

    Parameters
    ----------
    bag : str
    coords : array (L, 2)
        Upper left corners, pixels of level 0.
    values : array (L,)
        Drawn by their size: what speaks against the class counts as well.
    name : str
        What the values are.
    """

    bag: str
    coords: NDArray[np.float64]
    values: NDArray[np.float32]
    name: str = "attention"

    def save(self, path: str | Path) -> Path:
        """Write a picture (.png, .svg, .pdf), a table (.csv, .parquet) or .geojson for QuPath.

        Raises
        ------
        ConfigError
            The suffix is none of these.
        """
        target = Path(path)
        if target.suffix in (".png", ".svg", ".pdf"):
            save_figure(self.figure(), target)
        elif target.suffix == ".geojson":
            write_atomic(target, json.dumps(self.geojson()).encode())
        elif target.suffix in (".csv", ".parquet"):
            write(self.table(), target)
        else:
            raise ConfigError(
                f"a map is written as .png, .svg, .pdf, .geojson, .csv or .parquet; got {path}."
            )
        return target

    def table(self) -> pl.DataFrame:
        """Return ``x, y`` and the value, as viewers read them."""
        return pl.DataFrame(
            {
                "x": self.coords[:, 0],
                "y": self.coords[:, 1],
                self.name: self.values.astype(np.float64),
            }
        )

    def shares(self) -> NDArray[np.float64]:
        """Return the rank of each size in [0, 1]: a few patches would else take all colours."""
        order = np.argsort(np.argsort(np.abs(self.values), kind="stable"))
        shares: NDArray[np.float64] = order / max(len(order) - 1, 1)
        return shares

    def geojson(self) -> dict[str, Any]:
        """Return the patches as polygons with their value and their rank in [0, 1]."""
        width, height = patch_size(self.coords)
        features = []
        for (x, y), value, share in zip(self.coords, self.values, self.shares(), strict=True):
            corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)]
            features.append(
                {
                    "type": "Feature",
                    "geometry": {"type": "Polygon", "coordinates": [[list(c) for c in corners]]},
                    "properties": {
                        "objectType": "tile",
                        "measurements": {self.name: float(value), "rank": float(share)},
                    },
                }
            )
        return {"type": "FeatureCollection", "features": features}

    def figure(self) -> Any:
        """Return the map as a matplotlib figure, coloured by rank; the top patches have a frame."""
        width, height = patch_size(self.coords)
        place = np.round((self.coords - self.coords.min(0)) / (width, height)).astype(np.int64)
        columns, rows = place.max(0) + 1
        step = max(int(np.ceil(max(columns, rows) / CELLS)), 1)
        grid = np.full((-(-rows // step), -(-columns // step)), np.nan)
        np.fmax.at(grid, (place[:, 1] // step, place[:, 0] // step), self.shares())
        top = np.argsort(-np.abs(self.values), kind="stable")[: max(len(self.values) // 20, 1)]
        tall = float(np.clip(6.5 * rows / max(columns, 1), 3, 9))
        figure, axes = new_figure(size=(8, tall))
        with plot_style():
            ax = axes[0, 0]
            x0, y0 = self.coords.min(0)
            box = (x0, x0 + grid.shape[1] * width * step, y0 + grid.shape[0] * height * step, y0)
            image = ax.imshow(grid, extent=box, cmap="inferno", vmin=0, vmax=1, aspect="equal")
            centre = self.coords[top] + np.array([width, height]) / 2
            ax.plot(*centre.T, "s", mfc="none", mec="#2a9df4", ms=7, label="top 5 %")
            ax.set(xlabel="x, pixels of level 0", ylabel="y", title=f"{self.bag}: {self.name}")
            ax.grid(False)
            ax.legend(loc="lower right")
            bar = figure.colorbar(image, ax=ax, shrink=0.8)
            bar.set_label(f"rank of the {self.name} in the slide")
        return figure


def patch_size(coords: NDArray[np.float64]) -> tuple[float, float]:
    """Return width and height of a patch: the greatest common divisor of the differences.

    Examples
    --------
    >>> patch_size(np.array([[0.0, 0.0], [512.0, 256.0], [1536.0, 256.0]]))
    (512.0, 256.0)
    """
    sizes = []
    for axis in (0, 1):
        steps = np.unique(np.round(np.diff(np.unique(coords[:, axis]))).astype(np.int64))
        steps = steps[steps > 0]
        sizes.append(float(np.gcd.reduce(steps)) if len(steps) else 0.0)
    known = max(sizes) or 1.0
    return sizes[0] or known, sizes[1] or known
