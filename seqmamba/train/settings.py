"""What a training run is told; made by the estimator from its shared parameters."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from seqmamba.errors import BackendError

__all__ = ["Schedule", "Settings", "resolve_device"]

Schedule = Literal["constant", "halve", "cosine", "one_cycle", "linear"]


@dataclass(frozen=True)
class Settings:
    """Settings of :func:`seqmamba.train.loop.run`.

    Parameters
    ----------
    min_epochs : int
        Patience ends no run before this epoch.
    valid_batch : int or None
        Samples per step of the validation loss; None = 256, or the batch size if that is larger.
    epoch_samples : int or None
        Samples drawn per epoch, without replacement; None = all.
    drop_last : bool
        Leave out the last incomplete batch of an epoch (never the only one).
    keep : {"best", "last"}
        Which weights remain: those of the best validation objective, or those at the end, for a
        schedule that runs out; ``"last"`` knows no patience.
    start_is_candidate : bool
        Score the untrained network too: an anchored network then cannot end worse than its anchor.
    checkpoint, resume : Path or None
        File written after each epoch and when interrupted; file to go on from.
    fingerprint : str
        Identity of configuration and data; a checkpoint with another one is refused.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    batch_size: int = 32
    max_epochs: int = 10
    max_minutes: float | None = None
    patience: int | None = None
    min_epochs: int = 0
    valid_batch: int | None = None
    lr_schedule: Schedule = "constant"
    clip_norm: float | None = None
    optimizer: Literal["adam", "adamw"] = "adamw"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "cpu"
    verbose: int = 0
    epoch_samples: int | None = None
    drop_last: bool = False
    keep: Literal["best", "last"] = "best"
    start_is_candidate: bool = False
    checkpoint: Path | None = None
    resume: Path | None = None
    fingerprint: str = ""


def resolve_device(name: str) -> str:
    """Turn ``"auto"`` into the best device present; raise if a named one is absent."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = name.split(":")[0]
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not present.get(kind, False):
        here = ", ".join(k for k, there in present.items() if there)
        raise BackendError(f"device {name!r} is not here (present: {here}); pass device='auto'.")
    return name
