"""Settings of the recommendation networks, and their presets."""

from dataclasses import dataclass, fields
from typing import Any, Literal

from seqmamba.errors import ConfigError

__all__ = ["NetSettings", "Preset", "net_settings"]

Preset = Literal["sigma", "sigma-released", "mamba4rec", "gru"]


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


# What "auto" stands for in each preset. "same" in the released network: its convolution looks one
# item ahead, so that only the last position of a row can be trained on.
_PRESETS: dict[str, dict[str, str]] = {
    "sigma": {"flip": "aware", "init": "mamba", "conv": "causal", "padding": "masked"},
    "sigma-released": {
        "flip": "released",
        "init": "released",
        "conv": "same",
        "padding": "released",
    },
}
_MIXERS = {"mamba4rec": "mamba", "gru": "gru"}


def net_settings(parameters: Any, targets: str) -> NetSettings:
    """Return the settings that estimator parameters stand for.

    Parameters
    ----------
    parameters : object with the fields of the estimator
    targets : {"auto", "last", "tail", "all"}

    Raises
    ------
    ConfigError
        ``targets`` asks for positions that see later items.
    """
    preset = _PRESETS.get(parameters.preset, _PRESETS["sigma"])
    chosen: dict[str, Any] = {
        field.name: getattr(parameters, field.name)
        for field in fields(NetSettings)
        if field.name not in ("mixer", "padding")
    }
    chosen |= {"gate": "released"} if parameters.gate == "auto" else {}
    for name in ("flip", "init", "conv"):
        if chosen[name] == "auto":
            chosen[name] = preset[name]
    if targets == "last" and parameters.conv == "auto":
        chosen["conv"] = "same"  # as released: with one target per window nothing leaks
    mixer: Any = _MIXERS.get(parameters.preset, "sigma")
    padding: Any = preset["padding"]
    settings = NetSettings(mixer=mixer, padding=padding, **chosen)
    _check_targets(settings, targets)
    return settings


def _check_targets(settings: NetSettings, targets: str) -> None:
    is_tail_safe = settings.is_causal or (
        settings.conv == "causal" and settings.flip == "aware" and settings.padding == "masked"
    )
    if targets == "all" and not settings.is_causal:
        raise ConfigError(
            "targets='all' needs a causal network: preset='mamba4rec', preset='gru' or "
            "use_flip=False, with conv='causal'. Use targets='tail'."
        )
    if targets == "tail" and not is_tail_safe:
        raise ConfigError(
            "targets='tail' needs conv='causal' and flip='aware', else a position sees its own "
            "target. Use targets='last'."
        )
