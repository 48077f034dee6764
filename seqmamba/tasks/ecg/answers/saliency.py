"""Where in a recording the network sees a class: gradients along a path, or leads left out."""

from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqmamba.datasets.samples import Batch
from seqmamba.errors import ConfigError
from seqmamba.params import nearest
from seqmamba.tasks.ecg.samples import RecordSamples

__all__ = ["SaliencyName", "attributions", "class_index", "lead_shares"]

SaliencyName = Literal["integrated_gradients", "grad_input", "occlusion"]
STEPS = 16  # points on the path from silence to the recording
AT_ONCE = 16  # windows
Floats = NDArray[np.float32]


def class_index(classes: list[Any], target: str) -> int:
    """Return the place of a class; raise :class:`ConfigError` with the nearest name."""
    names = [str(name) for name in classes]
    if str(target) not in names:
        hint = nearest(str(target), names)
        raise ConfigError(f"no class {target!r}; known: {', '.join(names)}.{hint}")
    return names.index(str(target))


def attributions(
    net: Any, samples: RecordSamples, target: int, method: SaliencyName
) -> list[Floats]:
    r"""Return what each sample adds to the logit of a class, per record (leads, T).

    ``integrated_gradients`` is :math:`x \int_0^1 \nabla f(\alpha x)\, d\alpha` (arXiv 1703.01365)
    from a silent recording; its sum is the difference of the logits. ``grad_input`` takes the end
    of the path alone. ``occlusion`` is the change of the logit when a lead is missing, spread
    evenly over the lead's samples. Overlapping windows are averaged.
    """
    total = np.zeros_like(samples.signal)
    count = np.zeros(len(samples.signal), dtype=np.float32)
    for start in range(0, len(samples), AT_ONCE):
        rows = np.arange(start, min(start + AT_ONCE, len(samples)))
        batch = samples.batch(rows)
        if method == "occlusion":
            values = _occluded(net, batch, target)
        else:
            values = _along_path(net, batch, target, STEPS if method != "grad_input" else 0)
        for row, value in zip(rows, values, strict=True):
            record = samples.records[row]
            begin = int(samples.first[record] + samples.starts[row])
            length = int(min(samples.window, samples.lengths[record] - samples.starts[row]))
            total[begin : begin + length] += value[:length]
            count[begin : begin + length] += 1
    mean: Floats = (total / np.maximum(count, 1)[:, None]).astype(np.float32)
    ends = samples.first + samples.lengths
    return [mean[a:b].T for a, b in zip(samples.first, ends, strict=True)]


def lead_shares(
    names: tuple[str, ...], leads: tuple[str, ...], values: list[Floats]
) -> pl.DataFrame:
    """Return ``record, lead, share`` of the absolute attribution, the largest first."""
    rows = []
    for name, value in zip(names, values, strict=True):
        mass = np.abs(value).sum(1, dtype=np.float64)
        share = mass / max(float(mass.sum()), 1e-12)
        rows += [
            {"record": name, "lead": leads[k], "share": float(share[k])}
            for k in np.argsort(-share, kind="stable")
        ]
    return pl.DataFrame(rows, schema={"record": pl.String, "lead": pl.String, "share": pl.Float64})


def _along_path(net: Any, batch: Batch, target: int, steps: int) -> Floats:
    points = (np.arange(steps) + 0.5) / steps if steps else np.ones(1)
    gradient = torch.zeros_like(batch.x)
    for point in points:
        x = (batch.x * float(point)).requires_grad_()
        logits = net(Batch(x=x, mask=batch.mask, extra=batch.extra))
        (found,) = torch.autograd.grad(logits[:, target].sum(), x)
        gradient += found
    product: Tensor = batch.x * gradient / len(points)
    return product.detach().numpy()


@torch.no_grad()
def _occluded(net: Any, batch: Batch, target: int) -> Floats:
    """Mask one lead after the other: (B, T, C)."""
    whole = net(batch)[:, target]
    present = batch.extra["present"]
    out = torch.zeros_like(batch.x)
    for lead in range(batch.x.shape[2]):
        x, there = batch.x.clone(), present.clone()
        x[:, :, lead], there[:, lead] = 0, 0
        logits = net(Batch(x=x, mask=batch.mask, extra={**batch.extra, "present": there}))
        out[:, :, lead] = ((whole - logits[:, target]) / batch.x.shape[1])[:, None]
    return out.numpy()
