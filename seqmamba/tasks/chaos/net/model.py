"""PhyxMamba (Liu et al., arXiv 2505.23863): delayed patches in, the patches that follow out."""

from typing import Literal

import torch
from torch import Tensor, nn

from seqmamba.datasets.samples import Batch
from seqmamba.nn import Encoder, Mamba2
from seqmamba.tasks.chaos.net.tokens import PatchTokens

__all__ = ["PhyxMamba", "Target"]

Target = Literal["delta", "level"]


class PhyxMamba(nn.Module):
    """Tokens, subtractive stack, patch decoder: Batch of (B, lead + T0, V) -> (B, L, p, V).

    Every token gives the patch behind it. Without targets in the batch only the last one is
    decoded: (B, 1, p, V).

    Parameters
    ----------
    tokens : PatchTokens
    encoder : Encoder
        Causal.
    channels, patch : int
    n_ahead : int
        Multi-patch modules, K; used in training only.
    target : {"delta", "level"}
        "delta" adds the output to the last row of the token; "level" is the paper's.
    is_residual : bool
        The output is added to an anchor's, which stands for the level.
    """

    scale: Tensor

    def __init__(
        self,
        tokens: PatchTokens,
        encoder: Encoder,
        *,
        channels: int,
        patch: int,
        n_ahead: int,
        target: Target,
        is_residual: bool,
    ) -> None:
        super().__init__()
        d_model = encoder.d_model
        self.tokens, self.encoder = tokens, encoder
        self.channels, self.patch = channels, patch
        self.adds_last = target == "delta" and not is_residual
        self.decoder = nn.Linear(d_model, patch * channels)
        self.ahead = nn.ModuleList(AheadModule(d_model, encoder) for _ in range(n_ahead))
        # what the outputs are measured in, per step of the patch and channel
        self.register_buffer("scale", torch.ones(patch, channels))

    def output_layer(self) -> nn.Linear:
        """Return the layer that starts at zero where the network stands on an anchor."""
        return self.decoder

    def forward(self, batch: Batch) -> Tensor:
        """Return the patch behind each token, or behind the last alone."""
        x = batch.x
        embedded = self.tokens(x.to(self.decoder.weight.dtype))  # (B, L, D)
        hidden = self.encoder(embedded)  # (B, L, D)
        if batch.y is None:
            return self.decode(hidden[:, -1:], x[:, -1:])
        return self.decode(hidden, self.last_rows(x, hidden.shape[1]))

    def last_rows(self, x: Tensor, n_tokens: int) -> Tensor:
        """Return the last row of each token: (B, L, V)."""
        behind = x.shape[1] - (n_tokens - 1) * self.patch - 1
        return x[:, behind :: self.patch]

    def decode(self, hidden: Tensor, last: Tensor) -> Tensor:
        """Return patches (B, L, p, V) from hidden tokens and the last row of each."""
        shape = (*hidden.shape[:2], self.patch, self.channels)
        out: Tensor = self.decoder(hidden).reshape(shape) * self.scale
        return out + last.unsqueeze(-2) if self.adds_last else out

    def look_ahead(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """Return the patches of the main path and those of each multi-patch module.

        Module k reads the token k + 1 ahead, which is known in training, and gives the patch behind
        it: (B, L - k - 1, p, V). Source: the released MTP.py.
        """
        x = batch.x
        embedded = self.tokens(x.to(self.decoder.weight.dtype))
        hidden = self.encoder(embedded)
        last = self.last_rows(x, hidden.shape[1])
        first, further = self.decode(hidden, last), []
        for k, module in enumerate(self.ahead):
            if hidden.shape[1] < 2:
                break
            hidden = module(hidden[:, :-1], embedded[:, k + 1 :])
            further.append(self.decode(hidden, last[:, k + 1 :]))
        return first, further


class AheadModule(nn.Module):
    """Norm both, join, mix: hidden and later tokens (B, L, D) -> hidden (B, L, D)."""

    def __init__(self, d_model: int, encoder: Encoder) -> None:
        super().__init__()
        like = encoder.blocks[0].mixer
        assert isinstance(like, Mamba2)
        self.norm = nn.RMSNorm(d_model, eps=1e-6)  # one for both, as released
        self.join = nn.Linear(2 * d_model, d_model)
        self.mixer = Mamba2(
            d_model,
            like.d_state,
            expand=like.d_inner / d_model,
            headdim=like.headdim,
            backend=like.backend,
        )

    def forward(self, hidden: Tensor, later: Tensor) -> Tensor:
        """Read what is known of later tokens too."""
        joined = self.join(torch.cat([self.norm(hidden), self.norm(later)], dim=-1))
        out: Tensor = self.mixer(joined)
        return out
