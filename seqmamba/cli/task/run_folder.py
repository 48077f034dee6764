"""The folder that ``fit --out`` leaves: model, history, metrics and recipe."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seqmamba.errors import ConfigError
from seqmamba.storage import lock_directory, write_atomic

__all__ = ["open_folder", "run_metrics", "write_run"]

MODEL = "model.safetensors"
FILES = ("history.csv", "metrics.json", "recipe.yaml", MODEL)  # the model last: it completes a run


@contextmanager
def open_folder(out: str | None, *, force: bool) -> Iterator[Path | None]:
    """Hold a folder for one run; None if no folder is wanted.

    Raises
    ------
    ConfigError
        It holds a run, and ``force`` is not given.
    DirectoryInUseError
        Another process writes there.
    """
    if out is None:
        yield None
        return
    present = [name for name in FILES if (Path(out) / name).exists()]
    if Path(out).is_file():
        raise ConfigError(f"--out {out} is a file; name a folder.")
    if present and not force:
        raise ConfigError(
            f"{out} holds {', '.join(present)} already; "
            "pass --force to overwrite, or another --out."
        )
    with lock_directory(out) as folder:
        yield folder


def write_run(folder: Path, model: Any, metrics: Mapping[str, Any], recipe: str) -> None:
    """Write the files of a run, each in one step."""
    write_atomic(folder / "history.csv", model.history_.table().write_csv().encode())
    text = json.dumps(metrics, indent=2, default=str, allow_nan=False)
    write_atomic(folder / "metrics.json", text.encode() + b"\n")
    write_atomic(folder / "recipe.yaml", recipe.encode())
    model.save(folder / MODEL)


def run_metrics(model: Any) -> dict[str, Any]:
    """Return the figures of a fit: validation objective, anchor, size, time."""
    history = model.history_
    last = history.rows[-1] if history.rows else {}
    return {
        "objective": _finite(history.best),
        "best_epoch": history.best_epoch,
        "epochs": last.get("epoch", 0),
        "train_loss": _finite(last.get("train_loss")),
        "valid_loss": _finite(last.get("valid_loss")),
        "anchor": model.anchor_,
        "anchor_scores": {k: _finite(v) for k, v in model.anchor_scores_.items()},
        "skipped_steps": history.skipped_steps,
        "n_parameters": model.n_parameters_,
        "fit_seconds": round(model.fit_seconds_, 3),
        "interrupted_by_signal": history.signal,
    }


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, float) and math.isfinite(value) else None
