"""Names of the parameters in the authors' released checkpoints, and in ours.

Source: ziwliu-cityu/SIMGA, ``model/gated_mamba.py``, commit 018d73a; its unused second convolution
is left out.
"""

from collections.abc import Iterator, Mapping

from torch import Tensor

from seqmamba.errors import ModelFileError

__all__ = ["from_released", "to_released"]

_WHOLE = {"item_embedding.weight": "item_embedding.weight", "LayerNorm": "norm"}
_LAYER = {  # released -> ours; modules without suffix carry weight and bias
    "gmamba.combining_weights": "mixer.mixing",
    "gmamba.dense1": "mixer.gate.dense1",
    "gmamba.dense2": "mixer.gate.dense2",
    "gmamba.projection": "mixer.project",
    "gmamba.mamba.A_log": "mixer.mamba.A_log",
    "gmamba.mamba.D": "mixer.mamba.D",
    "gmamba.mamba.in_proj.weight": "mixer.mamba.in_proj.weight",
    "gmamba.mamba.conv1d": "mixer.mamba.conv1d",
    "gmamba.mamba.x_proj.weight": "mixer.mamba.x_proj.weight",
    "gmamba.mamba.dt_proj": "mixer.mamba.dt_proj",
    "gmamba.mamba.out_proj.weight": "mixer.mamba.out_proj.weight",
    "gmamba.gru.weight_ih_l0": "mixer.gru.gru.weight_ih_l0",
    "gmamba.gru.weight_hh_l0": "mixer.gru.gru.weight_hh_l0",
    "gmamba.selective_gate_sig.1": "mixer.gate.sigmoid",
    "gmamba.selective_gate_si.1": "mixer.gate.silu",
    "gmamba.conv1d": "mixer.gru.conv1d",
    "LayerNorm": "norm",
    "ffn.w_1": "ffn.fc1",
    "ffn.w_2": "ffn.fc2",
    "ffn.LayerNorm": "ffn_norm",
}
_BARE = ("weight", "A_log", "D", "combining_weights", "weight_ih_l0", "weight_hh_l0")


def to_released(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of ours under the released names, in the released order."""
    n_layers = len({name.split(".")[1] for name in state if name.startswith("layers.")})
    return {theirs: state[ours] for theirs, ours in _pairs(n_layers)}


def from_released(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a released state dict under our names; row 0 of the item table is kept as it is.

    Raises
    ------
    ModelFileError
        A parameter is missing.
    """
    n_layers = len({name.split(".")[1] for name in state if name.startswith("mamba_layers.")})
    pairs = list(_pairs(n_layers))
    missing = [theirs for theirs, _ in pairs if theirs not in state]
    if missing or not n_layers:
        raise ModelFileError(
            f"no released SIGMA checkpoint: {len(missing)} parameters are missing, "
            f"first {missing[0] if missing else 'mamba_layers.0'}."
        )
    return {ours: state[theirs] for theirs, ours in pairs}


def _pairs(n_layers: int) -> Iterator[tuple[str, str]]:
    """Give (released name, our name) of every parameter."""
    yield from _expand(_WHOLE, "", "")
    for layer in range(n_layers):
        yield from _expand(_LAYER, f"mamba_layers.{layer}.", f"layers.{layer}.")


def _expand(
    names: Mapping[str, str], their_prefix: str, our_prefix: str
) -> Iterator[tuple[str, str]]:
    for theirs, ours in names.items():
        if theirs.endswith(_BARE):
            yield their_prefix + theirs, our_prefix + ours
            continue
        for kind in ("weight", "bias"):
            yield f"{their_prefix}{theirs}.{kind}", f"{our_prefix}{ours}.{kind}"
