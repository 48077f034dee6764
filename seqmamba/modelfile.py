"""A fitted estimator as one model file, and back.

``net.*`` are weights, ``state.*`` fitted arrays (those of the anchor among them); everything else
stands in the header as JSON. Nothing in the file is executed or imported.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from seqmamba import storage
from seqmamba.datasets.samples import Info
from seqmamba.errors import ConfigError, CorruptModelError, ModelFileError
from seqmamba.params import check_params
from seqmamba.storage.model_file import FILE_NAME
from seqmamba.train.history import History
from seqmamba.train.seeds import draw_seed

__all__ = ["load", "save"]


def save(model: Any, path: str | Path) -> Path:
    """Write a fitted estimator; return the path of the file."""
    state = {name: getattr(model, name) for name in model._state_names}
    arrays = {f"state.{k}": v for k, v in state.items() if isinstance(v, np.ndarray)}
    header = {
        "task": model._task,
        "config": {
            "class": type(model).__name__,
            "info": model.info_.to_json(),
            "anchor": model.anchor_,
            "anchor_scores": model.anchor_scores_,
            "learning_rate": model.learning_rate_,
        },
        "sklearn_params": _storable_params(model),
        "preprocessing": {k: v for k, v in state.items() if not isinstance(v, np.ndarray)},
        "summary": {
            "n_parameters": model.n_parameters_,
            "fit_seconds": model.fit_seconds_,
            "best_epoch": model.history_.best_epoch,
            "best_objective": best if math.isfinite(best := model.history_.best) else None,
        },
    }
    target = Path(path)
    if target.is_dir():
        target /= FILE_NAME
    storage.write_model(target, {**_weights(model), **arrays}, header)
    return target


def load(cls: type[Any], path: str | Path) -> Any:
    """Read a model file into a new estimator of a class."""
    tensors, header = storage.read_model(path)
    config = header.get("config", {})
    if config.get("class") != cls.__name__:
        raise ModelFileError(
            f"{path} holds a {config.get('class', 'file without a model')} "
            f"(task {header.get('task')!r}), not a {cls.__name__}; use seqmamba.load(path)."
        )
    try:
        params = header["sklearn_params"]
        model = cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in params.items()})
        check_params(model)
        _restore(model, tensors, header)
    except (ConfigError, KeyError, RuntimeError, TypeError) as error:  # as crafted, not as written
        raise CorruptModelError(
            f"{path} does not fit a {cls.__name__}: {error}. Fit the model anew, or ask its maker."
        ) from error
    return model


def _weights(model: Any) -> dict[str, Tensor]:
    """Return the network's tensors under their names in the file."""
    return {
        (f"state.{key}" if key.startswith("anchor.") else f"net.{key}"): value
        for key, value in model.net_.state_dict().items()
    }


def _restore(model: Any, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    config, summary = header["config"], header["summary"]
    model.info_ = Info.from_json(config["info"])
    model.anchor_, model.anchor_scores_ = config["anchor"], config["anchor_scores"]
    model.learning_rate_ = config["learning_rate"]
    model.device_, model._seed = "cpu", draw_seed(model.random_state)
    for name in model._state_names:
        array = tensors.get(f"state.{name}")
        setattr(model, name, header["preprocessing"][name] if array is None else array.numpy())
    anchor = None
    if model.anchor_ is not None:
        anchor = model._anchors(model.info_)[model.anchor_]
        for key, value in _part(tensors, "state.anchor.").items():
            setattr(anchor, key, value)  # the file alone knows the fitted shapes
    model._make_net(anchor)
    buffers = {f"anchor.{k}": v for k, v in _part(tensors, "state.anchor.").items()}
    model.net_.load_state_dict({**_part(tensors, "net."), **buffers})
    model.net_.eval()
    model.fit_seconds_ = summary["fit_seconds"]
    best = summary["best_objective"]
    model.history_ = History(
        best_epoch=summary["best_epoch"], best=math.inf if best is None else best
    )


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _storable_params(model: Any) -> dict[str, Any]:
    params: dict[str, Any] = model.get_params(deep=False)
    for name, value in params.items():
        if not isinstance(value, int | float | str | tuple | list | dict | None):
            raise ConfigError(
                f"{type(model).__name__}.{name} is a {type(value).__name__}, which a model file "
                "cannot hold; pass a named option, or copy the estimator with pickle instead."
            )
    return params
