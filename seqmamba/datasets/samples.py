"""What a training loop sees of data: samples that give whole batches by array indexing."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqmamba.errors import DataError

__all__ = ["Batch", "Info", "Samples"]


@dataclass
class Batch:
    """Tensors of a few samples.

    Parameters
    ----------
    x : Tensor (B, L, C) float32, or (B, L) int64 ids
    mask : Tensor (B, L) bool or None
        True = real token; None = all real.
    y : Tensor or None
        Targets in the network's own output space.
    extra : dict of Tensor
        What else a task needs; the first axis is the batch.
    """

    x: Tensor
    mask: Tensor | None = None
    y: Tensor | None = None
    extra: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def to(self, device: torch.device | str) -> Self:
        """Return the batch on another device; the same object if it is there already."""
        if self.x.device == torch.device(device):
            return self
        return self._map(lambda t: t.to(device, non_blocking=True))

    def pin(self) -> Self:
        """Return the batch in page-locked memory, for faster copies to a GPU."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Any) -> Self:
        return replace(
            self,
            x=change(self.x),
            mask=None if self.mask is None else change(self.mask),
            y=None if self.y is None else change(self.y),
            extra={name: change(value) for name, value in self.extra.items()},
        )


@dataclass(frozen=True)
class Info:
    """What a network must know of the data that it is built for.

    Parameters
    ----------
    channels : int
        Number of input channels C.
    length : (int, int)
        Shortest and longest sequence.
    n_outputs : int
        Items, classes or target channels.
    feature_names : tuple of str
        Names of the input channels, in order.
    extra : mapping
        JSON-serialisable facts of one task.
    """

    channels: int
    length: tuple[int, int] = (1, 1)
    n_outputs: int = 1
    feature_names: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    def check_same_features(self, found: "Info") -> None:
        """Compare the channels of new data with those of ``fit``.

        Raises
        ------
        DataError
            Other channels, or the same in another order; names what is missing and what is new.
        """
        mine, theirs = self.feature_names, found.feature_names
        if found.channels == self.channels and theirs == mine:
            return
        missing = [name for name in mine if name not in theirs]
        new = [name for name in theirs if name not in mine]
        parts = [f"Missing: {', '.join(missing)}."] if missing else []
        parts += [f"Unknown: {', '.join(new)}."] if new else []
        order = f"Their order: {', '.join(theirs)}."
        raise DataError(
            f"the model was fitted on {self.channels} channels ({', '.join(mine)}); these data "
            f"have {found.channels}. {' '.join(parts) or order}",
            column=next(iter(missing + new), None),
        )

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Build from what :meth:`to_json` returned."""
        lists = {k: tuple(v) for k, v in fields.items() if isinstance(v, list)}
        return cls(**{**fields, **lists})


@runtime_checkable
class Samples(Protocol):
    """A data set that is ready for a network."""

    @property
    def info(self) -> Info:
        """Facts that the network is built from."""
        ...

    def __len__(self) -> int: ...

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Build the whole batch for (B,) indices at once."""
        ...

    def split(self, held_out: float | int) -> tuple["Samples", "Samples"]:
        """Cut into a training and a validation part; a fraction or a count is held out."""
        ...
