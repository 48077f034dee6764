"""Stage 2: student forcing. The network reads its own answers, held on the attractor."""

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from seqmamba.datasets.samples import Batch, Samples
from seqmamba.tasks.chaos.net.losses import mmd_conditional, mmd_invariant
from seqmamba.tasks.chaos.net.rollout import forced
from seqmamba.tasks.chaos.windows import TrajectoryWindows
from seqmamba.train.history import History
from seqmamba.train.loop import run

if TYPE_CHECKING:
    from seqmamba.tasks.chaos.estimator import PhyxMambaForecaster

__all__ = ["force", "forcing_loss"]

LEAST = 8  # rollouts, below which their measures say nothing


def force(
    model: "PhyxMambaForecaster", train: TrajectoryWindows, valid: TrajectoryWindows | None
) -> None:
    """Train the decoder alone, then all weights, on rollouts; the best so far stays a candidate."""
    stages = (("head", "head_epochs"), ("all", "forcing_epochs"))
    for row in model.history_.rows:
        row["stage"] = "patches"
    for stage, name in stages:
        epochs = model._resolved(name)
        if epochs and model.max_epochs and model.history_.signal is None:
            _stage(model, stage, epochs, train, valid)


def forcing_loss(model: "PhyxMambaForecaster", net: nn.Module, batch: Batch) -> Tensor:
    """Return error and measures of rollouts from the contexts: ()."""
    truth = batch.y
    assert truth is not None
    shape = model._shape
    context = model._with_noise(batch).x if net.training else batch.x
    keep = shape.lead + shape.context
    path = forced(net, context, truth.shape[1], keep=keep, bound=model._bound())
    unit = model._unit().to(path)
    loss: Tensor = ((path - truth) * unit).square().mean()
    invariant, conditional = model.invariant_weight, model._resolved("conditional_weight")
    if len(path) < LEAST or not (invariant or conditional):
        return loss
    statistic, pool = model._resolved("statistic"), model._resolved("mmd_pool")
    start, path, truth = batch.x[:, shape.lead] * unit, path * unit, truth * unit
    total: Tensor = (
        loss
        + invariant * mmd_invariant(start, path, statistic, pool)
        + conditional * mmd_conditional(truth, path, statistic)
    )
    return total


def _stage(
    model: "PhyxMambaForecaster",
    stage: str,
    epochs: int,
    train: TrajectoryWindows,
    valid: TrajectoryWindows | None,
) -> None:
    shape = replace(train.shape, future=model.forcing_steps)
    samples = train.reshaped(shape)
    if not len(samples):
        return
    settings = replace(
        model._settings(None, None, len(samples)),
        learning_rate=model.forcing_rate,
        max_epochs=epochs,
        epoch_samples=model._resolved("forcing_windows"),
        start_is_candidate=True,
        weight_decay=0.0,  # released schedule, as the norm of 1
        clip_norm=1.0,
    )
    objective = model._objective()

    def measure(net: nn.Module, windows: Samples) -> float:
        return objective(net, cast(TrajectoryWindows, windows).reshaped(train.shape))

    net = model._net
    own = set(net.decoder.parameters())
    for weight in net.parameters():
        weight.requires_grad_(stage == "all" or weight in own)
    try:
        found = run(
            model.net_,
            lambda module, batch: forcing_loss(model, module, batch),
            samples,
            None if valid is None else valid.reshaped(shape).thinned(model.batch_size),
            settings=settings,
            objective=measure,
            seed=model._seed,
        )
    finally:
        for weight in net.parameters():
            weight.requires_grad_(True)
    model.history_ = _joined(model.history_, found, stage)


def _joined(first: History, second: History, stage: str) -> History:
    """Return one history; epochs count on."""
    done = max((row["epoch"] for row in first.rows), default=0)
    rows = [
        {**row, "epoch": row["epoch"] + done, "stage": stage}
        for row in second.rows
        if row["epoch"] > 0  # the start is the end of the stage before
    ]
    better = second.best_epoch > 0
    return History(
        rows=[*first.rows, *rows],
        best_epoch=second.best_epoch + done if better else first.best_epoch,
        best=second.best,
        skipped_steps=first.skipped_steps + second.skipped_steps,
        signal=second.signal or first.signal,
    )
