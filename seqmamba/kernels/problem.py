"""What every back-end takes and gives: scans, convolutions and their one-token steps.

``layout`` makes these objects from what the user passed; a back-end is one module with

* ``NAME: str``
* ``why_not() -> str | None`` - why it cannot be used here at all (not built, no GPU);
* ``why_not_for(call: Call) -> str | None`` - why it cannot serve this call (device, dtype, shape,
  option). It reads metadata only, never values, so it also works on tensors without storage;
* ``forward(scans: Sequence[Scan], save: bool) -> list[Result]`` - several independent scans (the
  two directions of a layer) in one parallel region; ``save`` asks for what ``backward`` needs;
* ``backward(scans, results, grads: Sequence[tuple[Tensor, Tensor | None]]) -> list[Gradients]`` -
  each pair is (gradient of out, gradient of last_state or None); of the results only ``saved``
  is kept until then;
* ``conv_forward(convs: Sequence[Conv]) -> list[Tensor]`` - the outputs (B, L, E);
* ``conv_backward(convs, grads: Sequence[Tensor]) -> list[ConvGradients]`` - recomputes what it
  needs from the inputs;
* ``scan_step(step: ScanStep) -> Tensor`` and ``conv_step(step: ConvStep) -> Tensor`` - out (B, E);
  the state is updated in place; called without autograd only.

What the caller has checked or done already
-------------------------------------------
Shapes agree. Every tensor lies on one device and has unit stride along its last axis; the other
strides are free (slices of a projection, stride 0 of an expanded axis). ``delta``, ``z`` and
variable ``B``, ``C`` have the dtype of ``u``; ``A``, ``D``, ``delta_bias``, ``initial_state`` and
constant ``B``, ``C`` have the *state dtype*: float64 for float64 ``u``, else float32. Conv weight,
bias and state have the dtype of ``x``. ``lengths`` and ``cu_seqlens`` are contiguous int32 on the
device of ``u``, in range if they lie on the CPU; ``mask`` is contiguous. At most one of the three
is given. B, L, E may be 0. Values in padding and at masked tokens may be NaN or inf.

What a back-end promises
------------------------
Tokens beyond ``lengths`` and masked tokens have output 0 and gradient exactly 0. A masked token is
an identity step of the scan (a = 1, w = 0) and a zero input of the convolution. ``last_state`` is
the state after the last token in scan order (token 0 of the run with ``reverse``). Gradients have
the shape and dtype of their input and never NaN out of padding. Inputs are never written to.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

__all__ = ["Call", "Conv", "ConvGradients", "ConvStep", "Gradients", "Result", "Scan", "ScanStep"]


@dataclass(frozen=True, slots=True)
class Scan:
    """Arguments of one selective scan, channels last.

    S is the number of independent runs: B rows, or the number of packed segments. Channel e uses
    group ``e * G // E``.
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
    cu_seqlens: Tensor | None = None  # (S + 1,) int32: borders of packed segments, B = 1
    mask: Tensor | None = None  # (B, L) bool, True = token, False = padding or hole
    delta_softplus: bool = False
    reverse: bool = False  # from the last valid token to the first
    window: int = 1  # locally bidirectional windows, counted in scan order; 1 is the plain scan
    wants_last_state: bool = True  # False allows a back-end to leave last_state empty

    def tensors(self) -> tuple[Tensor | None, ...]:
        """Return the differentiable fields in order."""
        required = (self.u, self.delta, self.A, self.B, self.C)
        return (*required, self.D, self.z, self.delta_bias, self.initial_state)


@dataclass(frozen=True, slots=True)
class Result:
    """What a forward run leaves behind."""

    out: Tensor  # (B, L, E), dtype of u
    last_state: Tensor  # (S, E, N), state dtype; may be empty if nobody wants it
    saved: Tensor | None  # state at every K-th token, private to the back-end; None without save


@dataclass(frozen=True, slots=True)
class Gradients:
    """Gradients of the tensors of :class:`Scan`; None where there is no input."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    delta_bias: Tensor | None
    initial_state: Tensor | None

    def tensors(self) -> tuple[Tensor | None, ...]:
        """Return the fields in the order of :meth:`Scan.tensors`."""
        required = (self.u, self.delta, self.A, self.B, self.C)
        return (*required, self.D, self.z, self.delta_bias, self.initial_state)


@dataclass(frozen=True, slots=True)
class Conv:
    """Arguments of one depthwise causal convolution, channels last.

    ``out_t = act(bias + sum_k weight[:, k] * x[t - W + 1 + k])``; with ``reverse`` the taps lie at
    ``t + W - 1 - k``. Taps before the start of a run come from ``initial_state`` (oldest first in
    scan order, ``initial_state[..., -1]`` next to the first token; entry 0 is never used) or are 0.
    """

    x: Tensor  # (B, L, E)
    weight: Tensor  # (E, W)
    bias: Tensor | None = None  # (E,)
    initial_state: Tensor | None = None  # (S, E, W)
    lengths: Tensor | None = None  # as in Scan; with reverse the run starts at lengths - 1
    cu_seqlens: Tensor | None = None
    mask: Tensor | None = None
    activation: Literal["silu"] | None = None
    reverse: bool = False

    def tensors(self) -> tuple[Tensor | None, ...]:
        """Return the differentiable fields in order."""
        return self.x, self.weight, self.bias, self.initial_state


@dataclass(frozen=True, slots=True)
class ConvGradients:
    """Gradients of the tensors of :class:`Conv`; None where there is no input."""

    x: Tensor
    weight: Tensor
    bias: Tensor | None
    initial_state: Tensor | None

    def tensors(self) -> tuple[Tensor | None, ...]:
        """Return the fields in the order of :meth:`Conv.tensors`."""
        return self.x, self.weight, self.bias, self.initial_state


@dataclass(frozen=True, slots=True)
class ScanStep:
    """One token of a selective scan for a batch; ``state`` is overwritten."""

    state: Tensor  # (B, E, N), state dtype
    u: Tensor  # (B, E)
    delta: Tensor  # (B, E), before bias and softplus
    A: Tensor  # (E, N)
    B: Tensor  # (B, G, N), or (E, N) if constant
    C: Tensor  # (B, G, N), or (E, N) if constant
    D: Tensor | None = None  # (E,)
    z: Tensor | None = None  # (B, E)
    delta_bias: Tensor | None = None  # (E,)
    delta_softplus: bool = False


@dataclass(frozen=True, slots=True)
class ConvStep:
    """One token of a causal convolution; ``state`` is shifted left and takes ``x`` at its end."""

    state: Tensor  # (B, E, W): the last W inputs, the current one included after the step
    x: Tensor  # (B, E)
    weight: Tensor  # (E, W)
    bias: Tensor | None = None  # (E,)
    activation: Literal["silu"] | None = None


Call = Scan | Conv | ScanStep | ConvStep
