"""Weights of published Mamba stacks into an encoder.

The other way needs no function: ``encoder.state_dict()`` of a causal pre-norm RMSNorm encoder has
the names of mamba-ssm's ``backbone``, and that of direction "vim_v1" or "vim_v2" those of Vision
Mamba.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from seqmamba.errors import ModelFileError
from seqmamba.nn.encoder import Encoder

__all__ = ["load_mamba_ssm", "load_vim"]

_LAYER = re.compile(r"(.*?)layers\.\d+\.")


def load_mamba_ssm(encoder: Encoder, state_dict: Mapping[str, Tensor]) -> None:
    """Load the layers of a mamba-ssm or Hugging Face Mamba model (both use these names).

    Keys ``[prefix]layers.{i}.norm.weight``, ``[prefix]layers.{i}.mixer.*`` and
    ``[prefix]norm_f.weight``; embeddings and heads are passed over.

    Parameters
    ----------
    encoder : Encoder
        Of the same sizes; changed in place.
    state_dict : mapping of str to Tensor
        Of ``MambaLMHeadModel``, ``MixerModel``, ``MambaModel`` or ``MambaForCausalLM``.

    Raises
    ------
    ModelFileError
        A weight is missing, left over, or of another shape.
    """
    _load(encoder, _layers(state_dict))


def load_vim(encoder: Encoder, state_dict: Mapping[str, Tensor]) -> None:
    """Load the layers of a Vision Mamba model; patch and position weights are passed over.

    The backward matrix may be called ``A_b_log`` or, as mambapy does, ``A_log_b``.

    Parameters
    ----------
    encoder : Encoder
        Direction "vim_v1" or "vim_v2", of the same sizes; changed in place.
    state_dict : mapping of str to Tensor

    Raises
    ------
    ModelFileError
        A weight is missing, left over, or of another shape.
    """
    weights = _layers(state_dict)
    _load(encoder, {name.replace("A_log_b", "A_b_log"): w for name, w in weights.items()})


def _layers(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of layers and final norm, without what stands before "layers."."""
    heads = [match.group(1) for name in state_dict if (match := _LAYER.match(name))]
    if not heads:
        raise ModelFileError(
            "these weights hold no key 'layers.0...': not a stack of Mamba layers. "
            f"First keys: {', '.join(list(state_dict)[:3])}"
        )
    wanted = (heads[0] + "layers.", heads[0] + "norm_f.")
    return {n.removeprefix(heads[0]): w for n, w in state_dict.items() if n.startswith(wanted)}


def _load(encoder: Encoder, weights: Mapping[str, Tensor]) -> None:
    own = encoder.state_dict()
    for kind, names in (("lack", own.keys() - weights), ("have a surplus", weights.keys() - own)):
        if names:
            raise ModelFileError(
                f"the weights {kind} {sorted(names)[0]!r} ({len(names)} in all) for this encoder; "
                "check n_layers, direction, mixer and norm"
            )
    for name, weight in weights.items():
        if weight.shape != own[name].shape:
            expected, got = tuple(own[name].shape), tuple(weight.shape)
            raise ModelFileError(
                f"{name} has the shape {got}, this encoder's {expected}; "
                "check d_model, d_state, d_conv, expand and dt_rank"
            )
    encoder.load_state_dict(dict(weights))
