"""Orbits in, scaled windows out, rollouts back: what the forecaster and the cheap models share."""

import math
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqmamba.datasets.samples import Info
from seqmamba.datasets.trajectories import Trajectories, read_trajectories
from seqmamba.metrics.chaos import nrmse_by_lead, valid_steps
from seqmamba.metrics.chaos.valid_time import THRESHOLD
from seqmamba.tasks.chaos.facts import (
    describe,
    estimated_lyapunov_time,
    refuse_short,
    window_shape,
)
from seqmamba.tasks.chaos.net.rollout import Rollout, roll
from seqmamba.tasks.chaos.reading import ChannelScale, check_channels, ordered
from seqmamba.tasks.chaos.windows import TrajectoryWindows, WindowShape

__all__ = ["OrbitReader"]

Array = NDArray[np.float64]


class OrbitReader:
    """Mixin: learns scale, embedding and clock from orbits, and rolls a module on."""

    input_size: int
    patch: int | Literal["auto"]
    delay_dim: int | Literal["auto"]
    delay_lag: int | Literal["auto"]
    dt: float | None
    lyapunov_time: float | None
    clip_sigma: float
    id_col: str
    time_col: str
    info_: Info
    net_: nn.Module

    # -- what a user of the mixin may say otherwise ---------------------------------------------

    @property
    def _is_identity(self) -> bool:
        """Whether values are read as they are, and not in standard deviations."""
        return False

    @property
    def _held_out(self) -> float | int:
        """Share or number of the last rows, which validate."""
        return 0.15

    def _shape_for(self, info: Info) -> WindowShape:
        return window_shape(info, self.input_size, is_released=False)

    def _roll(self, net: nn.Module, context: Array, h: int) -> Rollout:
        """Roll scaled contexts (B, n, kept) on."""
        shape = self._shape
        keep = max(shape.lead + shape.context, self.input_size)
        return roll(net, context, h, keep=keep, bound=self._bound())

    # -- reading ---------------------------------------------------------------------------------

    def _orbits(self, X: Any, *, split_jumps: bool = False) -> Trajectories:
        return read_trajectories(
            X, id_col=self.id_col, time_col=self.time_col, split_jumps=split_jumps
        )

    def _windows(self, X: Any) -> TrajectoryWindows:
        """Read orbits of a fitted model."""
        found = self._orbits(X)
        check_channels(self.info_.feature_names, found)
        segments = [self._scale.apply(s) for s in ordered(found, self.info_.feature_names)]
        return TrajectoryWindows.over(segments, self._shape, self.info_)

    def _learn(self, found: Trajectories) -> TrajectoryWindows:
        refuse_short(found, self.input_size)  # before anything is estimated from so few rows
        share = self._held_out if self._held_out < 1 else self._held_out / found.n_rows
        training = [s[: len(s) - math.ceil(len(s) * share)] for s in found.segments]
        scale = ChannelScale.learn(training, found.names, is_identity=self._is_identity)
        self.center_, self.spread_ = scale.center, scale.spread
        segments = [scale.apply(s) for s in found.segments]
        info = describe(
            found,
            segments,
            input_size=self.input_size,
            patch=self.patch,
            delay_dim=self.delay_dim,
            delay_lag=self.delay_lag,
        )
        shape = self._shape_for(info)
        refuse_short(found, self.input_size, shape)
        self.dt_ = float(self.dt or found.dt or 1.0)
        self.lyapunov_is_estimate_ = self.lyapunov_time is None
        self.lyapunov_time_ = self.lyapunov_time or estimated_lyapunov_time(
            max(segments, key=len), self.dt_, self.input_size
        )
        self.context_ = found.segments[-1][-(shape.lead + shape.context) :]
        self.context_end_ = found.ends[-1]
        self.source_ = [found.like.library, found.shape, found.dt is not None]
        return TrajectoryWindows.over(segments, shape, info)

    # -- scales ----------------------------------------------------------------------------------

    @property
    def _shape(self) -> WindowShape:
        return self._shape_for(self.info_)

    @property
    def _scale(self) -> ChannelScale:
        return ChannelScale(self.center_, self.spread_, is_identity=self._is_identity)

    def _unit(self) -> Tensor:
        """Return the factor that brings the network's units to unit variance: (V,)."""
        if not self._is_identity:
            return torch.ones(int(self._scale.kept.sum()))
        return torch.from_numpy(1 / np.sqrt(self.spread_[self._scale.kept] ** 2 + 1e-6))

    def _bound(self) -> float:
        if not self._is_identity:
            return self.clip_sigma
        return float(np.max(np.abs(self.center_) + self.clip_sigma * self.spread_))

    # -- judging ---------------------------------------------------------------------------------

    def _lasting(self, net: nn.Module, context: Array, truth: Array) -> Array:
        """Return the valid steps of each rollout; of those without fault, the steps expected: (B,).

        An error that has grown to e is at the threshold after ln(threshold / e) Lyapunov times
        more.
        """
        path = self._roll(net, context, truth.shape[1]).path
        unit = 1 / self._unit().numpy()
        largest = nrmse_by_lead(truth, path, unit).max(axis=1)
        beyond = self.lyapunov_time_ / self.dt_ * np.log(THRESHOLD / np.maximum(largest, 1e-12))
        lasting: Array = valid_steps(truth, path, unit) + np.maximum(beyond, 0.0)
        return lasting

    def _error(self, net: nn.Module, context: Array, truth: Array) -> float:
        """Score rollouts by how long they stay valid; smaller is better."""
        return float(-self._lasting(net, context, truth).mean() / truth.shape[1])
