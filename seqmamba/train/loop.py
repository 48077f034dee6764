"""The training loop: best weights kept, stopped early, interrupted safely, resumed bit-exactly."""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqmamba.datasets.samples import Samples
from seqmamba.errors import CheckpointError, InterruptedWarning, SeqmambaWarning
from seqmamba.train.callbacks import Callback, Progress, State
from seqmamba.train.checkpoint import read_checkpoint, write_checkpoint
from seqmamba.train.distributed import LossFunction, LossStep, join, parallel
from seqmamba.train.guard import Guard
from seqmamba.train.history import History
from seqmamba.train.interrupt import Interrupt
from seqmamba.train.optim import make_optimizer, schedule_factor, set_learning_rate
from seqmamba.train.row_adam import stored_values
from seqmamba.train.seeds import order_generator, stream
from seqmamba.train.settings import Settings

__all__ = ["History", "Objective", "mean_loss", "run"]

Objective = Callable[[nn.Module, Samples], float]

MAX_FAILED_WRITES = 3


def run(
    net: nn.Module,
    loss: LossFunction,
    train: Samples,
    valid: Samples | None,
    *,
    settings: Settings,
    objective: Objective | None = None,
    callbacks: Sequence[Callback] = (),
    seed: int = 0,
) -> History:
    """Train a network in place and leave its best weights in it, or the last: ``settings.keep``.

    Parameters
    ----------
    loss : callable (net, Batch) -> Tensor ()
        Mean over the valid elements of a batch.
    train, valid : Samples
        Without ``valid`` the weights of the last epoch are kept.
    objective : callable (net, Samples) -> float or None
        Smaller is better; None = the mean loss over ``valid``.
    seed : int
        Order of the samples and dropout derive from it.

    Raises
    ------
    TrainingDivergedError
        The loss stayed non-finite after two retreats with a halved learning rate.
    CheckpointError
        The first checkpoint, or three in a row, could not be written.
    """
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with stream(seed, "dropout"), Interrupt() as interrupt:
            return _Run(net, loss, train, valid, settings, objective, callbacks, seed).go(interrupt)
    finally:
        torch.use_deterministic_algorithms(deterministic)


def mean_loss(loss: LossFunction, device: str, batch_size: int) -> Objective:
    """Return the objective that averages a loss over all samples, whatever the batch size."""

    @torch.inference_mode()
    def measure(net: nn.Module, samples: Samples) -> float:
        total = torch.zeros((), dtype=torch.float64, device=device)
        for start in range(0, len(samples), batch_size):
            indices = np.arange(start, min(start + batch_size, len(samples)))
            total += loss(net, samples.batch(indices).to(device)).double() * len(indices)
        return float(total) / max(len(samples), 1)

    return measure


