"""Everything that a run needs to go on bit-exactly, in one model file.

Weights, best weights, optimiser, counters, history and the state of the dropout stream. The order
of an epoch is a function of (seed, epoch) and needs no storage.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from seqmamba import storage
from seqmamba.errors import ResumeMismatchError

__all__ = ["read_checkpoint", "write_checkpoint"]

FORMAT = "seqmamba-checkpoint"


def write_checkpoint(
    path: Path,
    net: nn.Module,
    optimizer: Optimizer,
    best: Mapping[str, Tensor],
    progress: Mapping[str, Any],
    fingerprint: str,
) -> None:
    """Write a checkpoint; a former one is replaced only when the new one is durable."""
    tensors: dict[str, Tensor] = {f"net.{k}": v for k, v in net.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in best.items()}
    scalars: dict[str, dict[str, Any]] = {}
    state = optimizer.state_dict()
    for index, slots in state["state"].items():
        for name, value in slots.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
            else:
                scalars.setdefault(str(index), {})[name] = value
    tensors["generator.cpu"] = torch.get_rng_state()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch's
        tensors["generator.cuda"] = torch.cuda.get_rng_state()
    header = {
        "kind": FORMAT,
        "progress": json.dumps(dict(progress)),  # as a string: it may hold NaN
        "optimizer": {"groups": state["param_groups"], "scalars": scalars},
        "fingerprint": fingerprint,
    }
    storage.write_model(path, tensors, header)


def read_checkpoint(
    path: Path, net: nn.Module, optimizer: Optimizer, fingerprint: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Load a checkpoint into net, optimiser and generators; return best weights and progress.

    Raises
    ------
    ResumeMismatchError
        The file is no checkpoint, or of another configuration or other data.
    """
    tensors, header = storage.read_model(path)
    if header.get("kind") != FORMAT:
        raise ResumeMismatchError(f"{path} is not a training checkpoint; start without resume.")
    if header["fingerprint"] != fingerprint:
        raise ResumeMismatchError(
            f"{path} belongs to another run: {_differences(header['fingerprint'], fingerprint)}. "
            "Resume with the same parameters and data, or start without resume."
        )
    net.load_state_dict(_part(tensors, "net."))
    state: dict[int, dict[str, Any]] = {}
    for key, value in _part(tensors, "optimizer.").items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    for index, slots in header["optimizer"]["scalars"].items():
        state.setdefault(int(index), {}).update(slots)
    optimizer.load_state_dict({"state": state, "param_groups": header["optimizer"]["groups"]})
    torch.set_rng_state(tensors["generator.cpu"])
    if "generator.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["generator.cuda"])
    return _part(tensors, "best."), json.loads(header["progress"])


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _differences(stored: str, current: str) -> str:
    """Name the ``key=value`` lines in which two fingerprints differ."""
    before, now = set(stored.splitlines()), set(current.splitlines())
    return (
        "; ".join(
            [
                *(f"was {v}" for v in sorted(before - now)),
                *(f"is {v}" for v in sorted(now - before)),
            ]
        )
        or "contents differ"
    )
