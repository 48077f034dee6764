"""The estimator that every task fills in: fit, predict, evaluate, save and load.

A task writes four hooks (``_read``, ``_build``, ``_loss``, ``_decode``) and, where it has cheap
models to stand on, ``_anchors``. Data walk one way: table -> samples -> network -> table.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
import sklearn.base
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from seqmamba import modelfile
from seqmamba.datasets.samples import Batch, Info, Samples
from seqmamba.errors import ConfigError
from seqmamba.metrics.metric import Metric
from seqmamba.metrics.regression import METRICS
from seqmamba.metrics.score import named, score_table
from seqmamba.params import check_params, param
from seqmamba.train import loop
from seqmamba.train.anchor import Anchor, Anchored, Comparison, choose_anchor
from seqmamba.train.callbacks import Callback
from seqmamba.train.seeds import draw_seed, stream
from seqmamba.train.settings import Schedule, Settings, resolve_device

__all__ = ["BaseEstimator"]


@dataclass(eq=False, repr=False)
class BaseEstimator(sklearn.base.BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Shared training parameters and the flow of ``fit`` and ``predict``.

    Subclasses are dataclasses with ``eq=False, repr=False`` whose fields come from
    :func:`seqmamba.params.param`. Fitted attributes: ``net_``, ``history_``, ``info_``,
    ``anchor_``, ``n_parameters_``, ``fit_seconds_``, ``device_``, ``learning_rate_``.
    """

    learning_rate: float | Literal["auto"] = param(
        "auto", "step size of the optimiser; auto = the task's default", low=0, group="training"
    )
    weight_decay: float = param(0.0, "decoupled weight decay", low=0, group="training")
    batch_size: int = param(32, "samples per step", low=1, group="training")
    max_epochs: int = param(10, "passes over the training part", low=0, group="training")
    max_minutes: float | None = param(None, "stop training after", low=0, group="training")
    patience: int | None = param(3, "epochs without improvement", low=1, group="training")
    val_size: float | int | None = param(
        None, "held-out fraction or count; None = the task's default", low=0, group="training"
    )
    lr_schedule: Schedule = param("constant", "course of the learning rate", group="training")
    clip_norm: float | None = param(None, "largest gradient norm", low=0, group="training")
    optimizer: Literal["adam", "adamw"] = param("adamw", "optimiser", group="training")
    precision: Literal["auto", "float32", "bfloat16"] = param(
        "auto", "arithmetic of the network; auto = bfloat16 on GPUs that have it", group="training"
    )
    device: str = param("auto", "cpu, cuda, cuda:1, mps or auto", group="training")
    backend: str = param("auto", "scan kernels; see seqmamba info", group="training")
    num_threads: int | None = param(None, "CPU threads; None = as set", low=1, group="training")
    random_state: int | None = param(None, "seed", low=0, group="training")
    verbose: int = param(0, "0 silent, 1 progress bar", low=0, high=2, group="training")

    # What a task sets; see the hooks below.
    _task: ClassVar[str]
    _state_names: ClassVar[tuple[str, ...]] = ()
    _default_learning_rate: ClassVar[float] = 1e-3
    _default_val_size: ClassVar[float | int] = 0.1
    _drop_last: ClassVar[bool] = False
    _metrics: ClassVar[Mapping[str, Metric]] = METRICS

    # -- hooks of a task -----------------------------------------------------------------------

    def _read(self, X: Any, y: Any, fit: bool, **tables: Any) -> Samples:
        """Adapt a table; with ``fit=True`` learn columns, classes and scalers."""
        raise TypeError(f"{type(self).__name__} must define _read(X, y, fit)")

    def _build(self, info: Info) -> nn.Module:
        """Return the network for what ``_read`` saw."""
        raise TypeError(f"{type(self).__name__} must define _build(info)")

    def _loss(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss over the valid elements of a batch: ()."""
        raise TypeError(f"{type(self).__name__} must define _loss(net, batch)")

    def _decode(self, out: Tensor, samples: Samples) -> Any:
        """Turn the network's output into the user's units, labels and table."""
        raise TypeError(f"{type(self).__name__} must define _decode(out, samples)")

    def _anchors(self, info: Info) -> Mapping[str, Anchor]:
        """Return the cheap models that the network may stand on, unfitted."""
        return {}

    def _comparison(self) -> Comparison | None:
        """Return what says whether an anchor is surely better than a simpler one."""
        return None

    def _objective(self) -> loop.Objective | None:
        """Return what validation minimises, ``(net, samples) -> float``; None = the loss."""
        return None

    def _split(self, samples: Samples) -> tuple[Samples, Samples | None]:
        """Cut off the validation part."""
        held_out = self._default_val_size if self.val_size is None else self.val_size
        return (samples, None) if held_out == 0 else samples.split(held_out)

    def _finish(self, train: Samples, valid: Samples | None) -> None:
        """Learn what needs the trained network: thresholds, calibration, intervals."""

    def _epoch_samples(self) -> int | None:
        """Return how many samples an epoch draws; None = all."""
        return None

    # -- fit -----------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        eval_set: Any = None,
        checkpoint: str | Path | None = None,
        resume: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
        **tables: Any,
    ) -> Self:
        """Learn from a table; a second call starts afresh.

        Parameters
        ----------
        X : table, array, path or glob
            See the task's documentation.
        y : array or None
            Targets, where they are not a column of X.
        eval_set : table or (X, y) or None
            Validation part; None = cut off from X by ``val_size``.
        checkpoint : path or None
            File written after each epoch and when interrupted.
        resume : path or None
            Checkpoint of the same parameters and data to go on from.
        callbacks : sequence of Callback
            Watchers; see :mod:`seqmamba.train.callbacks`.
        tables : tables by name
            Further tables that the task knows.

        Raises
        ------
        ConfigError
            A parameter is wrong.
        DataError
            The data are at fault; nothing was changed.
        TrainingError
            The loss stayed non-finite.
        """
        check_params(self)
        started = time.perf_counter()
        self.device_ = resolve_device(self.device)
        self._seed = draw_seed(self.random_state)
        self.learning_rate_ = (
            self._default_learning_rate if self.learning_rate == "auto" else self.learning_rate
        )
        with self._threads():
            samples = self._read(X, y, True, **tables)
            train, valid = self._parts(samples, eval_set, tables)
            self._prepare(train, valid)
            settings = self._settings(checkpoint, resume, len(train))
            self.history_ = loop.run(
                self.net_,
                self._loss,
                train,
                valid,
                settings=settings,
                objective=self._objective(),
                callbacks=callbacks,
                seed=self._seed,
            )
            self._finish(train, valid)
        self.fit_seconds_ = time.perf_counter() - started
        return self

    def _parts(
        self, samples: Samples, eval_set: Any, tables: Mapping[str, Any]
    ) -> tuple[Samples, Samples | None]:
        if eval_set is None:
            return self._split(samples)
        X, y = eval_set if isinstance(eval_set, tuple) else (eval_set, None)
        return samples, self._read(X, y, False, **tables)

    def _prepare(self, train: Samples, valid: Samples | None) -> None:
        """Choose the anchor and build the network, with the seed's own stream for its weights."""
        self.info_ = train.info
        self.anchor_: str | None = None
        self.anchor_scores_: dict[str, float] = {}
        anchor = None
        wanted: str | None = getattr(self, "anchor", None)
        candidates = {} if wanted is None else self._anchors(self.info_)
        if wanted is not None and candidates:
            objective = self._objective() or loop.mean_loss(self._loss, "cpu", 256)
            self.anchor_, anchor, self.anchor_scores_ = choose_anchor(
                wanted,
                candidates,
                train,
                train if valid is None else valid,
                objective,
                self._comparison(),
            )
        self._make_net(anchor)

    def _make_net(self, anchor: Anchor | None) -> None:
        with stream(self._seed, "initialisation"):
            net = self._build(self.info_)
        self.net_ = net if anchor is None else Anchored(net, anchor)
        trained = (p for p in self.net_.parameters() if p.requires_grad)
        self.n_parameters_ = sum(p.numel() for p in trained)

    def _settings(
        self, checkpoint: str | Path | None, resume: str | Path | None, n_samples: int
    ) -> Settings:
        return Settings(
            learning_rate=self.learning_rate_,
            weight_decay=self.weight_decay,
            batch_size=self.batch_size,
            max_epochs=self.max_epochs,
            max_minutes=self.max_minutes,
            patience=self.patience,
            lr_schedule=self.lr_schedule,
            clip_norm=self.clip_norm,
            optimizer=self.optimizer,
            precision=self.precision,
            device=self.device_,
            verbose=self.verbose,
            epoch_samples=self._epoch_samples(),
            drop_last=self._drop_last,
            start_is_candidate=self.anchor_ is not None,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            resume=None if resume is None else Path(resume),
            fingerprint=self._fingerprint(n_samples),
        )

    def _fingerprint(self, n_samples: int) -> str:
        """Return one ``key=value`` line per fact that a resumed run must share."""
        free = {"verbose", "max_minutes", "num_threads", "device"}  # may differ between the two
        params = {k: v for k, v in self.get_params(deep=False).items() if k not in free}
        facts = {"class": type(self).__name__, **params, "samples": n_samples}
        digest = hashlib.sha256(repr(self.info_).encode()).hexdigest()[:16]
        return "\n".join(f"{k}={v!r}" for k, v in {**facts, "data": digest}.items())

    @property
    def n_features_in_(self) -> int:
        """Number of channels that ``fit`` saw."""
        return int(self.info_.channels)

    # -- predict -------------------------------------------------------------------------------

    def predict(self, X: Any) -> Any:
        """Return predictions in the library and row order of the input."""
        check_is_fitted(self, "net_")
        samples = self._read(X, None, False)
        self.info_.check_same_features(samples.info)
        return self._decode(self._outputs(samples), samples)

    def _outputs(
        self,
        samples: Samples,
        *,
        batch_size: int | None = None,
        forward: Callable[[nn.Module, Batch], Tensor] | None = None,
    ) -> Tensor:
        """Run the network over all samples; outputs stacked along the first axis, on the CPU."""
        size = batch_size or max(self.batch_size, 256)
        device = next(self.net_.parameters()).device
        parts = []
        with self._threads(), torch.inference_mode():
            for start in range(0, len(samples), size):
                indices = np.arange(start, min(start + size, len(samples)))
                batch = samples.batch(indices).to(device)
                out = self.net_(batch) if forward is None else forward(self.net_, batch)
                parts.append(out.cpu())
        return torch.cat(parts) if len(parts) != 1 else parts[0]

    @contextmanager
    def _threads(self) -> Iterator[None]:
        former = torch.get_num_threads()
        if self.num_threads is None or self.num_threads == former:
            yield
            return
        torch.set_num_threads(self.num_threads)
        try:
            yield
        finally:
            torch.set_num_threads(former)

    # -- evaluate, save, load ------------------------------------------------------------------

    def evaluate(
        self, X: Any, y: Any = None, *, metrics: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Return metric, value, baseline and skill on labelled data.

        The baseline is the best constant in hindsight: the mean, or the most frequent class.

        Parameters
        ----------
        X : table, array, path or glob
        y : array or None
            True values, where they are not a column of X.
        metrics : sequence of str or None
            Names of the task's metrics; None = all.
        """
        wanted = named(metrics, self._metrics)
        if y is None:
            y = getattr(self._read(X, None, False), "y", None)
        if y is None:
            raise ConfigError(f"{type(self).__name__}.evaluate needs y, the true values of X")
        return score_table(y, self.predict(X), wanted)

    def inspect(self, X: Any, y: Any = None, **tables: Any) -> pl.DataFrame:
        """Read and check data, and return what was understood: fact, value. Fits nothing."""
        check_params(self)
        reader = sklearn.base.clone(self)  # reading with fit=True leaves fitted attributes
        samples = reader._read(X, y, True, **tables)
        info = samples.info
        facts = {
            "samples": len(samples),
            "channels": info.channels,
            "shortest sequence": info.length[0],
            "longest sequence": info.length[1],
            "outputs": info.n_outputs,
            "features": ", ".join(info.feature_names),
            **info.extra,
        }
        rows = [{"fact": name, "value": str(value)} for name, value in facts.items()]
        return pl.DataFrame(rows)

    def save(self, path: str | Path) -> Path:
        """Write the fitted model to one file (or into a folder); return the file's path."""
        check_is_fitted(self, "net_")
        return modelfile.save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a fitted model; weights go to the CPU.

        Raises
        ------
        ModelFileError
            The file is damaged, of a newer schema, or of another estimator.
        """
        model: Self = modelfile.load(cls, path)
        return model
