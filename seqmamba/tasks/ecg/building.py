"""What a classifier's parameters come to: rate, window, preparation, network."""

import math
from typing import Any

from torch import nn

from seqmamba.datasets.samples import Info
from seqmamba.tasks.ecg.net.model import ECGNet, NetSettings
from seqmamba.tasks.ecg.net.resnet import ResNet1d
from seqmamba.tasks.ecg.signal.leads import parse_leads
from seqmamba.tasks.ecg.signal.preprocessing import Preprocessing

__all__ = ["build_network", "preprocessing_of", "rate_of", "window_of"]

LENGTHS_OF_STRIDES = ((400, (2, 2, 2)), (200, (1, 2, 2)), (64, (1, 1, 2)))  # plain sequences


def rate_of(model: Any) -> float:
    """Return the rate of the network, hertz."""
    return float(model.preset_value("fs"))


def window_of(model: Any) -> int:
    """Return the samples of a window."""
    return max(1, round(float(model.duration) * rate_of(model)))


def preprocessing_of(model: Any) -> Preprocessing:
    """Return the preparation of recordings."""
    return Preprocessing(
        fs=rate_of(model),
        leads=parse_leads(model.leads),
        filter=model.filter,
        notch=model.notch,
        scale=model.scale,
        min_leads=model.min_leads,
    )


def build_network(model: Any, info: Info) -> nn.Module:
    """Return the network of a classifier for what it read."""
    n_outputs = len(model.class_names_)
    has_level = not model.is_plain_ and model.scale == "record"
    if model.network == "resnet":
        return ResNet1d(info.channels, n_outputs, has_level=has_level)
    strides = _strides(model, info)
    window = info.length[1] if model.is_plain_ else window_of(model)
    return ECGNet(
        NetSettings(
            preset=model.preset,
            leads=info.channels,
            n_outputs=n_outputs,
            d_model=model.preset_value("d_model"),
            n_layers=model.preset_value("n_layers"),
            d_state=model.preset_value("d_state"),
            expand=model.preset_value("expand"),
            strides=strides,
            kernels=model.kernels,
            stem=model.stem,
            pool=model.preset_value("pool"),
            token=model.token,
            position=model.preset_value("position"),
            max_tokens=-(-window // math.prod(strides if model.stem != "none" else (1,))),
            direction=model.direction,
            dropout=model.dropout,
            drop_path=model.drop_path,
            has_level=has_level,
            backend=model.backend,
        )
    )


def _strides(model: Any, info: Info) -> tuple[int, ...]:
    if model.strides != "auto":
        return tuple(model.strides)
    if not model.is_plain_:
        return tuple(model.preset_value("strides"))
    fitting = (strides for length, strides in LENGTHS_OF_STRIDES if info.length[1] >= length)
    return next(fitting, (1, 1, 1))
