"""Time and memory of encoders, forward and backward, at the sizes of the tasks."""

import importlib.util
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from seqmamba.errors import ConfigError
from seqmamba.kernels.bench import Arm, Measurement, measure
from seqmamba.nn.encoder import Encoder
from seqmamba.params import nearest

__all__ = ["SIZES", "bench_encoder"]

SIZES: dict[str, tuple[int, int, int, int]] = {  # batch, length, width, layers
    "forecast": (32, 11, 256, 2),
    "recommend": (256, 50, 64, 1),
    "track": (64, 10, 512, 3),
    "record": (16, 1000, 128, 2),
    "slide": (1, 10000, 512, 2),
}
ARMS = ("causal", "bi_shared", "bi_sum", "vim_v2", "local_bi", "masked")
PEERS = ("mambapy", "transformers", "fla", "mamba_ssm")


def bench_encoder(
    *,
    sizes: tuple[str, ...] = ("forecast", "recommend", "track", "record"),
    arms: tuple[str, ...] = ARMS,
    against: tuple[str, ...] = (),
    threads: int = 1,
    repeats: int = 5,
) -> list[Measurement]:
    """Measure encoders with 16 states per channel on the CPU in float32.

    Parameters
    ----------
    sizes : tuple of str
        Names of :data:`SIZES`, or batch, length, width, layers as in ``32x96x256x2``.
    arms : tuple of str
        Directions, and ``masked``: the causal encoder with a full mask.
    against : tuple of str
        Packages (``mambapy``, ``transformers``, ``fla``, ``mamba_ssm``) whose stack runs at the
        same size; one that cannot run gives a row with its reason.
    threads : int
    repeats : int
        Rounds; medians are reported.

    Returns
    -------
    list of dict
        One row per size and arm: ``forward_ms`` (no gradient asked), ``total_ms`` (forward and
        backward), ``peak_mb``, ``tokens_per_s`` (forward and backward), ``ratio`` (total time over
        that of the first arm), ``note``.

    Raises
    ------
    ConfigError
        Unknown size or package.
    """
    former = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return [row for size in sizes for row in _bench_size(size, arms, against, threads, repeats)]
    finally:
        torch.set_num_threads(former)


def _bench_size(
    size: str, arms: tuple[str, ...], against: tuple[str, ...], threads: int, repeats: int
) -> list[Measurement]:
    batch, length, width, layers = _numbers(size)
    x = torch.randn(batch, length, width, generator=torch.Generator().manual_seed(0))
    reasons = {**dict.fromkeys(arms), **{name: _why_not(name) for name in against}}
    runs = {}
    for name, reason in reasons.items():
        if reason is None:
            net, call = _network(name, x, layers)
            weights = [parameter for parameter in net.parameters() if parameter.requires_grad]
            runs[name] = Arm(partial(_loss, call, x), weights)
    found = measure(runs, threads=threads, repeats=repeats)
    rows = []
    for name, reason in reasons.items():
        row: Measurement = {"size": f"{batch}x{length}x{width}x{layers}", "arm": name}
        row |= found.get(name, {"forward_ms": None, "total_ms": None, "peak_mb": None})
        if name in found:
            row["tokens_per_s"] = 1e3 * batch * length / row["total_ms"]
            row["ratio"] = row["total_ms"] / found[next(iter(found))]["total_ms"]
        rows.append({**row, "note": reason})
    return rows


def _network(name: str, x: Tensor, layers: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """Return a network of the width of x and how it is called."""
    width = x.shape[-1]
    torch.manual_seed(0)
    if name == "mambapy":
        from mambapy.mamba import Mamba, MambaConfig  # optional

        net: nn.Module = Mamba(MambaConfig(d_model=width, n_layers=layers))
        return net, net
    if name == "masked":
        encoder = Encoder(width, layers)
        mask = torch.ones(x.shape[:2], dtype=torch.bool)
        return encoder, lambda inputs: encoder(inputs, mask=mask)
    encoder = Encoder(width, layers, direction=name)  # type: ignore[arg-type]  # checked by Encoder
    return encoder, encoder


def _loss(call: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return call(x).square().mean()


def _numbers(size: str) -> tuple[int, int, int, int]:
    if size in SIZES:
        return SIZES[size]
    parts = size.split("x")
    if len(parts) != 4 or not all(part.isdigit() and int(part) for part in parts):
        known = ", ".join(SIZES)
        raise ConfigError(
            f"unknown size {size!r}: give BxLxDxlayers as in 32x96x256x2, or {known}."
        )
    batch, length, width, layers = map(int, parts)
    return batch, length, width, layers


def _why_not(name: str) -> str | None:
    if name not in PEERS:
        hint = nearest(name, PEERS) or f" Known: {', '.join(PEERS)}."
        raise ConfigError(f"unknown package {name!r}.{hint}")
    if importlib.util.find_spec(name) is None:
        return f"package {name} is not installed"
    return None if name == "mambapy" else f"{name} is measured on CUDA machines only"
