"""Ridge maps as anchors: the setting is chosen by how long validation forecasts stay valid."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqmamba.datasets.samples import Batch, Samples
from seqmamba.tasks.chaos.maps.features import FeatureKind, n_monomials
from seqmamba.tasks.chaos.maps.ridge import MapSetting, RidgeMap, gram, solve
from seqmamba.tasks.chaos.windows import TrajectoryWindows
from seqmamba.train.anchor import Anchor

__all__ = [
    "COARSE_RIDGES",
    "FINALISTS",
    "PERFECT",
    "RIDGES",
    "SEARCH_ROWS",
    "MapAnchor",
    "newest_rows",
    "older_rows",
]

COARSE_RIDGES = (1e-11, 1e-7, 1e-4)  # of the search
RIDGES = (1e-13, 1e-11, 1e-9, 1e-7, 1e-5, 1e-4, 1e-3, 1e-2)  # of the finalists
PERFECT = -0.9995  # score of rollouts that stay valid to their end: good enough for a search
SEARCH_ROWS = 4_000  # the search reads these; the chosen setting is fitted on all rows
MAX_DEGREE, MAX_MONOMIALS = 7, 600
DELAYS = ((1, 1), (2, 1), (4, 1), (4, 2), (8, 1), (8, 2), (16, 1), (16, 2))
SCALES = (0.175, 0.35, 0.7, 1.4, 2.8)  # of the kernel, over the root of the dimension
FINALISTS = 2


class MapAnchor(Anchor):
    """A ridge map rolled over a patch: Batch of (B, n, V) -> (B, 1, p, V), scaled, float64.

    Where the batch brings what the anchor expects (``extra["anchored"]``), that is the answer.

    Parameters
    ----------
    kind : {"monomials", "fourier"}
    channels, patch : int
    reach : int
        Rows that a map may read.
    n_features : int
        Random Fourier features.
    noise : float
        On the inputs of the maps that the search fits.
    """

    numbers: Tensor
    weight: Tensor
    projection: Tensor

    def __init__(
        self,
        kind: FeatureKind,
        channels: int,
        patch: int,
        *,
        reach: int,
        n_features: int,
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.kind, self.channels, self.patch = kind, channels, patch
        self.max_reach, self.n_features, self.noise = reach, n_features, noise
        for name in ("numbers", "weight", "projection"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64))

    # -- the choice ----------------------------------------------------------------------------

    def fit(self, samples: Samples) -> Self:
        """Keep the training part for :meth:`tune`, and take the first setting meanwhile."""
        assert isinstance(samples, TrajectoryWindows)
        self._segments = samples.segments
        first = next(self.settings())
        self.take(RidgeMap(first, self.channels).fit(newest_rows(self._segments, SEARCH_ROWS)))
        return self

    def tune(self, score: Callable[[nn.Module], float]) -> None:
        """Take the setting whose rollouts score best; the finalists are fitted on all rows."""
        finalists = [
            self._fitted(RidgeMap(setting, self.channels), self._segments, RIDGES, score)
            for setting in self._finalists(score)
        ]
        self.take(min(finalists, key=lambda found: found[0])[1])
        del self._segments

    def _finalists(self, score: Callable[[nn.Module], float]) -> list[MapSetting]:
        """Return the best settings of a search on a few rows, at full width."""
        best = self._searched(score)[:FINALISTS]
        return [replace(setting, n_features=self.n_features) for setting in best]

    def _searched(self, score: Callable[[nn.Module], float]) -> list[MapSetting]:
        """Return the settings in the order of their scores, fitted on a few rows."""
        tried: list[tuple[float, MapSetting]] = []
        few = newest_rows(self._segments, SEARCH_ROWS)
        for setting in self.settings():
            map_ = RidgeMap(setting, self.channels)
            tried.append((self._fitted(map_, few, COARSE_RIDGES, score)[0], setting))
            if tried[-1][0] <= PERFECT:
                break
        return [setting for _, setting in sorted(tried, key=lambda found: found[0])]

    def _fitted(
        self,
        map_: RidgeMap,
        segments: Sequence[NDArray[np.float64]],
        ridges: Sequence[float],
        score: Callable[[nn.Module], float],
    ) -> tuple[float, RidgeMap]:
        """Return the best score over the ridges, and the map of that ridge."""
        equations = gram(map_, segments)
        best, found = math.inf, map_
        for ridge in ridges:
            setting, weight = replace(map_.setting, ridge=ridge), solve(*equations, ridge)
            other = RidgeMap.of(setting, self.channels, weight, map_.projection)
            self.take(other)
            value = score(self)
            if value < best:
                best, found = value, other
        return best, found

    def settings(self) -> Iterator[MapSetting]:
        """Yield the settings of the search, the simplest first."""
        for delays, stride in DELAYS:
            if (delays - 1) * stride + 1 > self.max_reach:
                continue
            dim = delays * self.channels
            if self.kind == "monomials":
                if delays == 1:  # alone where even squares are too many
                    yield MapSetting("monomials", degree=1)
                for degree in range(2, MAX_DEGREE + 1):
                    if n_monomials(dim, degree) <= MAX_MONOMIALS:
                        yield MapSetting("monomials", delays, stride, degree)
            elif delays == 1 or dim <= 128:
                for scale in SCALES:
                    length = scale * float(np.sqrt(dim))
                    yield MapSetting(
                        "fourier",
                        delays,
                        stride,
                        n_features=min(self.n_features, 400),
                        length_scale=length,
                        noise=self.noise,
                    )

    # -- the map -------------------------------------------------------------------------------

    def take(self, map_: RidgeMap) -> None:
        """Stand on a fitted map."""
        self.numbers = _numbers(map_.setting)
        # one layout in memory, as after loading: sums round alike
        self.weight, self.projection = map_.weight.contiguous(), map_.projection

    @property
    def map(self) -> RidgeMap:
        """The map that was taken."""
        setting = _setting(self.numbers)
        return RidgeMap.of(setting, self.channels, self.weight, self.projection)

    def forward(self, batch: Batch) -> Tensor:
        """Return the patch behind the last row."""
        known = batch.extra.get("anchored")
        if known is not None:
            return known
        return self.map.roll(batch.x, self.patch).unsqueeze(1)

    def over(self, segments: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the patch behind every row of scaled segments: (rows, p, V).

        The first rows of a segment see their first state repeated, as if it had stood still.
        """
        map_ = self.map
        parts = []
        with torch.inference_mode():
            for x in segments:
                padded = np.concatenate([np.repeat(x[:1], map_.reach - 1, axis=0), x])
                windows = np.lib.stride_tricks.sliding_window_view(padded, map_.reach, axis=0)
                history = torch.from_numpy(windows.swapaxes(1, 2).copy())
                parts += [
                    map_.roll(part, self.patch).numpy() for part in torch.split(history, 2_048)
                ]
        return np.concatenate(parts)


