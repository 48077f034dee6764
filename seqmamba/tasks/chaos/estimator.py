"""The chaotic forecaster: one orbit in, rollouts out, around the PhyxMamba network."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from seqmamba.base import BaseEstimator
from seqmamba.datasets.samples import Batch, Info, Samples
from seqmamba.nn import Encoder
from seqmamba.tasks.chaos.answers.forecast import forecast
from seqmamba.tasks.chaos.facts import window_shape
from seqmamba.tasks.chaos.foundation import (
    BASELINE_STATE,
    CERTAIN_STARTS,
    candidates,
    keep_anchor_unless_surely_better,
    keep_baselines,
    left_over,
    stand_on_smoothed,
    surely_better,
)
from seqmamba.tasks.chaos.maps.anchors import PERFECT, MapAnchor, newest_rows
from seqmamba.tasks.chaos.maps.smoothing import smooth
from seqmamba.tasks.chaos.net.forcing import force
from seqmamba.tasks.chaos.net.losses import patch_loss
from seqmamba.tasks.chaos.net.model import PhyxMamba
from seqmamba.tasks.chaos.net.rollout import Rollout
from seqmamba.tasks.chaos.net.tokens import PatchTokens
from seqmamba.tasks.chaos.orbits import OrbitReader
from seqmamba.tasks.chaos.parameters import PRESETS, ForecasterParameters
from seqmamba.tasks.chaos.verbs import ForecasterVerbs
from seqmamba.tasks.chaos.windows import TrajectoryWindows, WindowShape
from seqmamba.train.anchor import Anchor, Anchored, Comparison
from seqmamba.train.loop import Objective

__all__ = ["PhyxMambaForecaster"]

Array = NDArray[np.float64]

VALID_WINDOWS = 256  # of the validation loss
ORBIT_ROWS = 3_000  # kept for the cheap models that evaluate fits


@dataclass(eq=False, repr=False)
class PhyxMambaForecaster(ForecasterVerbs, OrbitReader, ForecasterParameters, BaseEstimator):
    """Forecast a chaotic system for as long as chaos allows, and stay on its attractor after that.

    PhyxMamba (Liu et al., arXiv 2505.23863) reads a context of delayed patches with a stack of
    Mamba-2 layers and rolls its own answers on. By default the network stands on the best ridge map
    (NG-RC or random Fourier features) and learns what that leaves over; ``anchor=None`` is the
    paper's network.

    Data: a table (columns are channels; time and orbit columns if there), a path, an array
    (rows, channels), or several arrays. Rows are equally spaced.

    Fitted attributes besides the shared ones: ``delay_dim_``, ``delay_lag_``, ``patch_``,
    ``center_``, ``spread_``, ``dt_``, ``lyapunov_time_``, ``context_`` (last rows of the data).

    Examples
    --------
    >>> from seqmamba.datasets import simulate
    >>> x = simulate.lorenz63(n_steps=600, dt=0.04)
    >>> model = PhyxMambaForecaster(max_epochs=1, forcing_epochs=0, n_features=50, random_state=0)
    >>> model.fit(x).predict(h=7).shape
    (7, 3)
    """

    _task: ClassVar[str] = "chaos"
    _state_names: ClassVar[tuple[str, ...]] = (
        "center_", "spread_", "dt_", "lyapunov_time_", "lyapunov_is_estimate_", "context_",
        "context_end_", "orbit_", "source_", "smoothing_", "one_step_error_", *BASELINE_STATE,
    )  # fmt: skip
    _default_learning_rate: ClassVar[float] = 1e-3
    _default_val_size: ClassVar[float | int] = 0.15

    # -- what the presets say ------------------------------------------------------------------

    def _resolved(self, name: str) -> Any:
        """Return a parameter, from the preset where it is "auto"."""
        value = getattr(self, name)
        return PRESETS[self.preset][name] if value == "auto" else value

    @property
    def delay_dim_(self) -> int:
        """Delayed values per channel."""
        return int(self.info_.extra["delay_dim"])

    @property
    def delay_lag_(self) -> int:
        """Rows between two delayed values."""
        return int(self.info_.extra["delay_lag"])

    @property
    def patch_(self) -> int:
        """Rows per token."""
        return int(self.info_.extra["patch"])

    # -- hooks of the base ---------------------------------------------------------------------

    def _read(self, X: Any, y: Any, fit: bool, **tables: Any) -> TrajectoryWindows:
        """Read orbits; with ``fit=True`` learn scale, embedding and clock from them."""
        if not fit:
            return self._windows(X)
        self.smoothing_ = 0.0
        return self._learn(self._orbits(X, split_jumps=True))

    @property
    def _is_identity(self) -> bool:
        return bool(self._resolved("normalize") == "none")

    @property
    def _held_out(self) -> float | int:
        return self._default_val_size if self.val_size is None else self.val_size

    def _shape_for(self, info: Info) -> WindowShape:
        return window_shape(info, self.input_size, is_released=self.preset == "paper")

    def _build(self, info: Info) -> nn.Module:
        kept, patch = int(info.extra["kept"]), int(info.extra["patch"])
        shape = self._shape_for(info)
        d_model = self._resolved("d_model")
        tokens = PatchTokens(
            kept,
            d_model,
            patch=patch,
            delay_dim=int(info.extra["delay_dim"]),
            delay_lag=int(info.extra["delay_lag"]),
            lead=shape.lead,
            pad=self._resolved("pad"),
            dropout=self._resolved("dropout"),
        )
        encoder = Encoder.preset(
            "phyxmamba",
            d_model=d_model,
            n_layers=self._resolved("n_layers"),
            d_state=self._resolved("d_state"),
            backend=self.backend,
        )
        return PhyxMamba(
            tokens,
            encoder,
            channels=kept,
            patch=patch,
            n_ahead=self._resolved("n_ahead"),
            target=self._resolved("target"),
            is_residual=self.anchor_ is not None,
        )

    def _anchors(self, info: Info) -> Mapping[str, Anchor]:
        self._candidates = candidates(info, n_features=self.n_features, reach=self.input_size)
        return self._candidates

    def _comparison(self) -> Comparison | None:
        def better(simple: nn.Module, other: nn.Module, samples: Samples) -> bool:
            return surely_better(self, simple, other, cast(TrajectoryWindows, samples))

        return better

    def _split(self, samples: Samples) -> tuple[Samples, Samples | None]:
        """Cut off the last rows; their windows are thinned, as rollouts judge and not the loss."""
        train, valid = super()._split(samples)
        if isinstance(valid, TrajectoryWindows):
            valid = valid.thinned(VALID_WINDOWS)
        return train, valid

    def _prepare(self, train: Samples, valid: Samples | None) -> None:
        """Choose the anchor; the network's outputs are measured in what that leaves over."""
        assert isinstance(train, TrajectoryWindows)
        super()._prepare(train, valid)
        keep_baselines(self, train, train if valid is None else valid)
        net = self._net
        if not isinstance(self.net_, Anchored):
            if self._resolved("target") == "delta":
                nn.init.zeros_(net.decoder.weight)
                nn.init.zeros_(net.decoder.bias)
            return
        anchor = self.net_.anchor
        assert isinstance(anchor, MapAnchor)
        if self.denoise and isinstance(valid, TrajectoryWindows):
            stand_on_smoothed(self, anchor, train, valid)
        for part in (train, valid):
            if isinstance(part, TrajectoryWindows):
                part.anchored = anchor.over(part.segments)
        net.scale.copy_(torch.from_numpy(left_over(train, anchor.map.reach)))

    @property
    def _net(self) -> PhyxMamba:
        """The network itself, without its anchor."""
        inner = self.net_.net if isinstance(self.net_, Anchored) else self.net_
        return cast(PhyxMamba, inner)

    def _epoch_samples(self) -> int | None:
        wanted: int | None = self._resolved("windows_per_epoch")
        return wanted

    # -- losses --------------------------------------------------------------------------------

    def _loss(self, net: nn.Module, batch: Batch) -> Tensor:
        """Stage 1: the patch behind each token, from true tokens."""
        truth = batch.y
        assert truth is not None
        inner = cast(PhyxMamba, net.net if isinstance(net, Anchored) else net)
        anchored = batch.extra.get("anchored")
        if net.training:
            batch = self._with_noise(batch)
        first, further = inner.look_ahead(batch)
        target = truth
        if anchored is not None:
            target = (truth - anchored) / inner.scale
            first = first / inner.scale
            further = [y / inner.scale for y in further]
        return patch_loss(first, further, target.to(first.dtype), self.ahead_weight)

    def _with_noise(self, batch: Batch) -> Batch:
        noise = self._resolved("noise")
        if noise == 0:
            return batch
        size = noise / self._unit().to(batch.x)
        return replace(batch, x=batch.x + size * torch.randn_like(batch.x))

    # -- validation by rollouts ----------------------------------------------------------------

    def _objective(self) -> Objective:
        """Validate by how long rollouts stay valid; the error over all leads breaks ties."""
        calls = {"n": 0}

        def measure(net: nn.Module, samples: Samples) -> float:
            assert isinstance(samples, TrajectoryWindows)
            if isinstance(net, Anchored | PhyxMamba):
                calls["n"] += 1
                if (calls["n"] - 1) % self._resolved("validate_every"):
                    return math.inf
            found = samples.rollouts(self.validation_starts, self.validation_steps)
            return self._error(net, *found)

        return measure

    def _roll(self, net: nn.Module, context: Array, h: int) -> Rollout:
        """Roll scaled contexts (B, n, kept) on, smoothed where the model was fitted so."""
        if isinstance(net, Anchored) and net.is_silent:
            net = net.anchor
        if self.smoothing_:
            anchor = net.anchor if isinstance(net, Anchored) else net
            context = smooth(cast(MapAnchor, anchor).map, context, self.smoothing_)
        return super()._roll(net, context, h)

    def _finish(self, train: Samples, valid: Samples | None) -> None:
        """Force the network with its own answers, unless its rollouts are valid to their end."""
        assert isinstance(train, TrajectoryWindows)
        if self.history_.best > PERFECT or valid is None:
            force(self, train, cast(TrajectoryWindows | None, valid))
        self.net_.eval()
        if isinstance(self.net_, Anchored) and isinstance(valid, TrajectoryWindows):
            keep_anchor_unless_surely_better(self, self.net_, valid)
        self.orbit_ = newest_rows(train.segments, ORBIT_ROWS)[-1]
        judged = valid if isinstance(valid, TrajectoryWindows) else train
        context, truth = judged.rollouts(CERTAIN_STARTS, self.patch_)
        first = self._roll(self.net_, context, 1).path[:, 0] - truth[:, 0]
        self.one_step_error_ = np.sqrt(np.mean(first**2, axis=0))

    # -- answers -------------------------------------------------------------------------------

    # a rollout answers with rows that follow, and not with one output per sample
    def predict(self, X: Any = None, *, h: int = 300) -> Any:
        """Forecast the rows behind a context.

        Parameters
        ----------
        X : table, path, array, several arrays, or None
            Contexts: the last rows of each orbit count. None = the end of the data of ``fit``.
            Shorter ones than ``input_size`` (and the delayed rows before it) are read as they are,
            from one patch on.
        h : int
            Rows to forecast.

        Returns
        -------
        array (h, V), array (n, h, V), or table ``[unique_id,] step, [ds,] channels``
            As the data came in.
        """
        check_is_fitted(self, "net_")
        return forecast(self, X, h)