class _Run:
    """State of one run; ``go`` is the loop."""

    def __init__(
        self,
        net: nn.Module,
        loss: LossFunction,
        train: Samples,
        valid: Samples | None,
        settings: Settings,
        objective: Objective | None,
        callbacks: Sequence[Callback],
        seed: int,
    ) -> None:
        self.world, self.device = join(settings.device)
        self.net = net.to(self.device)
        self.step_module = parallel(LossStep(net, loss), self.world)
        self.train, self.valid, self.settings, self.seed = train, valid, settings, seed
        valid_batch = settings.valid_batch or max(settings.batch_size, 256)
        self.valid_loss = mean_loss(loss, self.device, valid_batch)
        self.objective = objective
        self.optimizer = make_optimizer(
            net, settings.optimizer, settings.learning_rate, settings.weight_decay
        )
        bar = [Progress()] if settings.verbose and self.world.leads else []
        self.callbacks: list[Callback] = [*bar, *callbacks] if self.world.leads else []
        self.history = History()
        self.epoch, self.position, self.step = 0, 0, 0
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self.counted, self.waited, self.failed_writes, self.spent = 0, 0, 0, 0.0
        self.rate = settings.learning_rate
        self.guard = Guard()
        self.last_valid, self.last_objective = math.nan, math.nan
        self.best: dict[str, Tensor] = {}

    # -- the walk ------------------------------------------------------------------------------

    def go(self, interrupt: Interrupt) -> History:
        self.started = time.perf_counter()
        if self.settings.resume is not None:
            self._resume()
        else:
            self._keep()
            if self.settings.start_is_candidate and self.valid is not None:
                self._judge(train_loss=math.nan)
        self._tell("on_start")
        try:
            while not self._done(interrupt):
                if self._train_epoch(interrupt):
                    self._end_epoch()
        finally:
            self._tell("on_end")
        if interrupt.signal is not None:
            self._interrupted(interrupt.signal)
        self.net.load_state_dict(self.best)
        self.net.eval()
        return self.history

    def _done(self, interrupt: Interrupt) -> bool:
        limits = self.settings
        minutes = (self.spent + time.perf_counter() - self.started) / 60
        impatient = limits.patience is not None and self.waited >= max(limits.patience, 1)
        return (
            interrupt.signal is not None
            or self.epoch >= limits.max_epochs
            or (impatient and self.epoch >= limits.min_epochs)
            or (limits.max_minutes is not None and minutes >= limits.max_minutes)
        )

    def _train_epoch(self, interrupt: Interrupt) -> bool:
        """Run the rest of an epoch; return False if it was broken off."""
        order = self._order()
        size = self.settings.batch_size
        stop = len(order) - len(order) % size if self.settings.drop_last else len(order)
        stop = stop or len(order)  # the only batch is never dropped
        self.net.train()
        for start in range(self.position * size, stop, size):
            if interrupt.signal is not None or self._out_of_time():
                return False
            self._train_step(order[start : min(start + size, stop)], start / stop)
            self.position += 1
            self._tell("on_step")
        return True

    def _order(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        generator, n = order_generator(self.seed, self.epoch), len(self.train)
        wanted = self.settings.epoch_samples
        if wanted is not None and wanted < n:
            return generator.choice(n, size=wanted, replace=False)
        return generator.permutation(n)

    def _train_step(self, indices: np.ndarray[Any, np.dtype[np.int64]], share: float) -> None:
        factor = schedule_factor(
            self.settings.lr_schedule, self.epoch, share, self.settings.max_epochs
        )
        self.rate = self.settings.learning_rate * factor * self.guard.scale
        set_learning_rate(self.optimizer, self.rate)
        indices, weight = self.world.share(indices)
        batch = self.train.batch(indices).to(self.device)
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            loss = self.step_module(batch) * weight
        loss.backward()
        norm = nn.utils.get_total_norm(
            [stored_values(p) for p in self.net.parameters() if p.grad is not None]
        )
        self.step += 1
        if not math.isfinite(self.world.mean(float(loss.detach() + norm * 0))):
            self.history.skipped_steps += 1
            where = f"epoch {self.epoch + 1}, step {self.step} (learning_rate {self.rate:.3g})"
            self.guard.note_bad_step(self.net, self.optimizer, self.best, where)
            return
        if self.settings.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(self.net.parameters(), self.settings.clip_norm, norm)
        self.optimizer.step()
        self.guard.bad_steps = 0
        self.loss_sum += loss.detach()
        self.counted += 1

    def _autocast(self) -> Any:
        precision, kind = self.settings.precision, self.device.split(":")[0]
        if precision == "auto":
            able = kind == "cuda" and torch.cuda.is_bf16_supported()
            precision = "bfloat16" if able else "float32"
        if precision == "float32":
            return nullcontext()
        return torch.autocast(kind, torch.bfloat16)

    def _out_of_time(self) -> bool:
        limit = self.settings.max_minutes
        return limit is not None and (
            (self.spent + time.perf_counter() - self.started) / 60 >= limit and self.step > 0
        )

    # -- after an epoch ------------------------------------------------------------------------

    def _end_epoch(self) -> None:
        self.epoch += 1
        self.position = 0
        mean = self.world.mean(float(self.loss_sum) / max(self.counted, 1))
        self._judge(mean)
        self._tell("on_epoch")
        self.loss_sum.zero_()
        self.counted = 0
        self._checkpoint()

    def _judge(self, train_loss: float) -> None:
        """Measure the validation part, keep the weights if they are to remain."""
        if self.valid is not None:
            self.net.eval()
            with torch.inference_mode():
                self.last_valid = self.world.same(self.valid_loss(self.net, self.valid))
                measured = self.objective(self.net, self.valid) if self.objective else None
            own = self.last_valid if measured is None else self.world.same(measured)
            self.last_objective = own
        better = self.last_objective <= self.history.best  # a tie improves
        better = better or self.valid is None or self.settings.keep == "last"
        self.waited = 0 if better else self.waited + 1
        if better:
            self._keep()
            self.history.best, self.history.best_epoch = self.last_objective, self.epoch
        self.history.rows.append(
            {
                "epoch": self.epoch,
                "step": self.step,
                "train_loss": train_loss,
                "valid_loss": self.last_valid,
                "objective": self.last_objective,
                "lr": self.rate,
                "seconds": self.spent + time.perf_counter() - self.started,
            }
        )

    def _keep(self) -> None:
        self.best = {k: v.detach().clone() for k, v in self.net.state_dict().items()}

    # -- when things go wrong ------------------------------------------------------------------

    def _interrupted(self, number: int) -> None:
        self.history.signal = number
        self._checkpoint()
        message = (
            f"training was interrupted in epoch {self.epoch + 1}; "
            f"the best weights (epoch {self.history.best_epoch}) are kept."
        )
        warnings.warn(InterruptedWarning(message, number), stacklevel=2)

    # -- checkpoints and callbacks -------------------------------------------------------------

    def _checkpoint(self) -> None:
        path = self.settings.checkpoint
        if path is None or not self.world.leads:
            return
        try:
            write_checkpoint(
                path,
                self.net,
                self.optimizer,
                self.best,
                {name: getattr(self, name) for name in _COUNTERS}
                | {
                    "loss_sum": float(self.loss_sum),
                    "spent": self.spent + time.perf_counter() - self.started,
                    "history": vars(self.history),
                    "guard": vars(self.guard),
                },
                self.settings.fingerprint,
            )
            self.failed_writes = 0
        except CheckpointError as error:
            self.failed_writes += 1
            if not path.exists() or self.failed_writes == MAX_FAILED_WRITES:
                raise
            warnings.warn(
                f"{error} Training goes on; the former checkpoint stands.",
                SeqmambaWarning,
                stacklevel=2,
            )

    def _resume(self) -> None:
        assert self.settings.resume is not None
        self.best, progress = read_checkpoint(
            self.settings.resume, self.net, self.optimizer, self.settings.fingerprint
        )
        for name in _COUNTERS:
            setattr(self, name, progress[name])
        self.loss_sum.fill_(progress["loss_sum"])
        self.spent = progress["spent"]
        self.history = History(**{**progress["history"], "signal": None})
        self.guard = Guard(**progress["guard"])

    def _tell(self, moment: str) -> None:
        if not self.callbacks:
            return
        state = self._state()
        for callback in self.callbacks:
            getattr(callback, moment)(state)

    def _state(self) -> State:
        samples = self.settings.epoch_samples or len(self.train)
        size, whole = self.settings.batch_size, min(samples, len(self.train))
        steps = whole // size if self.settings.drop_last else math.ceil(whole / size)
        return State(
            epoch=self.epoch,
            step=self.step,
            steps_per_epoch=max(steps, 1),
            max_epochs=self.settings.max_epochs,
            train_loss=float(self.loss_sum) / max(self.counted, 1),
            valid_loss=self.last_valid,
            objective=self.last_objective,
            best=self.history.best,
            learning_rate=self.rate,
        )


_COUNTERS = ("epoch", "position", "step", "counted", "waited", "last_valid", "last_objective")
