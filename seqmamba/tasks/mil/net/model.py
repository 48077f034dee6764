"""Projection, sequence encoder, pooling and classifier over a batch of bags."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from seqmamba.datasets.samples import Batch
from seqmamba.nn import AttentionPool, Encoder
from seqmamba.tasks.mil.net.chunks import encode_in_chunks
from seqmamba.tasks.mil.net.groups import groups_of
from seqmamba.tasks.mil.net.s4d import S4D
from seqmamba.tasks.mil.net.start import restart_as_reference

__all__ = ["BagNet", "EncoderName", "NetSettings", "PoolName", "Pooled"]

EncoderName = Literal["srmamba", "bimamba", "mamba", "lbmamba", "s4d", "none"]
PoolName = Literal["attention", "gated", "mean", "max"]
PRESETS = {
    "srmamba": "mambamil",
    "bimamba": "mambamil-bi",
    "mamba": "mambamil-causal",
    "lbmamba": "mambamil-local",
}
CHUNK = 1024  # tokens that inference holds wide at a time


@dataclass(frozen=True)
class NetSettings:
    """What the parameters of the estimator say of the network."""

    encoder: EncoderName = "srmamba"
    pool: PoolName = "attention"
    d_model: int = 512
    n_layers: int = 2
    d_state: int = 16
    d_conv: int = 4
    expand: float = 2
    rate: int = 5
    pad_mode: Literal["masked", "reference"] = "masked"
    window: int = 16
    start: Literal["ssm", "reference"] = "ssm"
    dropout: float = 0.0
    instance_noise: float = 0.0
    instance_dropout: float = 0.0
    max_instances: int | None = None
    max_tokens: int = 65_536
    checkpoint_tokens: int = 16_384
    backend: str = "auto"


class Pooled(NamedTuple):
    """What the network makes of bags."""

    logits: Tensor  # (B, K)
    embedding: Tensor  # (B, D)
    attention: Tensor | None  # (B, L), None for mean and max


class BagNet(nn.Module):
    r"""Bags of instances to logits: instances (T, F) of B bags -> (B, K).

    .. math:: h = \mathrm{act}(W x + b), \quad h \leftarrow h + \mathrm{Mixer}(\mathrm{LN}(h)),
              \quad z = \mathrm{pool}(\mathrm{LN}(h)), \quad \mathrm{logits} = V z + c

    With pool "mean" and "max" every instance has logits, which are averaged, or the greatest of
    each class is taken. With encoder "none" the activation is ReLU and there is no mixer: the
    pooling models of multiple-instance learning. Source: MambaMIL, arXiv 2403.06800; Ilse et al.,
    arXiv 1802.04712; multiple-instance specification, 2.

    Parameters
    ----------
    channels : int
        Features F.
    n_outputs : int
        K.
    settings : NetSettings
    scale : (Tensor (F,), Tensor (F,)) or None
        Mean and standard deviation of the features; None leaves them as they are.
    """

    mean: Tensor
    spread: Tensor

    def __init__(
        self,
        channels: int,
        n_outputs: int,
        settings: NetSettings,
        scale: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        mean, spread = scale or (torch.zeros(channels), torch.ones(channels))
        self.register_buffer("mean", mean.float())
        self.register_buffer("spread", spread.float())
        width, pools = settings.d_model, settings.pool in ("attention", "gated")
        self.embed = nn.Linear(channels, width)
        self.activation = nn.ReLU() if settings.encoder == "none" else nn.GELU()
        self.dropout = nn.Dropout(settings.dropout)
        self.encoder = None if settings.encoder == "none" else _encoder(settings)
        self.pool = AttentionPool(width, gated=settings.pool == "gated") if pools else None
        self.head = nn.Linear(width, n_outputs)
        if settings.start == "reference":
            restart_as_reference(self)

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits (B, K) of the bags that lie packed in ``batch.x`` (T, F)."""
        return torch.cat([p.logits for _, p in self.pooled(batch)])[self._back(batch)]

    def pooled(self, batch: Batch) -> Iterator[tuple[Tensor, Pooled]]:
        """Give groups of bags: their numbers in the batch, and what the network makes of them."""
        lengths = batch.extra["lengths"]
        for chosen in groups_of(lengths, self.settings.max_tokens):
            x, real = pad(batch.x, lengths, chosen)
            yield chosen, self.pool_bags(x, real)

    def pool_bags(self, x: Tensor, lengths: Tensor) -> Pooled:
        """Return what the network makes of padded bags (B, L, F)."""
        if len(x) == 1 and x.shape[1] > CHUNK and self._reads_in_pieces():
            return self._pool(encode_in_chunks(self, x[0], CHUNK)[None], None)
        h, mask = self._augment(self._scaled(x), lengths)
        h = self.dropout(self.activation(self.embed(h)))  # (B, L, D)
        return self._pool(self._encode(h, lengths, mask), mask)

    def _reads_in_pieces(self) -> bool:
        return not (torch.is_grad_enabled() or self.training or isinstance(self.encoder, S4D))

    def project(self, x: Tensor) -> Tensor:
        """Return the projected instances of a piece of a bag, for inference: (L, F) -> (L, D)."""
        h: Tensor = self.activation(self.embed(self._scaled(x)))
        return h

    def _scaled(self, x: Tensor) -> Tensor:
        return (x.to(self.mean.dtype) - self.mean) / self.spread

    def _augment(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Add noise and leave instances out, in training only; return also what is real."""
        settings = self.settings
        mask = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        if not self.training:
            return x, mask
        if settings.instance_noise:
            x = x + settings.instance_noise * torch.randn_like(x)
        if settings.instance_dropout:
            kept = torch.rand(mask.shape, device=x.device) >= settings.instance_dropout
            kept[:, 0] |= ~(kept & mask).any(1)  # one at least
            mask = mask & kept
        if settings.max_instances is not None and x.shape[1] > settings.max_instances:
            order = torch.rand(mask.shape, device=x.device).masked_fill(~mask, -1.0)
            least = order.topk(settings.max_instances, 1).values[:, -1:]
            mask = mask & (order >= least)
            x, mask = _drop_empty(x, mask)
        return x, mask

    def _encode(self, h: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
        if self.encoder is None:
            return h
        if isinstance(self.encoder, S4D):
            return self.encoder(h, mask)  # type: ignore[no-any-return]
        whole = not (self.training and (self._thins()))
        rows: dict[str, Any] = {"lengths": lengths} if whole else {"mask": mask}
        if torch.is_grad_enabled() and h.shape[0] * h.shape[1] > self.settings.checkpoint_tokens:
            for block in self.encoder.blocks:  # only h between the layers is kept
                h = checkpoint(block, h, use_reentrant=False, **rows)
            done: Tensor = self.encoder.norm_f(h)
            return done.masked_fill(~mask.unsqueeze(-1), 0)
        encoded: Tensor = self.encoder(h, **rows)
        return encoded

    def _thins(self) -> bool:
        return self.settings.instance_dropout > 0 or self.settings.max_instances is not None

    def _pool(self, h: Tensor, mask: Tensor | None) -> Pooled:
        if self.pool is not None:
            z, attention = self.pool.attend(h, mask)
            return Pooled(self.head(z), z, attention)
        each = self.head(h)  # (B, L, K)
        count = h.new_full((len(h), 1), h.shape[1]) if mask is None else mask.sum(1, keepdim=True)
        if mask is not None:
            h = h.masked_fill(~mask.unsqueeze(-1), 0)
        z = h.sum(1) / count
        if self.settings.pool == "mean":
            return Pooled(self.head(z), z, None)  # the mean of the logits: the head is linear
        if mask is not None:
            each = each.masked_fill(~mask.unsqueeze(-1), -torch.inf)
        return Pooled(each.amax(1), z, None)

    def _back(self, batch: Batch) -> Tensor:
        """Return where each bag of the batch stands among the groups, one after the other."""
        chosen = groups_of(batch.extra["lengths"], self.settings.max_tokens)
        return torch.argsort(torch.cat(chosen))


def pad(x: Tensor, lengths: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Return some of the packed bags, padded at the end: (B, L, F), and their lengths (B,)."""
    ends = lengths.cumsum(0)
    mine = lengths[chosen]
    place = torch.arange(int(mine.max()), device=x.device)
    real = place < mine[:, None]  # (B, L)
    source = (ends[chosen] - mine)[:, None] + place
    if bool(real.all()) and len(chosen) == 1:
        start = int(source[0, 0])
        return x[start : start + len(place)][None], mine
    out = x.new_zeros(*real.shape, x.shape[-1])
    out[real] = x[source[real]]
    return out, mine


def _drop_empty(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Move the kept instances to the front, in their order, and cut off what is left."""
    order = torch.argsort(~mask, dim=1, stable=True)[:, : int(mask.sum(1).max())]
    return x.gather(1, order.unsqueeze(-1).expand(-1, -1, x.shape[-1])), mask.gather(1, order)


def _encoder(settings: NetSettings) -> Encoder | S4D:
    if settings.encoder == "s4d":
        return S4D(settings.d_model, settings.d_state)
    options: dict[str, Any] = {}
    if settings.encoder == "srmamba":
        options = {"rate": settings.rate, "pad_mode": settings.pad_mode}
    if settings.encoder == "lbmamba":
        options = {"window": settings.window}
    return Encoder.preset(
        PRESETS[settings.encoder],
        d_model=settings.d_model,
        n_layers=settings.n_layers,
        d_state=settings.d_state,
        d_conv=settings.d_conv,
        expand=settings.expand,
        backend=settings.backend,
        **options,
    )
