"""What the network stands on: the chosen anchor, its noise reduction, the baselines beside it."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from seqmamba.datasets.samples import Info, Samples
from seqmamba.metrics.chaos import valid_steps
from seqmamba.tasks.chaos.maps.anchors import PERFECT, MapAnchor, newest_rows
from seqmamba.tasks.chaos.maps.features import FeatureKind, n_monomials
from seqmamba.tasks.chaos.maps.ridge import MapSetting, RidgeMap
from seqmamba.tasks.chaos.maps.smoothing import smooth_segments
from seqmamba.tasks.chaos.windows import TrajectoryWindows
from seqmamba.train.anchor import Anchored

if TYPE_CHECKING:
    from seqmamba.tasks.chaos.estimator import PhyxMambaForecaster

__all__ = [
    "BASELINE_STATE",
    "CERTAIN_STARTS",
    "candidates",
    "keep_anchor_unless_surely_better",
    "keep_baselines",
    "kept_baselines",
    "left_over",
    "stand_on_smoothed",
]

Array = NDArray[np.float64]

BASELINES = ("ngrc", "rff")  # kept beside the network
PARTS = ("numbers", "weight", "projection")  # of a ridge map, in a model file
BASELINE_STATE = tuple(f"{name}_{part}_" for name in BASELINES for part in PARTS)
WIDE, TURNS = 3, 2  # times the features of rff, and turns of the metric, for wide anchors
CERTAIN_STARTS = 100  # rollouts that decide between the network and its anchor
RATIOS = (4.0, 64.0, 1024.0)
MARGIN = 0.01  # of the validation horizon, by which smoothing must gain
MAX_CHANNELS = 8
SEARCH_ROWS = 2_000

log = logging.getLogger(__name__)


def candidates(info: Info, *, n_features: int, reach: int) -> dict[str, MapAnchor]:
    """Return the maps that a network may stand on, the simplest first.

    The last two are wider, and learn the metric of their kernel.
    """
    kept, patch = int(info.extra["kept"]), int(info.extra["patch"])

    def anchor(kind: FeatureKind, width: int = 1, **more: Any) -> MapAnchor:
        return MapAnchor(kind, kept, patch, n_features=width * n_features, reach=reach, **more)

    rff = anchor("fourier")
    return {
        "ngrc": anchor("monomials"),
        "rff": rff,
        "rff_wide": anchor("fourier", WIDE, like=rff, turns=TURNS),
        "mixed": anchor("mixed", WIDE, like=rff, turns=TURNS),
    }


def keep_baselines(model: "PhyxMambaForecaster", train: Samples, valid: Samples) -> None:
    """Fit the cheap maps that were no candidates, and keep both to compare with."""
    known = model._candidates if model.anchor is not None else model._anchors(model.info_)
    objective = model._objective()
    for name in BASELINES:
        baseline = cast(MapAnchor, known[name])
        if name not in model.anchor_scores_:
            baseline.fit(train)
            baseline.tune(lambda tried: objective(tried, valid))
        for part in PARTS:
            setattr(model, f"{name}_{part}_", getattr(baseline, part).numpy())


def kept_baselines(model: "PhyxMambaForecaster") -> dict[str, MapAnchor]:
    """Return the maps that ``fit`` kept."""
    known = candidates(model.info_, n_features=model.n_features, reach=model.input_size)
    found = {name: known[name] for name in BASELINES}
    for name, baseline in found.items():
        for part in PARTS:
            setattr(baseline, part, torch.from_numpy(getattr(model, f"{name}_{part}_")))
    return found


def stand_on_smoothed(
    model: "PhyxMambaForecaster",
    anchor: MapAnchor,
    train: TrajectoryWindows,
    valid: TrajectoryWindows,
) -> None:
    """Stand on a map of smoothed orbits, where validation gains by it."""
    raw = anchor.map
    contexts, truth = valid.rollouts(model.validation_starts, model.validation_steps)

    def score(map_: RidgeMap, ratio: float) -> float:
        anchor.take(map_)
        model.smoothing_ = ratio
        return model._error(anchor, contexts, truth)

    before = model.anchor_scores_[cast(str, model.anchor_)]
    found = denoised(anchor, train, before, score, force=model.denoise is True)
    anchor.take(raw if found is None else found.map)
    model.smoothing_ = 0.0 if found is None else found.ratio
    if found is not None:
        model.anchor_scores_["denoised"] = found.score
        train.segments, train.values = found.segments, np.concatenate(found.segments)


@dataclass(frozen=True)
class Denoised:
    """A map that was fitted on smoothed orbits.

    Parameters
    ----------
    map : RidgeMap
    ratio : float
        Of :func:`seqmamba.tasks.chaos.maps.smoothing.smooth`.
    score : float
        Validation objective with smoothed contexts.
    segments : tuple of array
        The smoothed training orbits.
    """

    map: RidgeMap
    ratio: float
    score: float
    segments: tuple[Array, ...]


def denoised(
    anchor: MapAnchor,
    train: TrajectoryWindows,
    raw_score: float,
    score: Callable[[RidgeMap, float], float],
    *,
    force: bool,
) -> Denoised | None:
    """Fit maps and smooth the training orbits by turns; None where that does not help.

    A map that is fitted on noisy rows is biased, and smoothing by a biased map is too: both get
    better by turns, while the smoother trusts the map more and more.

    Parameters
    ----------
    raw_score : float
        Validation objective of the anchor without smoothing.
    score : callable (map, ratio) -> float
        Validation objective with contexts smoothed by the map.
    force : bool
        Take the best, whether or not it beats the anchor.
    """
    channels = train.segments[0].shape[1]
    if not force and (raw_score <= PERFECT or channels > MAX_CHANNELS):
        return None
    few = newest_rows(train.segments, SEARCH_ROWS)
    best: tuple[float, MapSetting, float] | None = None
    for setting in _settings(anchor.map.setting, channels):
        for map_, ratio, _ in _turns(RidgeMap(setting, channels), few):
            if ratio == RATIOS[0]:
                continue  # a first step, never the best
            found = score(map_, ratio)
            if best is None or found < best[0]:
                best = (found, setting, ratio)
    assert best is not None
    log.info("noise reduction: objective %.4f, without %.4f", best[0], raw_score)
    if not force and best[0] > raw_score - MARGIN:
        return None
    *_, (map_, ratio, smoothed) = _turns(RidgeMap(best[1], channels), train.segments, best[2])
    return Denoised(map_, ratio, score(map_, ratio), tuple(smoothed))


def _turns(
    map_: RidgeMap, segments: tuple[Array, ...] | list[Array], last: float = RATIOS[-1]
) -> Iterator[tuple[RidgeMap, float, list[Array]]]:
    """Yield the map after each ratio, with the orbits that it was fitted on."""
    map_.fit(segments)
    for ratio in RATIOS:
        smoothed = smooth_segments(map_, segments, ratio)
        map_.fit(smoothed)
        yield map_, ratio, smoothed
        if ratio >= last:
            return


def _settings(chosen: MapSetting, channels: int) -> Iterator[MapSetting]:
    """Yield maps that smoothing may build on: short memory, as it has no noise to average over."""
    kind: FeatureKind = "monomials" if chosen.kind == "monomials" else "fourier"
    few, ridge = min(chosen.n_features, 400), max(chosen.ridge, 1e-7)
    yield replace(chosen, kind=kind, n_features=few, ridge=ridge)
    if channels == 1:
        for delays in (4, 8):
            length = 0.5 * float(np.sqrt(delays))
            yield MapSetting("fourier", delays, 1, n_features=400, length_scale=length, ridge=1e-7)
        return
    for degree in (3, 5):
        if n_monomials(channels, degree) <= 300:
            yield MapSetting("monomials", 1, 1, degree, ridge=1e-7)
    length = 1.4 * float(np.sqrt(channels))
    yield MapSetting("fourier", 1, 1, n_features=300, length_scale=length, ridge=1e-7)


def left_over(train: TrajectoryWindows, reach: int) -> Array:
    """Return the deviation of truth from the anchor, per step of the patch and channel: (p, V).

    The first rows of a segment, which the anchor reads a repeated state before, do not count.
    """
    expected = cast(Array, train.anchored)
    patch, offset, parts = expected.shape[1], 0, []
    for segment in train.segments:
        n = len(segment) - patch
        if n > reach:
            ahead = np.lib.stride_tricks.sliding_window_view(segment[1:], patch, axis=0)
            found = ahead.swapaxes(1, 2)[reach:n] - expected[offset + reach : offset + n]
            parts.append(found)
        offset += len(segment)
    size: Array = np.sqrt(np.mean(np.concatenate(parts) ** 2, axis=0))
    return np.maximum(size, 1e-9)


def keep_anchor_unless_surely_better(
    model: "PhyxMambaForecaster", net: Anchored, valid: TrajectoryWindows
) -> None:
    """Go back to the anchor where the network's gain may be chance."""
    if net.is_silent:
        return
    context, truth = valid.rollouts(CERTAIN_STARTS, model.validation_steps)
    unit, h = 1 / model._unit().numpy(), truth.shape[1]
    alone, both = (
        valid_steps(truth, model._roll(part, context, h).path, unit) for part in (net.anchor, net)
    )
    if not surely_longer(alone, both):
        log.info("the network is not surely better than its anchor, which stands alone")
        net.silence()
        model.history_.best_epoch = 0
        model.history_.best = model.history_.rows[0]["objective"]


def surely_longer(simple: Array, other: Array) -> bool:
    """Say whether rollouts from the same starts last longer by more than one standard error.

    Parameters
    ----------
    simple, other : array (n,)
        Valid steps of each rollout.
    """
    gain = other - simple
    return bool(gain.mean() > gain.std() / np.sqrt(len(gain)))
