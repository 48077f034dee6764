"""Settings of the recommendation networks, and their presets."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["NetSettings"]


@dataclass(frozen=True)
class NetSettings:
    """Settings of the network; meanings at the parameters of the estimator."""

    d_model: int = 64
    n_layers: int = 1
    d_state: int = 32
    d_conv: int = 4
    expand: float = 2
    dropout: float = 0.2
    mixer: Literal["sigma", "mamba", "gru"] = "sigma"
    keep_last: int = 5
    flip: Literal["aware", "released"] = "aware"
    gate: Literal["released", "symmetric"] = "released"
    conv: Literal["same", "causal"] = "same"
    mix: Literal["raw", "softmax"] = "raw"
    init: Literal["mamba", "released"] = "mamba"
    padding: Literal["masked", "released"] = "masked"
    use_flip: bool = True
    use_gate: bool = True
    use_gru: bool = True
    backend: str = "auto"

    @property
    def is_causal(self) -> bool:
        """Say whether a position's output never depends on later items."""
        if self.mixer == "mamba":
            return True
        if self.mixer == "gru":
            return self.conv == "causal"
        return not self.use_flip and (self.conv == "causal" or not self.use_gru)
