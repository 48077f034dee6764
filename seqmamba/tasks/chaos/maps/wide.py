"""A ridge map of random features with three cures: noise on its inputs, a metric, more features."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from torch import nn

from seqmamba.tasks.chaos.maps.anchors import (
    COARSE_RIDGES,
    FINALISTS,
    RIDGES,
    SEARCH_ROWS,
    MapAnchor,
    newest_rows,
)
from seqmamba.tasks.chaos.maps.metric import sharpened, widened
from seqmamba.tasks.chaos.maps.ridge import MapSetting, RidgeMap

__all__ = ["WideAnchor"]

NOISES = (0.0, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2)  # standard deviations, on the inputs of a fit
SEARCH_NOISE = 1e-4  # of the search for delays and length scale
SEEDED = 4  # settings of that search that are tried with every noise
TURNS = 2  # of the metric
WIDER = 3

Score = Callable[[nn.Module], float]
Found = tuple[float, RidgeMap]


class WideAnchor(MapAnchor):
    """Random Fourier features whose rollouts come back to the orbit, as far as that can be learned.

    A map knows nothing of states beside the orbit that it was fitted on, and a rollout that strays
    from it is lost: delays of one channel, and channels under a constraint, span few of their
    directions. With noise on the inputs the map learns to come back (Jaeger, GMD report 148, 2001).

    Parameters
    ----------
    channels, patch : int
    reach : int
        Rows that the map may read.
    n_features : int
        Random features of the choice; the chosen map has three times as many where that helps.
    like : MapAnchor or None
        One without noise: where it is tuned already, its setting is a finalist too.
    """

    like: MapAnchor | None

    def __init__(
        self,
        channels: int,
        patch: int,
        *,
        reach: int,
        n_features: int,
        like: MapAnchor | None = None,
    ) -> None:
        super().__init__(
            "fourier", channels, patch, reach=reach, n_features=n_features, noise=SEARCH_NOISE
        )
        object.__setattr__(self, "like", like)  # not a part of this module

    def tune(self, score: Score) -> None:
        """Choose noise, metric and width for each finalist, and take the best."""
        finalists = self._finalists(score)
        if self.like is not None and self.like.numbers.numel():
            finalists[1:] = [self.like.map.setting]
        found = [self._climbed(setting, score) for setting in finalists]
        self.take(min(found, key=lambda one: one[0])[1])
        del self._segments

    def _finalists(self, score: Score) -> list[MapSetting]:
        """Return the best settings with the noise that suits them, at full width."""
        few = newest_rows(self._segments, SEARCH_ROWS)
        tried = []
        for known in self._searched(score)[:SEEDED]:
            for setting in (replace(known, noise=noise) for noise in NOISES):
                map_ = RidgeMap(setting, self.channels)
                tried.append((self._fitted(map_, few, COARSE_RIDGES, score)[0], setting))
        best = sorted(tried, key=lambda found: found[0])[:FINALISTS]
        return [replace(setting, n_features=self.n_features) for _, setting in best]

    def _climbed(self, setting: MapSetting, score: Score) -> Found:
        """Go on to more or less noise as long as that helps, then try the metric and the width."""
        at = NOISES.index(setting.noise)
        best = self._refitted(RidgeMap(setting, self.channels), score)
        for noises in (NOISES[at + 1 :], NOISES[:at][::-1]):
            maps = (RidgeMap(replace(setting, noise=noise), self.channels) for noise in noises)
            best = _best_while_better(best, (self._refitted(map_, score) for map_ in maps))
        best = _best_while_better(best, self._sharper(best[1], score))
        return _best_while_better(best, self._wider(best[1], score))

    def _sharper(self, map_: RidgeMap, score: Score) -> Iterator[Found]:
        for _ in range(TURNS):
            found = self._refitted(sharpened(map_, self._segments), score)
            yield found
            map_ = found[1]

    def _wider(self, map_: RidgeMap, score: Score) -> Iterator[Found]:
        """Yield maps with more features, which need less and less noise."""
        wide = widened(map_, WIDER)
        for noise in NOISES[NOISES.index(map_.setting.noise) :: -1]:
            wide.setting = replace(wide.setting, noise=noise)
            yield self._refitted(wide, score)

    def _refitted(self, map_: RidgeMap, score: Score) -> Found:
        return self._fitted(map_, self._segments, RIDGES, score)


def _best_while_better(best: Found, others: Iterator[Found]) -> Found:
    for found in others:
        if found[0] >= best[0]:
            break
        best = found
    return best
