"""SIGMA and its relatives: item numbers (B, L) -> vectors (B, T, D) -> scores of all items (B, V).

Source: arXiv 2408.11451 in the form of its released code (ziwliu-cityu/SIMGA, commit 018d73a);
recommendation specification, section 3.
"""

import torch
from torch import Tensor, nn

from seqmamba.datasets.samples import Batch
from seqmamba.nn import Mamba
from seqmamba.nn.block import FeedForward
from seqmamba.nn.branch import State
from seqmamba.tasks.recommend.net.gated_mamba import FeatureGRU, GatedMamba, MambaMixer, pick
from seqmamba.tasks.recommend.net.settings import NetSettings

__all__ = ["ItemRows", "SIGMANet"]

INIT_STD = 0.02  # released code: embeddings and linear layers
NORM_EPS = 1e-12  # released code: every LayerNorm


class SIGMANet(nn.Module):
    r"""Item vectors, n gated layers, inner products with the item vectors.

    .. math:: X^0 = \mathrm{LN}(\mathrm{drop}(\mathrm{Emb}(i))), \qquad
              X^k = \mathrm{Layer}_k(X^{k-1}), \qquad s = X^n_{\ell-1} \mathrm{Emb}^\top

    Row 0 of the item table is zero for ever and never scored. Padding is zero after every layer,
    unless ``padding="released"``, where it enters as the bias of the first norm.

    Parameters
    ----------
    n_items : int
        V.
    settings : NetSettings
    """

    def __init__(self, n_items: int, settings: NetSettings) -> None:
        super().__init__()
        self.settings = settings
        self.item_embedding = nn.Embedding(n_items + 1, settings.d_model, padding_idx=0)
        self.norm = nn.LayerNorm(settings.d_model, eps=NORM_EPS)
        self.dropout = nn.Dropout(settings.dropout)
        self.layers = nn.ModuleList(Layer(settings) for _ in range(settings.n_layers))
        self._initialise()

    def forward(self, batch: Batch) -> Tensor:
        """Return the scores of all items after each whole history: (B, V)."""
        lengths = batch.extra["lengths"]
        h = self.hidden(batch.x, lengths, (lengths - 1)[:, None])[:, 0]  # (B, D)
        return h @ self.item_vectors().T

    def item_vectors(self) -> Tensor:
        """Return the vectors of items 1..V: (V, D)."""
        return self.item_embedding.weight[1:]

    def item_rows(self) -> "ItemRows":
        """Return the vectors of items 1..V as a table that is read row by row."""
        return ItemRows(self.item_embedding)

    def hidden(self, items: Tensor, lengths: Tensor, at: Tensor) -> Tensor:
        """Return the vectors at some positions: (B, T, D).

        Parameters
        ----------
        items : Tensor (B, L) int64
            Real items first, then zeros.
        lengths : Tensor (B,) int64
        at : Tensor (B, T) int64
            Positions to read out, 0..L - 1.
        """
        mask = torch.arange(items.shape[1], device=items.device) < lengths[:, None]
        x = self.norm(self.dropout(self.item_embedding(items)))  # (B, L, D)
        hides = self.settings.padding == "masked"
        for layer in self.layers[:-1]:
            x = layer(_zero(x, mask) if hides else x, lengths, None)  # (B, L, D)
        h: Tensor = self.layers[-1](_zero(x, mask) if hides else x, lengths, at)
        return h  # (B, T, D)

    def init_state(self, batch: int) -> list[State]:
        """Return the state before the first item; causal Mamba mixers only."""
        return [_mamba(layer).init_state(batch) for layer in self.layers]

    def step(self, items: Tensor, state: list[State]) -> Tensor:
        """Read one item per row (B,); return the vectors (B, D); the state changes in place."""
        x: Tensor = self.norm(self.item_embedding(items))
        for layer, memory in zip(self.layers, state, strict=True):
            assert isinstance(layer, Layer)
            mixed, _ = _mamba(layer).step(x, memory)
            x = layer.after(x, mixed)
        return x

    def _initialise(self) -> None:
        """Draw embeddings and linear layers from N(0, 0.02²); Mamba's own unless "released"."""
        for name, module in self.named_modules():
            inside_mamba = ".mamba." in f".{name}."
            if inside_mamba and self.settings.init == "mamba":
                continue
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=INIT_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.item_embedding.weight, std=INIT_STD)
        with torch.no_grad():
            self.item_embedding.weight[0].zero_()


class ItemRows:
    """Vectors of items 1..V: ``rows[indices]`` looks them up, so that gradients may be sparse."""

    def __init__(self, embedding: nn.Embedding) -> None:
        self.embedding = embedding

    def __len__(self) -> int:
        return self.embedding.num_embeddings - 1

    def __getitem__(self, indices: Tensor) -> Tensor:
        found: Tensor = self.embedding(indices + 1)
        return found


class Layer(nn.Module):
    """Mixer, norm, feed-forward part with its own residual and norm: (B, L, D) -> (B, T, D).

    A single layer has no residual around the mixer (released code).
    """

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        width = settings.d_model
        self.mixer = _MIXERS[settings.mixer](settings)
        self.has_residual = settings.n_layers > 1
        self.dropout = nn.Dropout(settings.dropout)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.ffn = FeedForward(width, 4 * width, "gelu", settings.dropout)
        self.ffn_norm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, x: Tensor, lengths: Tensor, at: Tensor | None) -> Tensor:
        """Mix ``x`` (B, L, D) along time; with ``at`` (B, T) only these positions are finished."""
        mixed = self.mixer(x, lengths, at)
        return self.after(pick(x, at), mixed)

    def after(self, x: Tensor, mixed: Tensor) -> Tensor:
        """Apply what follows the mixer, position by position."""
        mixed = self.dropout(mixed)
        y = self.norm(mixed + x if self.has_residual else mixed)
        z: Tensor = self.ffn_norm(self.ffn(y) + y)
        return z


_MIXERS: dict[str, type[GatedMamba | MambaMixer | FeatureGRU]] = {
    "sigma": GatedMamba,
    "mamba": MambaMixer,
    "gru": FeatureGRU,
}


def _zero(x: Tensor, mask: Tensor) -> Tensor:
    """Return ``x`` (B, L, D) with zeros where ``mask`` (B, L) is False."""
    return x * mask[..., None]


def _mamba(layer: nn.Module) -> Mamba:
    assert isinstance(layer, Layer)
    assert isinstance(layer.mixer, MambaMixer)
    return layer.mixer.mamba
