"""One selective scan with its arguments in the form that every back-end takes.

``layout.normalise`` makes a :class:`Scan` from what the user passed; a back-end module offers

* ``NAME: str``
* ``why_not() -> str | None`` - why this back-end cannot be used here at all;
* ``why_not_for(scan: Scan) -> str | None`` - why it cannot serve this scan;
* ``forward(scans: Sequence[Scan], save: bool) -> list[Result]`` - several scans (the two
  directions of a bidirectional layer) run in one parallel region;
* ``backward(scans, results, grads: Sequence[tuple[d_out, d_last | None]]) -> list[Gradients]``.
"""

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Gradients", "Result", "Scan"]


@dataclass(frozen=True)
class Scan:
    """Arguments of one scan, channels last, unit stride along the last axis.

    S is the number of independent runs: B rows, or the number of packed segments.
    """

    u: Tensor  # (B, L, E)
    delta: Tensor  # (B, L, E), before bias and softplus
    A: Tensor  # (E, N)
    B: Tensor  # (B, L, G, N), or (E, N) if constant
    C: Tensor  # (B, L, G, N), or (E, N) if constant
    D: Tensor | None = None  # (E,)
    z: Tensor | None = None  # (B, L, E), gate
    delta_bias: Tensor | None = None  # (E,)
    initial_state: Tensor | None = None  # (S, E, N)
    lengths: Tensor | None = None  # (B,) int32: valid prefix of each row
    cu_seqlens: Tensor | None = None  # (S + 1,) int32: packed segments, B = 1
    mask: Tensor | None = None  # (B, L) bool, False = identity step and zero output
    delta_softplus: bool = False
    reverse: bool = False
    window: int = 1  # locally bidirectional scan; 1 is the plain scan


@dataclass(frozen=True)
class Result:
    """What a forward run leaves behind."""

    out: Tensor  # (B, L, E), dtype of u
    last_state: Tensor  # (S, E, N), float32 or float64
    saved: Tensor | None  # state at every K-th token, private to the back-end


@dataclass(frozen=True)
class Gradients:
    """Gradients in the order of the fields of :class:`Scan`; None where there is no input."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    delta_bias: Tensor | None
    initial_state: Tensor | None
