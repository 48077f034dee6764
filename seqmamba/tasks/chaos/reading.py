"""The user's orbits, scaled to what the network reads, and back."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqmamba.datasets.trajectories import Trajectories
from seqmamba.errors import DataError, SeqmambaWarning

__all__ = ["ChannelScale", "check_channels", "ordered"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ChannelScale:
    """Centre and spread of every channel; constant channels are left out.

    Parameters
    ----------
    center, spread : array (V,)
        Of all channels, from the training rows; ``spread`` is 0 where a channel is constant.
    is_identity : bool
        Values pass as they are (``normalize="none"``).
    """

    center: Array
    spread: Array
    is_identity: bool = False

    @classmethod
    def learn(
        cls, segments: Sequence[Array], names: Sequence[str], *, is_identity: bool
    ) -> "ChannelScale":
        """Learn from the training rows.

        Raises
        ------
        DataError
            Every channel is constant.
        """
        values = np.concatenate(list(segments))
        center, spread = values.mean(axis=0), values.std(axis=0)
        spread = np.where(spread > 1e-12 * (np.abs(center) + 1), spread, 0.0)
        center = np.where(spread > 0, center, values[0])  # exact: a mean of equal values is not
        constant = [name for name, s in zip(names, spread, strict=True) if s == 0]
        if len(constant) == len(names):
            raise DataError(
                f"every channel is constant ({', '.join(constant)}); there is nothing to learn.",
                column=constant[0],
            )
        if constant:
            warnings.warn(
                f"constant channels are left out and forecast as they are: {', '.join(constant)}.",
                SeqmambaWarning,
                stacklevel=4,
            )
        return cls(center, spread, is_identity)

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Channels that the network sees."""
        found: NDArray[np.bool_] = self.spread > 0
        return found

    def apply(self, values: Array) -> Array:
        """Return rows (..., V) as the network reads them: (..., kept)."""
        kept = values[..., self.kept]
        if self.is_identity:
            return kept
        return (kept - self.center[self.kept]) / self.spread[self.kept]

    def invert(self, scaled: Array) -> Array:
        """Return rows (..., kept) in the user's units, constant channels filled: (..., V)."""
        out = np.broadcast_to(self.center, (*scaled.shape[:-1], len(self.center))).copy()
        own = scaled
        if not self.is_identity:
            own = scaled * self.spread[self.kept] + self.center[self.kept]
        out[..., self.kept] = own
        return out


def check_channels(fitted: Sequence[str], found: Trajectories) -> None:
    """Compare channels with those of fit, whose names matter in tables only.

    Raises
    ------
    DataError
        Another number of channels, or other names.
    """
    if found.shape != "table" and len(found.names) == len(fitted):
        return
    missing = [name for name in fitted if name not in found.names]
    new = [name for name in found.names if name not in fitted]
    if not missing and not new:
        return
    parts = [f"Missing: {', '.join(missing)}."] if missing else []
    parts += [f"Unknown: {', '.join(new)}."] if new else []
    raise DataError(
        f"the model was fitted on {len(fitted)} channels ({', '.join(fitted)}); these data have "
        f"{len(found.names)}. {' '.join(parts)}",
        column=(missing + new)[0],
    )


def ordered(found: Trajectories, fitted: Sequence[str]) -> list[Any]:
    """Return the segments with the channels in the order of fit."""
    if found.shape != "table":
        return list(found.segments)
    order = [found.names.index(name) for name in fitted]
    return [segment[:, order] for segment in found.segments]
