"""Which back-end serves a call, and why.

Precedence: the ``backend`` argument, then ``with use(name)``, then the environment variable
``SEQMAMBA_BACKEND``, then ``auto``: the first of the device's list that is available and serves
the call. Only ``auto`` falls through; a back-end asked for by name serves or raises.
"""

import functools
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

import torch
from torch import Tensor

from seqmamba.errors import BackendError
from seqmamba.kernels.problem import (
    Call,
    Conv,
    ConvGradients,
    ConvStep,
    Gradients,
    Result,
    Scan,
    ScanStep,
)

__all__ = ["NAMES", "Backend", "Choice", "backend_module", "backends", "choose", "requested"]
__all__ += ["use"]

NAMES = ("cuda", "triton", "mamba_ssm", "cpp", "torch", "reference")
ORDERS = {"cuda": ("cuda", "triton", "mamba_ssm", "torch"), "cpu": ("cpp", "torch")}
ENVIRONMENT = "SEQMAMBA_BACKEND"

_chosen: ContextVar[str | None] = ContextVar("seqmamba_backend", default=None)


class Backend(Protocol):
    """The functions of a back-end module; :mod:`seqmamba.kernels.problem` says what they do."""

    NAME: str

    def why_not(self) -> str | None: ...  # noqa: D102
    def why_not_for(self, call: Call) -> str | None: ...  # noqa: D102
    def forward(self, scans: Sequence[Scan], save: bool) -> list[Result]: ...  # noqa: D102
    def backward(  # noqa: D102
        self,
        scans: Sequence[Scan],
        results: Sequence[Result],
        grads: Sequence[tuple[Tensor, Tensor | None]],
    ) -> list[Gradients]: ...
    def conv_forward(self, convs: Sequence[Conv]) -> list[Tensor]: ...  # noqa: D102
    def conv_backward(  # noqa: D102
        self, convs: Sequence[Conv], grads: Sequence[Tensor]
    ) -> list[ConvGradients]: ...
    def scan_step(self, step: ScanStep) -> Tensor: ...  # noqa: D102
    def conv_step(self, step: ConvStep) -> Tensor: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Choice:
    """Name of the back-end that serves a call, and the reason in words."""

    name: str
    reason: str


def backends() -> dict[str, str | None]:
    """Return every back-end with None if it can be used here, else the reason why not.

    Examples
    --------
    >>> backends()["torch"] is None
    True
    """
    return {name: _why_not(name) for name in NAMES}


@contextmanager
def use(name: str) -> Iterator[None]:
    """Let calls inside a ``with`` block that name no back-end take this one.

    Parameters
    ----------
    name : str
        A name of :func:`backends`, or "auto".

    Raises
    ------
    BackendError
        No such back-end, or it cannot be used here.

    Examples
    --------
    >>> with use("torch"):
    ...     pass
    """
    if name != "auto":
        _check_available(name, "use()")
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def choose(call: Call, backend: str = "auto") -> Choice:
    """Return the back-end for a call.

    Parameters
    ----------
    call : Scan, Conv, ScanStep or ConvStep
    backend : str
        The argument of the public function.

    Raises
    ------
    BackendError
        The back-end asked for by name does not exist, is not available or cannot serve the call.
    """
    name, origin = _requested(backend)
    if name == "auto":
        return _automatic(call)
    _check_available(name, origin)
    reason = backend_module(name).why_not_for(call)
    if reason is not None:
        instead = _automatic(call).name
        raise BackendError(
            f"backend {name!r} (from {origin}) cannot serve this call: {reason}. "
            f'Use backend="auto" (would take {instead!r}).'
        )
    return _asked(name, origin)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]  # torch leaves it so
def requested(backend: str) -> str:
    """Return the name that argument, ``use`` and environment ask for, or "auto".

    A compiled function keeps what held when it was traced.
    """
    return _requested(backend)[0]


@functools.cache
def backend_module(name: str) -> Backend:
    """Import a back-end."""
    home = "torch_scan" if name == "torch" else name
    return cast(Backend, import_module(f"seqmamba.kernels.{home}"))  # checked by BackendContract


def _requested(backend: str) -> tuple[str, str]:
    if backend != "auto":
        return backend, "argument"
    inside = _chosen.get()
    if inside is not None:
        return inside, "use()"
    return os.environ.get(ENVIRONMENT) or "auto", ENVIRONMENT


def _automatic(call: Call) -> Choice:
    device = (call.x if isinstance(call, Conv | ConvStep) else call.u).device.type
    order = ORDERS.get(device, ("torch",))
    for name in order:
        if _why_not(name) is None and backend_module(name).why_not_for(call) is None:
            if name == "torch" and _why_not(order[0]) is not None:
                _warn_once(device, str(_why_not(order[0])))
            return _first(device, name)
    raise BackendError(f"no back-end serves tensors on {device!r}")


@functools.cache
def _first(device: str, name: str) -> Choice:
    order = ORDERS.get(device, ("torch",))
    return Choice(name, f"first of {', '.join(order)} that serves a call on {device}")


@functools.cache
def _asked(name: str, origin: str) -> Choice:
    return Choice(name, f"asked for by {origin}")


@functools.cache
def _why_not(name: str) -> str | None:
    """Return why a back-end cannot be used in this process, or None."""
    try:
        return backend_module(name).why_not()
    except ImportError as error:
        return f"it cannot be imported ({error})"


@functools.cache
def _check_available(name: str, origin: str) -> None:
    if name not in NAMES:
        known = ", ".join(repr(known) for known in NAMES)
        raise BackendError(f"no back-end {name!r} (from {origin}); known: 'auto', {known}")
    reason = _why_not(name)
    if reason is not None:
        raise BackendError(
            f'backend {name!r} (from {origin}) cannot be used: {reason}. Use backend="auto".'
        )


@functools.cache
def _warn_once(device: str, reason: str) -> None:
    """Say once per process that the slow path runs."""
    warnings.warn(
        f"seqmamba runs without its compiled kernels for {device}: {reason}. "
        "The slower 'torch' back-end gives the same results.",
        RuntimeWarning,
        stacklevel=2,
    )
