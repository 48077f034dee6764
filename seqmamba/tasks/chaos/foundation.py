"""What the network stands on: the chosen anchor, its noise reduction, the baselines beside it."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from seqmamba.datasets.samples import Info, Samples
from seqmamba.tasks.chaos.maps.anchors import PERFECT, MapAnchor, newest_rows, older_rows
from seqmamba.tasks.chaos.maps.features import n_monomials
from seqmamba.tasks.chaos.maps.ridge import MapSetting, RidgeMap
from seqmamba.tasks.chaos.maps.smoothing import smooth_segments
from seqmamba.tasks.chaos.maps.wide import WideAnchor
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
    "surely_better",
]

Array = NDArray[np.float64]
Rollouts = tuple[Array, Array]  # contexts, and what follows

BASELINES = ("ngrc", "rff")  # kept beside the network
PARTS = ("numbers", "weight", "projection")  # of a ridge map, in a model file
BASELINE_STATE = tuple(f"{name}_{part}_" for name in BASELINES for part in PARTS)
WORTH = 0.2  # share by which a dearer map must last longer than one without fault
CERTAIN_STARTS = 100  # rollouts that decide between the network and its anchor
RATIOS = (4.0, 64.0, 1024.0, 16384.0)
MARGIN = 0.01  # of the validation horizon, by which smoothing must gain
MAX_CHANNELS = 8
SMOOTHED_ROWS = 2_000  # of the search for a smoother; the chosen one is fitted on all

log = logging.getLogger(__name__)


def candidates(info: Info, *, n_features: int, reach: int) -> dict[str, MapAnchor]:
    """Return the maps that a network may stand on, the simplest first."""
    kept, patch = int(info.extra["kept"]), int(info.extra["patch"])
    sizes: dict[str, int] = {"n_features": n_features, "reach": reach}
    rff = MapAnchor("fourier", kept, patch, **sizes)
    return {
        "ngrc": MapAnchor("monomials", kept, patch, **sizes),
        "rff": rff,
        "rff_wide": WideAnchor(kept, patch, **sizes, like=rff),
    }


def surely_better(
    model: "PhyxMambaForecaster", simple: nn.Module, other: nn.Module, valid: TrajectoryWindows
) -> bool:
    """Say whether rollouts of another map last longer, and are worth its cost.

    A map whose rollouts are valid to their end does not make way for a few steps beyond it.
    """
    contexts, truth = valid.rollouts(CERTAIN_STARTS, model.validation_steps)
    steps, other_steps = (model._lasting(net, contexts, truth) for net in (simple, other))
    if steps.mean() >= truth.shape[1] and other_steps.mean() < (1 + WORTH) * steps.mean():
        return False
    return surely_longer(steps, other_steps)


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
    """Stand on a map of smoothed orbits, where validation gains by it.

    A map that is fitted on noisy rows is biased, and smoothing by a biased map is too: both get
    better by turns, while the smoother trusts the map more and more.
    """
    raw, channels = anchor.map, train.segments[0].shape[1]
    held_out = valid.rollouts(CERTAIN_STARTS, model.validation_steps)
    force = model.denoise is True

    def score(map_: RidgeMap, ratio: float, *parts: Rollouts) -> float:
        anchor.take(map_)
        model.smoothing_ = ratio
        return float(np.mean([model._error(anchor, *part) for part in parts]))

    before = score(raw, 0.0, held_out)
    if not force and (before <= PERFECT or channels > MAX_CHANNELS):
        return
    few = newest_rows(train.segments, SMOOTHED_ROWS)
    unseen = (held_out, *_rollouts_before(train, SMOOTHED_ROWS, len(held_out[1][0])))
    tried = [
        (score(map_, ratio, *unseen), map_, ratio)
        for setting in _settings(raw.setting, channels)
        for map_, ratio, _ in _turns(setting, channels, few)
        if ratio > RATIOS[0]  # the first is a step on the way
    ]
    _, map_, ratio = min(tried, key=lambda found: found[0])
    if force or score(map_, ratio, held_out) < before:
        *_, (map_, ratio, smoothed) = _turns(map_.setting, channels, train.segments, ratio)
        after = score(map_, ratio, held_out)
        log.info("noise reduction: objective %.4f, without %.4f", after, before)
        if force or after < before - MARGIN:
            model.anchor_scores_["denoised"] = after
            train.segments, train.values = tuple(smoothed), np.concatenate(smoothed)
            return
    anchor.take(raw)
    model.smoothing_ = 0.0


def _rollouts_before(train: TrajectoryWindows, newest: int, steps: int) -> list[Rollouts]:
    """Return contexts and truths from the rows before the newest; none where those are too few."""
    shape = replace(train.shape, future=steps)
    older = train.over(older_rows(train.segments, newest), shape, train.info)
    return [older.rollouts(CERTAIN_STARTS, steps)] if len(older) else []


def _turns(
    setting: MapSetting, channels: int, segments: Sequence[Array], last: float = RATIOS[-1]
) -> Iterator[tuple[RidgeMap, float, list[Array]]]:
    """Yield the map after each ratio, with the orbits that it was fitted on."""
    map_ = RidgeMap(setting, channels).fit(segments)
    for ratio in RATIOS:
        smoothed = smooth_segments(map_, segments, ratio)
        map_ = RidgeMap(setting, channels).fit(smoothed)
        yield map_, ratio, smoothed
        if ratio >= last:
            return


def _settings(chosen: MapSetting, channels: int) -> Iterator[MapSetting]:
    """Yield maps that smoothing may build on: short memory, as it has no noise to average over."""
    yield replace(chosen, n_features=min(chosen.n_features, 400), ridge=max(chosen.ridge, 1e-7))
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
    alone, both = (model._lasting(part, context, truth) for part in (net.anchor, net))
    if not surely_longer(alone, both):
        log.info("the network is not surely better than its anchor, which stands alone")
        net.silence()
        model.history_.best_epoch = 0
        model.history_.best = model.history_.rows[0]["objective"]


def surely_longer(simple: Array, other: Array) -> bool:
    """Say whether rollouts from the same starts last longer by more than two standard errors.

    Parameters
    ----------
    simple, other : array (n,)
        Steps that each rollout lasts.
    """
    gain = other - simple
    return bool(gain.mean() > 2 * gain.std() / np.sqrt(len(gain)))
