"""Published encoders by name.

A preset is a function of width and depth, with the published ones as default, that returns the
other settings of :class:`seqmamba.nn.Encoder`. Sources: the task specifications, at each preset.
"""

from collections.abc import Callable, Mapping
from typing import Any

from seqmamba.errors import ConfigError
from seqmamba.params import nearest

__all__ = ["PRESETS", "preset_settings"]

Settings = dict[str, Any]


def s_mamba(d_model: int = 256, n_layers: int = 2) -> Settings:
    """Forecasting, 2.1 and 2.2; size of the ETT runs. Tokens are series; no dropout on the mix."""
    return {
        "direction": "bi_sum",
        "d_state": 2,
        "d_conv": 2,
        "expand": 1,
        "norm": "layer",
        "norm_position": "post",
        "d_ff": d_model,
        "dropout": 0.1,
        "mixer_dropout": 0.0,
    }


def phyxmamba(d_model: int = 256, n_layers: int = 4) -> Settings:
    """Chaotic forecasting, 2.3: subtractive stack of bare Mamba-2 layers."""
    return {**phyxmamba_chain(d_model, n_layers), "stacking": "subtractive"}


def phyxmamba_chain(d_model: int = 256, n_layers: int = 4) -> Settings:
    """Chaotic forecasting, 2.3: the ablation, a plain chain without residuals."""
    return {
        "mixer": "mamba2",
        "d_state": 1024,
        "headdim": None,  # 64 at the published width
        "norm": "none",
        "mixer_residual": False,
        "depth_init": False,
        "final_norm": False,
    }


def sigma(d_model: int = 64, n_layers: int = 1) -> Settings:
    """Recommendation, 3: one layer has no residual around the mixer, several have."""
    return {**mamba4rec(d_model, n_layers), "direction": "partial_flip", "keep_last": 5}


def mamba4rec(d_model: int = 64, n_layers: int = 1) -> Settings:
    """Recommendation, 3.8: SIGMA's layers around a causal block."""
    return {
        "d_state": 32,
        "norm": "layer",
        "norm_position": "post",
        "norm_eps": 1e-12,
        "d_ff": 4 * d_model,
        "dropout": 0.2,
        "mixer_residual": n_layers > 1,
        "final_norm": False,
    }


def mambatrack(d_model: int = 512, n_layers: int = 3) -> Settings:
    """Tracking, 3, paper profile: no skip around the scans, norm after the feed-forward part."""
    return {
        "direction": "bi_sum",
        "norm": "layer",
        "norm_position": "branch",
        "d_ff": 2 * d_model,
        "mixer_residual": False,
        "final_norm": False,
    }


def mambatrack_small(d_model: int = 64, n_layers: int = 3) -> Settings:
    """Tracking, 3, default profile: norms before the parts, residuals around them.

    The stack of the paper multiplies un-normalised values in every scan; unrolled over several
    steps, single histories then have gradients a hundred times the usual.
    """
    return {"direction": "bi_sum", "norm": "layer", "d_ff": 2 * d_model}


def mambamil(d_model: int = 512, n_layers: int = 2) -> Settings:
    """Multiple instances, 2: SR-Mamba with the scripts' rate."""
    return {"direction": "mil_sr", "rate": 5, "norm": "layer", "depth_init": False}


def mambamil_bi(d_model: int = 512, n_layers: int = 2) -> Settings:
    """Multiple instances, 2.1: Bi-Mamba."""
    return {"direction": "mil_bi", "norm": "layer", "depth_init": False}


def mambamil_local(d_model: int = 512, n_layers: int = 2) -> Settings:
    """Multiple instances, 2.2: LBMamba, every second layer backwards."""
    options = {"direction": "alternate", "flip_every": 1, "window": 16}
    return {**options, "norm": "layer", "depth_init": False}


def mambamil_causal(d_model: int = 512, n_layers: int = 2) -> Settings:
    """Multiple instances, 2.1: plain Mamba."""
    return {"direction": "causal", "norm": "layer", "depth_init": False}


def ecg_small(d_model: int = 96, n_layers: int = 4) -> Settings:
    """ECG, 2.2 and 2.4: Vision-Mamba blocks, branches summed and not halved."""
    return {"direction": "vim_v2", "divide_out": False, "dropout": 0.1}


def ecg_base(d_model: int = 192, n_layers: int = 8) -> Settings:
    """ECG, 2.4."""
    return ecg_small(d_model, n_layers)


def ecg_paper(d_model: int = 384, n_layers: int = 16) -> Settings:
    """ECG, 2.4."""
    return ecg_small(d_model, n_layers)


PRESETS: Mapping[str, Callable[..., Settings]] = {
    "s-mamba": s_mamba,
    "phyxmamba": phyxmamba,
    "phyxmamba-chain": phyxmamba_chain,
    "sigma": sigma,
    "mamba4rec": mamba4rec,
    "mambatrack": mambatrack,
    "mambatrack-small": mambatrack_small,
    "mambamil": mambamil,
    "mambamil-bi": mambamil_bi,
    "mambamil-local": mambamil_local,
    "mambamil-causal": mambamil_causal,
    "ecg-small": ecg_small,
    "ecg-base": ecg_base,
    "ecg-paper": ecg_paper,
}


def preset_settings(name: str, **overrides: Any) -> Settings:
    """Return the arguments of :class:`seqmamba.nn.Encoder` for a preset.

    Parameters
    ----------
    name : str
        A key of ``PRESETS``.
    **overrides
        Settings that replace the preset's; those that follow from width and depth follow from the
        overridden ones.

    Raises
    ------
    ConfigError
        No preset has that name.
    """
    if name not in PRESETS:
        listed = ", ".join(repr(known) for known in PRESETS)
        raise ConfigError(f"preset must be one of {listed}; got {name!r}.{nearest(name, PRESETS)}")
    preset = PRESETS[name]
    d_model, n_layers = preset.__defaults__ or ()
    size = {"d_model": d_model, "n_layers": n_layers}
    size |= {key: overrides[key] for key in size if key in overrides}
    return {**size, **preset(**size), **overrides}