_NUMBERS = tuple(f.name for f in fields(MapSetting) if f.name != "kind")
_KINDS = get_args(FeatureKind)


def _numbers(setting: MapSetting) -> Tensor:
    """Write a setting as numbers, which a model file holds beside the weights."""
    values = [_KINDS.index(setting.kind), *(getattr(setting, name) for name in _NUMBERS)]
    return torch.tensor(values, dtype=torch.float64)


def _setting(numbers: Tensor) -> MapSetting:
    kind, *rest = numbers.tolist()
    found: dict[str, Any] = dict(zip(_NUMBERS, rest, strict=True))
    whole = ("delays", "stride", "degree", "n_features")
    found |= {name: int(found[name]) for name in whole}
    return MapSetting(_KINDS[int(kind)], **found)


def newest_rows(segments: Sequence[NDArray[np.float64]], rows: int) -> list[NDArray[np.float64]]:
    """Keep the newest rows of the segments."""
    kept: list[NDArray[np.float64]] = []
    for x in reversed(segments):
        kept.append(x[-rows:])
        rows -= len(kept[-1])
        if rows <= 0:
            break
    return kept[::-1]


def older_rows(segments: Sequence[NDArray[np.float64]], rows: int) -> list[NDArray[np.float64]]:
    """Leave the newest rows of the segments out."""
    kept: list[NDArray[np.float64]] = []
    for x in reversed(segments):
        kept.append(x[: max(len(x) - rows, 0)])
        rows = max(rows - len(x), 0)
    return [x for x in kept[::-1] if len(x)]
