"""A network that was trained through the bridge as an estimator of ours."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import torch

from seqmamba.errors import ModelFileError
from seqmamba.tasks.recommend.estimator import SIGMARecommender
from seqmamba.tasks.recommend.recbole.model import KEYS

__all__ = ["estimator_of", "from_checkpoint"]


def from_checkpoint(path: str | Path) -> SIGMARecommender:
    """Read a network that was trained through the bridge as an estimator.

    Parameters
    ----------
    path : path
        The ``checkpoint`` of :func:`run`: the file ``.safetensors`` beside RecBole's ``.pth``.

    Raises
    ------
    ModelFileError
        The file is RecBole's own, which could run code, or is damaged.
    """
    place = Path(path)
    if place.suffix == ".pth":
        raise ModelFileError(
            f"{place} is a RecBole checkpoint, a pickle that could run code, and is not read; pass "
            f"{place.with_suffix('.safetensors').name}, which run() writes beside it."
        )
    return SIGMARecommender.load(place)


def estimator_of(parts: SimpleNamespace) -> SIGMARecommender:
    """Return the network of :func:`.training.prepared`, with its data, as an estimator."""
    config = parts.config
    model = SIGMARecommender(
        anchor=None,
        targets="last",
        max_len=config["MAX_ITEM_LIST_LENGTH"],
        max_epochs=0,
        min_user=1,
        random_state=int(config["seed"]),
        **{ours: config[theirs] for theirs, ours in KEYS.items() if config[theirs] is not None},
    )
    model.fit(parts.table)
    state = {name: value.detach().cpu() for name, value in parts.net.net.state_dict().items()}
    tokens = model.item_ids_.values.cast(pl.String).to_list()
    rows = torch.from_numpy(parts.dataset.token2id(config["ITEM_ID_FIELD"], np.array(tokens)))
    vectors = state["item_embedding.weight"]
    state["item_embedding.weight"] = torch.cat([vectors[:1] * 0, vectors[rows]])
    model.net_.load_state_dict(state)
    model.net_.eval()
    return model
