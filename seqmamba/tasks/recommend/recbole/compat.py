"""RecBole 1.2.1 on current NumPy and torch, without Ray."""

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from seqmamba.errors import MissingPackageError

__all__ = ["compat", "rb"]

REMOVED_FROM_NUMPY = {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_}


@contextmanager
def compat() -> Iterator[None]:
    """Let RecBole 1.2.1 run on current NumPy, torch and without Ray; may be nested.

    Empty modules stand in for Ray if it cannot be imported, NumPy's removed names exist for the
    duration, and ``torch.load`` reads the pickles that were saved inside. All is as found after.
    """
    lent = [name for name in REMOVED_FROM_NUMPY if name not in vars(np)]
    for name in lent:
        setattr(np, name, REMOVED_FROM_NUMPY[name])
    stand_ins = _stand_in_for_ray()
    load, save, written = torch.load, torch.save, set()

    def noted_save(obj: Any, f: Any, *args: Any, **kwargs: Any) -> None:
        save(obj, f, *args, **kwargs)
        if isinstance(f, str | Path):
            written.add(Path(f).resolve())

    def trusting_load(f: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(f, str | Path) and Path(f).resolve() in written:
            kwargs.setdefault("weights_only", False)
        return load(f, *args, **kwargs)

    torch.save, torch.load = noted_save, trusting_load
    try:
        yield
    finally:
        torch.save, torch.load = save, load
        for name in stand_ins:
            sys.modules.pop(name, None)
        for name in lent:
            delattr(np, name)


def _stand_in_for_ray() -> list[str]:
    """Put empty modules in the place of Ray, which only RecBole's parameter search needs."""
    if "ray" in sys.modules:
        return []
    try:
        import_module("ray.tune")
    except Exception:  # Ray 2.6 fails in many ways on current packages
        for name in [name for name in sys.modules if name.split(".")[0] == "ray"]:
            del sys.modules[name]
        tune = types.ModuleType("ray.tune")
        sys.modules |= {"ray": types.ModuleType("ray"), "ray.tune": tune}
        vars(sys.modules["ray"])["tune"] = tune
        return ["ray", "ray.tune"]
    return []


def _recbole() -> SimpleNamespace:
    """Import what is used of RecBole, by name: it ships no types."""
    homes = {
        "Config": "recbole.config",
        "create_dataset": "recbole.data",
        "data_preparation": "recbole.data",
        "SequentialRecommender": "recbole.model.abstract_recommender",
        "get_model": "recbole.utils",
        "get_trainer": "recbole.utils",
        "init_seed": "recbole.utils",
    }
    try:
        with compat():
            return SimpleNamespace(
                **{name: getattr(import_module(home), name) for name, home in homes.items()}
            )
    except ImportError as error:
        raise MissingPackageError(
            'the RecBole bridge needs the extra "recbole": pip install "seqmamba[recbole]"; '
            "on Python 3.12 and later pip install --no-deps recbole, and what it then asks for."
        ) from error


rb = _recbole()
