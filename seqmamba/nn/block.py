"""One layer of the encoder: mixer, optional feed-forward part, norms and residuals."""

from typing import Literal, cast

from torch import Tensor, nn

from seqmamba.nn.branch import State, Streaming
from seqmamba.nn.norm import NormName, make_norm

__all__ = ["ActivationName", "Block", "DropPath", "FeedForward", "NormPosition"]

NormPosition = Literal["pre", "post", "branch"]
ActivationName = Literal["gelu", "relu", "silu"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "silu": nn.SiLU}


class Block(nn.Module):
    """Mixer and feed-forward part, each with norm and residual: (B, L, D) -> (B, L, D).

    ==========  ==============================  ==================================
    position    mixer part                      feed-forward part
    ==========  ==============================  ==================================
    "pre"       h = x + drop(mix(norm(x)))      y = h + drop(ffn(norm2(h)))
    "post"      h = norm(drop(mix(x)) + x)      y = norm2(h + drop(ffn(h)))
    "branch"    h = x + drop(mix(x))            y = h + norm2(drop(ffn(h)))
    ==========  ==============================  ==================================

    Sources: "pre" kernels specification, 3.1; "post" forecasting, 2.1, and recommendation, 3.2;
    "branch" tracking, 3.

    Parameters
    ----------
    d_model : int
        Width D.
    mixer : nn.Module
        Called as ``mixer(x, mask=..., lengths=...)``; for streaming it also has ``resume`` and
        ``step`` (see :class:`seqmamba.nn.Mamba`).
    norm : {"rms", "layer", "none"}
    norm_position : {"pre", "post", "branch"}
    norm_eps : float
    d_ff : int or None
        Hidden width of the feed-forward part; None leaves it out.
    activation : {"gelu", "relu", "silu"}
    dropout : float
        After both layers of the feed-forward part.
    mixer_dropout : float or None
        After the mixer; None takes ``dropout``.
    drop_path : float
        Probability of leaving a whole part out for one row of the batch.
    mixer_residual : bool
        False leaves out "x +" in the mixer part.
    """

    def __init__(
        self,
        d_model: int,
        mixer: nn.Module,
        *,
        norm: NormName = "rms",
        norm_position: NormPosition = "pre",
        norm_eps: float = 1e-5,
        d_ff: int | None = None,
        activation: ActivationName = "gelu",
        dropout: float = 0.0,
        mixer_dropout: float | None = None,
        drop_path: float = 0.0,
        mixer_residual: bool = True,
    ) -> None:
        super().__init__()
        self.mixer = mixer
        self.norm_position = norm_position
        self.mixer_residual = mixer_residual
        name: NormName = "none" if norm_position == "branch" else norm
        self.norm = make_norm(name, d_model, norm_eps)
        self.dropout = nn.Dropout(dropout if mixer_dropout is None else mixer_dropout)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.mlp = FeedForward(d_model, d_ff, activation, dropout) if d_ff else None
        self.norm2 = make_norm(norm, d_model, norm_eps) if d_ff else None

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        """Apply the layer to ``x`` (B, L, D); ``mask`` and ``lengths`` go to the mixer."""
        return self._after(x, self.mixer(self._before(x), mask=mask, lengths=lengths))

    def resume(
        self, x: Tensor, state: State, *, mask: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Apply the layer to the continuation of a sequence; also return the mixer's new state."""
        h, state = self.streaming.resume(self._before(x), state, mask=mask, lengths=lengths)
        return self._after(x, h), state

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Apply the layer to one token (B, D)."""
        h, state = self.streaming.step(self._before(x), state)
        return self._after(x, h), state

    @property
    def streaming(self) -> Streaming:
        """The mixer, for those that have a state."""
        return cast(Streaming, self.mixer)

    def _before(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(x) if self.norm_position == "pre" else x
        return normed

    def _after(self, x: Tensor, h: Tensor) -> Tensor:
        h = self.drop_path(self.dropout(h))
        if self.mixer_residual:
            h = x + h
        if self.norm_position == "post":
            h = self.norm(h)
        if self.mlp is None or self.norm2 is None:
            return h
        if self.norm_position == "pre":
            h = h + self.drop_path(self.mlp(self.norm2(h)))
        elif self.norm_position == "branch":
            h = h + self.norm2(self.drop_path(self.mlp(h)))
        else:
            h = self.norm2(h + self.drop_path(self.mlp(h)))
        return h


class FeedForward(nn.Module):
    """Linear, activation, dropout, linear, dropout: (..., D) -> (..., D)."""

    def __init__(
        self, d_model: int, d_ff: int, activation: ActivationName = "gelu", dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.fc1 = nn.Linear(d_model, d_ff)
        self.activation = _ACTIVATIONS[activation]()
        self.fc2 = nn.Linear(d_ff, d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the two layers to every token alone."""
        hidden = self.dropout(self.activation(self.fc1(x)))
        y: Tensor = self.dropout(self.fc2(hidden))
        return y


class DropPath(nn.Module):
    """Zero whole rows with probability p in training and divide the others by 1 - p.

    Source: Huang et al., arXiv 1603.09382, in the form that Vision Mamba uses.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drop rows of the first axis."""
        if not self.training or self.p == 0:
            return x
        if self.p == 1:
            return x * 0
        keep = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(1 - self.p)
        return x * (keep / (1 - self.p))

    def extra_repr(self) -> str:
        """Show the probability."""
        return f"p={self.p}"
